"""Artifacts over HTTP against ``curl`` and nginx with WebDAV (it verifies nothing, and does not sync), and the disk.

``python -m benchmarks.artifacts`` prints what sending and fetching 100 MB takes, and 1,000 files of 10 kB. nginx is
left out where there is none (``apt-get install nginx-light libnginx-mod-http-dav-ext``); the disk is written one file
after another with ``fsync``, as a store has to. The aim is half the speed of nginx.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.measure import ENVIRONMENT, mark
from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.tokens import TokenTable
from clx.remote.artifacts import ArtifactServer
from clx.remote.cached_store import CachedStore

LARGE, SMALL, MANY, ROUNDS, AIM = 100_000_000, 10_000, 1000, 5, 0.5
CONFIG = """pid {root}/nginx.pid; error_log {root}/error.log; worker_processes 2; user root;
events {{ }}
http {{ access_log off; client_max_body_size 0; client_body_temp_path {root}/body; keepalive_requests 100000;
server {{ listen 127.0.0.1:{port}; location / {{
  root {root}/www; dav_methods PUT DELETE; create_full_put_path on; }} }} }}
"""


class Files:
    """Files of one size, in a directory, called by their digests."""

    def __init__(self, root: Path, size: int, count: int) -> None:
        root.mkdir(parents=True)
        self.paths = []
        self.size = size * count
        for _ in range(count):
            data = os.urandom(size)
            path = root / hashlib.sha256(data).hexdigest()
            path.write_bytes(data)
            self.paths.append(path)

    @property
    def digests(self) -> list[str]:
        return [path.name for path in self.paths]


def main() -> None:
    """Both, in turns."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        root = Path(directory)
        with _server(root / "clx") as (url, token), _rival(root / "nginx") as rival:
            for size, count in ((LARGE, 1), (SMALL, MANY)):
                _measure(root, Files(root / f"files{count}", size, count), url, token, rival)


def _measure(root: Path, files: Files, url: str, token: str, rival: str) -> None:
    times: dict[str, list[float]] = {}
    server = ArtifactServer(url, token)
    kept = ArtifactStore(root / "clx" / ".clx" / "artifacts")
    sending = CachedStore(root / f"sending{len(files.paths)}", server)
    for path in files.paths:
        sending.put_file(path)
    for number in range(ROUNDS):
        for digest in files.digests:
            kept.path(digest).unlink(missing_ok=True)
        _timed(times, "put", lambda: sending.share(files.digests))
        fetching = CachedStore(root / f"fetching{number}", server)
        _timed(times, "get", lambda store=fetching: store.bring_all(files.digests))  # type: ignore[misc]
        shutil.rmtree(fetching.root)
        _time_rivals(times, root, files, rival)
    server.close()
    what = f"{files.size // 1_000_000} MB in {len(files.paths):,} file{'s' if len(files.paths) > 1 else ''}"
    for verb, rival_name in (("put", "nginx"), ("get", "nginx"), ("put", "disk")):
        if f"{rival_name} {verb}" not in times:
            continue
        ours, theirs = (files.size / 1e6 / min(times[name]) for name in (verb, f"{rival_name} {verb}"))
        ratio = ours / theirs
        print(
            f"{verb.upper()} {what:<26} {ours:8.1f} MB/s   {rival_name:<6} {theirs:8.1f} MB/s {ratio:6.2f} ×   "
            f"aim ≥ {AIM} × {mark(ratio >= AIM)}",
            flush=True,
        )


def _time_rivals(times: dict[str, list[float]], root: Path, files: Files, rival: str) -> None:
    target = root / "fetched"
    target.mkdir()
    addresses = [(path, f"{rival}/{path.name}") for path in files.paths]
    if rival:
        _timed(times, "nginx put", lambda: _curl(root, [("-T", str(path), url) for path, url in addresses]))
        wanted = [("-o", str(target / path.name), url) for path, url in addresses]
        _timed(times, "nginx get", lambda: _curl(root, wanted))
        _curl(root, [("-X", "DELETE", url) for _, url in addresses])
    disk = root / "disk"
    disk.mkdir()
    _timed(times, "disk put", lambda: _copy(files.paths, disk))
    shutil.rmtree(disk)
    shutil.rmtree(target)


def _timed(times: dict[str, list[float]], name: str, body: Callable[[], object]) -> None:
    started = time.perf_counter()
    body()
    times.setdefault(name, []).append(time.perf_counter() - started)


def _curl(root: Path, transfers: Sequence[Sequence[str]]) -> None:
    """One curl for all of them, eight at a time, on kept connections."""
    lines = []
    names = {"-T": "upload-file", "-o": "output", "-X": "request"}
    for option, value, url in transfers:
        lines += [
            f'{names[option]} = "{value}"',
            f'url = "{url}"',
            *(["output = /dev/null"] if option != "-o" else []),
            "next",
        ]
    config = root / "curl.txt"
    config.write_text("\n".join(lines[:-1]))
    subprocess.run(
        ["curl", "-sSf", "--parallel", "--parallel-max", "8", "-K", str(config)], check=True, capture_output=True
    )


def _copy(paths: Sequence[Path], target: Path) -> None:
    for path in paths:
        with (target / path.name).open("xb") as stream:
            stream.write(path.read_bytes())
            stream.flush()
            os.fsync(stream.fileno())


@contextlib.contextmanager
def _server(root: Path) -> Iterator[tuple[str, str]]:
    """``clx server`` in a process of its own."""
    root.mkdir()
    with Queue.open(root / "jobs.db") as queue:
        token = TokenTable(queue.database).add("benchmark", "work")
    command = [sys.executable, "-m", "clx", "server", "--db-path", str(root / "jobs.db"), "--port", "0"]
    process = subprocess.Popen(command, cwd=root, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://[\w.:]+", process.stdout.readline())
        assert found is not None
        yield found[0], token
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _rival(root: Path) -> Iterator[str]:
    """nginx, where there is one; its address."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield ""
        return
    (root / "www").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (root / "nginx.conf").write_text(CONFIG.format(root=root, port=port))
    process = subprocess.Popen([program, "-c", str(root / "nginx.conf"), "-g", "daemon off;"])
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
