"""What it takes to bring a file to another machine, and back: staging, and what others offer."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from tests.support.machines import Machine
from tests.support.serving_process import ServerProcess, server_process

from benchmarks.artifacts import CONFIG
from benchmarks.measure import ENVIRONMENT, mark

SIZE, ROUNDS, AIM = 100_000_000, 5, 0.7
_OURS = ("artifacts", "staging")
_RSYNC = (
    "use chroot = false\nport = {port}\naddress = {address}\npid file = {root}/pid\nuid = root\ngid = root\n"
    "[d]\npath = {root}/d\nread only = false\n"
)
_ARTIFACT = """
import hashlib, os, sys, time
from pathlib import Path
from clx.remote.artifacts import ArtifactServer
url, token, way, path, digest = sys.argv[1:]
server, path = ArtifactServer(url, token, insecure=True), Path(path)
server.missing([digest])  # a worker is there already
began = time.perf_counter()
if way == "up":
    with path.open("rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == digest
    server.put([(digest, path)])
else:
    with path.open("w+b") as stream:
        server.get(digest, stream)
        os.fsync(stream.fileno())
print(time.perf_counter() - began)
"""


def transfer(folder: Path, _days: int) -> None:
    """From a machine to a server and back, each round with bytes of its own, in turns."""
    taken: dict[str, list[float]] = {}
    with (
        Machine(folder, "bench", 37) as machine,
        _staging(folder, machine.gateway) as staging,
        _nginx(folder / "nginx", machine.gateway) as nginx,
        _rsync(folder / "rsync", machine.gateway) as rsync,
        server_process(folder / "jobs.db", "--host", machine.gateway, "--behind-proxy") as server,
    ):
        for number in range(ROUNDS):
            path, back = machine.home / f"a{number}.npy", machine.home / f"back{number}"
            np.save(path, np.frombuffer(os.urandom(SIZE), dtype=np.uint8))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            ways = _by_staging(*staging, f"data_date=2026-11-{number + 1:02}", path, back)
            ways |= _by_nginx(nginx, folder / "nginx" / "www", path, back) if nginx else {}
            ways |= _by_rsync(rsync, path, back) if rsync else {}
            for way, command in ways.items():
                back.unlink(missing_ok=True)
                began = time.perf_counter()
                machine.run("sh", "-c", command)
                taken.setdefault(way, []).append(time.perf_counter() - began)
                if way.startswith("down"):
                    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest, way
            for way in ("up", "down"):
                file = path if way == "up" else back
                taken.setdefault(f"{way}: artifacts", []).append(_by_artifacts(machine, server, way, file, digest))
            assert hashlib.sha256(back.read_bytes()).hexdigest() == digest
            for each in (path, back):
                each.unlink()
    _tell({way: SIZE / 1e6 / statistics.median(each) for way, each in taken.items()})


def _tell(speeds: dict[str, float]) -> None:
    for way, speed in speeds.items():
        direction, _, name = way.partition(": ")
        told = ""
        if name not in _OURS:
            ratios = [speeds[f"{direction}: {each}"] / speed for each in _OURS]
            told = "".join(
                f"   {each} {ratio:5.2f} × {mark(ratio >= AIM)}" for each, ratio in zip(_OURS, ratios, strict=True)
            )
        print(f"100 MB {way:<40} {speed:7.1f} MB/s{told}", flush=True)
    print(f"the aim is ≥ {AIM} × each")


def _by_artifacts(machine: Machine, server: ServerProcess, way: str, path: Path, digest: str) -> float:
    """Seconds that a worker takes to give what it has made to the server of artifacts, or to fetch it."""
    said = machine.run(sys.executable, "-P", "-c", _ARTIFACT, server.url, server.token, way, str(path), digest)
    return float(said.split()[-1])


def _by_staging(url: str, token: str, day: str, path: Path, back: Path) -> dict[str, str]:
    curl = f"curl -sSf -H 'X-API-Token: {token}'"
    form = f"-F {day} -F patterns=@{path} -F patterns_sha256=$(sha256sum {path} | cut -c1-64)"
    asked = f"'{url}/staging/download?{day}&name={path.name}'"
    return {
        "up: staging": f"{curl} {form} {url}/staging/upload-daily",
        "down: staging": f"{curl} -o {back} {asked} && sha256sum {back} && sync {back}",
    }


def _by_nginx(url: str, www: Path, path: Path, back: Path) -> dict[str, str]:
    name, kept = f"n{path.name}", www / f"n{path.name}"
    whole = f"sha256sum {kept} && sync {kept}"  # what it does not do itself, by another command
    return {
        "up: nginx": f"curl -sSf -T {path} {url}/{path.name}",
        "up: nginx, sha256sum and sync": f"sha256sum {path} && curl -sSf -T {path} {url}/{name} && {whole}",
        "down: nginx, sha256sum and sync": f"curl -sSf -o {back} {url}/{name} && sha256sum {back} && sync {back}",
    }


def _by_rsync(url: str, path: Path, back: Path) -> dict[str, str]:
    return {
        "up: rsync --fsync": f"rsync --fsync --whole-file {path} {url}/{path.name}",
        "down: rsync --fsync": f"rsync --fsync --whole-file {url}/{path.name} {back}",
    }


@contextmanager
def _staging(folder: Path, address: str) -> Iterator[tuple[str, str]]:
    token = folder / "token"
    clx = [sys.executable, "-P", "-m", "clx", "staging"]
    subprocess.run([*clx, "token", str(token)], check=True, capture_output=True)
    words = [
        "--root",
        str(folder / "held"),
        "--token-file",
        str(token),
        "--host",
        address,
        "--port",
        "0",
        "--behind-proxy",
    ]
    with subprocess.Popen(
        [*clx, "serve", *words],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"http://[\w.:]+", line):
                    yield found[0], token.read_text().strip()
                    break
        finally:
            process.terminate()


@contextmanager
def _nginx(root: Path, address: str) -> Iterator[str]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        yield ""
        return
    (root / "www").mkdir(parents=True)
    config = CONFIG.format(root=root, port=8931).replace("127.0.0.1", address)
    module = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")
    (root / "nginx.conf").write_text((f"load_module {module};\n" if module.exists() else "") + config)
    with subprocess.Popen([program, "-c", str(root / "nginx.conf"), "-g", "daemon off;"]) as process:
        try:
            time.sleep(1)
            yield f"http://{address}:8931"
        finally:
            process.terminate()


@contextmanager
def _rsync(root: Path, address: str) -> Iterator[str]:
    program = shutil.which("rsync")
    if program is None:
        yield ""
        return
    (root / "d").mkdir(parents=True)
    (root / "conf").write_text(_RSYNC.format(root=root, port=8932, address=address))
    with subprocess.Popen([program, "--daemon", "--no-detach", "--config", str(root / "conf")]) as process:
        try:
            time.sleep(1)
            yield f"rsync://{address}:8932/d"
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
