"""Artifacts over HTTP among processes: curl alone, a server that is killed, a link that is cut."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from tests.support.scene import until
from tests.support.serving_process import server_process
from tests.support.tools import skip_or_fail

from clx.artifacts.store import ArtifactStore
from clx.db.state import StateDirectory
from clx.remote.artifacts import ArtifactServer

_SOAK = bool(os.environ.get("CLX_SOAK"))
_SIZE = (1 << 30) if _SOAK else (48 << 20)


def random_file(path: Path, size: int) -> str:
    """A file of *size* bytes; returns its digest."""
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for _ in range(size >> 20):
            piece = os.urandom(1 << 20)
            digest.update(piece)
            stream.write(piece)
    return digest.hexdigest()


def kept_by(database: Path) -> ArtifactStore:
    """What a server of that database keeps."""
    return ArtifactStore(StateDirectory.of(database).shared / "artifacts")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "server").mkdir()
    return tmp_path / "server" / "jobs.db"


def test_curl_alone_will_do(database: Path, tmp_path: Path) -> None:
    digest = random_file(tmp_path / "file", 5 << 20)
    with server_process(database) as server:
        address = f"{server.url}/cas/{digest}"

        def curl(*words: str, token: str | None = None) -> str:
            user = ["-u", f"x:{server.token if token is None else token}"]
            done = subprocess.run(
                ["curl", "-sS", *user, *words], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
            )
            return done.stdout

        status = ("-o", os.devnull, "-w", "%{http_code}")
        assert curl(*status, "-T", "file", address, token="wrong") == "401"
        assert curl(*status, "-I", address) == "404"
        assert curl("--data", json.dumps([digest]), f"{server.url}/cas/missing") == json.dumps([digest])
        assert curl(*status, "-T", "file", f"{server.url}/cas/{'0' * 64}") == "422"
        head, rest = tmp_path / "head", tmp_path / "rest"
        head.write_bytes((tmp_path / "file").read_bytes()[: 2 << 20])
        rest.write_bytes((tmp_path / "file").read_bytes()[2 << 20 :])
        assert curl(*status, "-H", "Upload-Complete: ?0", "-T", "head", address) == "202"
        assert f"upload-offset: {2 << 20}" in curl("-I", address)
        assert curl(*status, "-H", f"Upload-Offset: {2 << 20}", "-T", "rest", address) == "201"
        assert curl(*status, "-T", "file", address) == "200"
        assert curl("--data", json.dumps([digest]), f"{server.url}/cas/missing") == "[]"
        assert curl(*status, "-H", f'If-None-Match: "{digest}"', address) == "304"
        (tmp_path / "copy").write_bytes(head.read_bytes())
        assert curl("-C", "-", "-o", "copy", "-w", "%{http_code}", address) == "206"
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()


def test_the_lines_of_the_page_work_as_they_stand(database: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "artifacts.md").read_text(encoding="utf-8")
    (lines,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "sha256sum" in block]
    random_file(tmp_path / "file", 1 << 20)
    with server_process(database) as server:
        variables = {"S": server.url, "T": server.token, "F": "file"}
        done = subprocess.run(
            ["bash", "-euc", lines], cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True
        )
    assert (done.returncode, done.stdout) == (0, "[]"), done.stderr
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()


class Gated(ArtifactServer):
    """Sends half of an object, and goes on once it may."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.half = threading.Event()
        self.may_go_on = threading.Event()

    def _counted(self, stream: IO[bytes]) -> Iterator[bytes]:
        for piece in super()._counted(stream):
            if self.sent > _SIZE // 2 and not self.half.is_set():
                self.half.set()
                assert self.may_go_on.wait(120)
            yield piece


def test_an_upload_survives_the_server(database: Path, tmp_path: Path) -> None:
    """The server is killed when half of it has been sent, and started anew: what had come is not sent again."""
    digest = random_file(tmp_path / "file", _SIZE)
    with server_process(database) as first:
        caller = Gated(first.url, first.token)
        sending = threading.Thread(target=caller.put, args=([(digest, tmp_path / "file")],))
        sending.start()
        assert caller.half.wait(120)
        part = kept_by(database).root / "tmp" / f"{digest}.part"
        until(lambda: part.exists() and part.stat().st_size > _SIZE // 3)
        first.kill()
    came = part.stat().st_size
    with server_process(database, port=first.port, token=first.token):
        caller.may_go_on.set()
        sending.join(120)
        assert not sending.is_alive()
    assert kept_by(database).verify(digest)
    assert caller.sent <= _SIZE + (_SIZE // 2 - came) + (8 << 20)


_MACHINE = """
import json, pathlib, sys, time
from clx.remote.artifacts import ArtifactServer, _Cut
from clx.remote.cached_store import CachedStore
from clx.remote import artifacts

root, url, token, digest, half = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])


class Told(ArtifactServer):
    gated = True

    def gate(self, size):
        if size > half and self.gated:
            self.gated = False
            print("half", flush=True)
            sys.stdin.readline()

    def _try(self, *arguments, **named):
        try:
            return super()._try(*arguments, **named)
        except _Cut:
            print("cut", flush=True)
            raise

    def _take(self, *arguments):
        try:
            super()._take(*arguments)
        except _Cut:
            print("cut", flush=True)
            raise

    def _counted(self, stream):
        for piece in super()._counted(stream):
            self.gate(self.sent)
            yield piece


server = Told(url, token, insecure=True, still=2.0, patience=120)
add = artifacts._Taken.add
artifacts._Taken.add = lambda taken, piece: (server.gate(taken.size), add(taken, piece))
store = CachedStore(root, server)
if sys.argv[6] == "put":
    assert store.put_file(root.with_name("file"))[0] == digest
    store.share([digest])
else:
    store.bring(digest)
    assert store.verify(digest)
print("done", flush=True)
"""


class Net:
    """Two machines: namespaces of the network with a link between them."""

    def __init__(self) -> None:
        self.names = [f"clx{os.getpid()}{side}" for side in "ab"]
        self.address = "10.77.0.1"

    def make(self) -> None:
        for name in self.names:
            ip("netns", "add", name)
        one, other = self.names
        ip("link", "add", "link0", "netns", one, "type", "veth", "peer", "name", "link0", "netns", other)
        for number, name in enumerate(self.names, 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "link0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "link0", "up")

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def cut(self) -> None:
        ip("-n", self.names[0], "link", "set", "link0", "down")

    def mend(self) -> None:
        ip("-n", self.names[0], "link", "set", "link0", "up")

    def on(self, machine: int) -> list[str]:
        """The beginning of a command line that runs there."""
        return ["ip", "netns", "exec", self.names[machine]]

    def carried(self) -> int:
        """Bytes that went over the link, both ways."""
        folder = "/sys/class/net/link0/statistics"
        said = subprocess.run(
            [*self.on(0), "cat", f"{folder}/rx_bytes", f"{folder}/tx_bytes"], capture_output=True, text=True, check=True
        )
        return sum(map(int, said.stdout.split()))


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)


@pytest.fixture
def net() -> Iterator[Net]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        skip_or_fail("root", "namespaces of the network want root, and ip of iproute2")
    made = Net()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def test_a_link_between_two_machines_is_cut_at_the_half(net: Net, database: Path, tmp_path: Path) -> None:
    """One machine sends, another one fetches; each loses the link when half has gone, and gets it back."""
    (tmp_path / "one").mkdir()
    digest = random_file(tmp_path / "one" / "file", _SIZE)
    options = ("--host", net.address, "--behind-proxy")
    with server_process(database, *options, before=net.on(0)) as server:
        for verb, root in (("put", tmp_path / "one" / "artifacts"), ("get", tmp_path / "other" / "artifacts")):
            before = net.carried()
            words = (str(root), server.url, server.token, digest, str(_SIZE // 2), verb)
            machine = subprocess.Popen(
                [*net.on(1), sys.executable, "-c", _MACHINE, *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert machine.stdout is not None
            assert machine.stdin is not None
            assert machine.stdout.readline() == "half\n"
            net.cut()
            machine.stdin.write("go on\n")
            machine.stdin.flush()
            assert machine.stdout.readline() == "cut\n"
            net.mend()
            said, _ = machine.communicate(timeout=240)
            assert machine.returncode == 0
            assert said.endswith("done\n")
            carried = net.carried() - before
            assert carried < _SIZE * 1.1 + (16 << 20), f"{verb}: {carried} bytes for {_SIZE}"
    for root in (kept_by(database).root, tmp_path / "other" / "artifacts"):
        assert ArtifactStore(root).verify(digest)
