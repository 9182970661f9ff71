"""Installing the browser with a real npm, from a registry of the test's own that holds a small package."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.tools import require

from clx.errors import ToolMissingError
from clx.tools.catalog import PINS
from clx.tools.finding import cache_directory, cached
from clx.tools.install import install
from clx.tools.spec import Pin

PROGRAM = b'#!/bin/sh\necho "Chromium 9.9 $LD_LIBRARY_PATH $*"\n'
COMPRESS = """
const part = require("fs").readFileSync(0);
process.stdout.write(require("zlib").brotliCompressSync(part));
"""


class Registry:
    """An npm registry: a directory of files that a server on this machine hands out."""

    def __init__(self, root: Path, url: str) -> None:
        self._root = root
        self._url = url

    def publish(self, members: dict[str, bytes]) -> Path:
        """Make *members* version 1.0.0 of ``clx-probe``."""
        package = self._root / "clx-probe-1.0.0.tgz"
        described = {"package.json": b'{"name": "clx-probe", "version": "1.0.0"}'}
        package.write_bytes(tar({f"package/{name}": data for name, data in (described | members).items()}, "w:gz"))
        dist = {"tarball": f"{self._url}/{package.name}", "shasum": hashlib.sha1(package.read_bytes()).hexdigest()}
        versions = {"1.0.0": {"name": "clx-probe", "version": "1.0.0", "dist": dist}}
        (self._root / "clx-probe").write_text(json.dumps({"name": "clx-probe", "versions": versions}))
        return package


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    require("npm")
    root = tmp_path / "registry"
    root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Quiet(*args, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("npm_config_registry", url)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
        monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path / "cache"))
        yield Registry(root, url)
        server.shutdown()
        thread.join()


def tar(members: dict[str, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def brotli(data: bytes) -> bytes:
    return subprocess.check_output(["node", "-e", COMPRESS], input=data)


def package(program: bytes = PROGRAM, library: str = "lib/libprobe.so") -> dict[str, bytes]:
    return {"bin/chromium.br": brotli(program), "bin/al2023.tar.br": brotli(tar({library: b"library"}))}


def pin(monkeypatch: pytest.MonkeyPatch, package: Path, **changes: Any) -> Pin:
    """Make *package* the package of the browser."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    known = {"version": "9.9", "package": "clx-probe", "package_version": "1.0.0", "sha256": digest}
    made = msgspec.structs.replace(PINS["browser"], system="", **{**known, **changes})
    monkeypatch.setitem(PINS, "browser", made)
    return made


def nothing_installed(made: Pin) -> bool:
    return cached("browser") is None and list(cache_directory(made).parent.iterdir()) == []


def test_the_program_starts_with_its_own_libraries(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(monkeypatch, registry.publish(package()))
    said: list[str] = []
    tool = install("browser", said.append)
    home = cache_directory(made)
    assert (tool.version, tool.origin, tool.path) == ("9.9", "cache", home / "chromium-headless-shell")
    files = {str(each.relative_to(home)) for each in home.rglob("*") if each.is_file()}
    assert files == {"chromium", "chromium-headless-shell", "lib/libprobe.so", "manifest.json"}
    assert [each.name for each in home.parent.iterdir()] == ["9.9"]
    link = home.parent.parent / "link"
    link.symlink_to(tool.path)
    started = subprocess.check_output([link, "a b", "c"], text=True)
    assert started.strip() == f"Chromium 9.9 {home}/lib a b c"
    assert install("browser", said.append) == tool
    assert len(said) == 3


def test_other_bytes_than_the_pinned_ones_are_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(monkeypatch, registry.publish({}), sha256="0" * 64)
    with pytest.raises(ToolMissingError, match="not the expected file"):
        install("browser", print)
    assert nothing_installed(made)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, r"holds no package/bin/chromium\.br"),
        ({"bin/chromium.br": b"these bytes are not compressed"}, r"chromium\.br could not be expanded: "),
    ],
)
def test_a_package_without_its_parts_is_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes], reason: str
) -> None:
    made = pin(monkeypatch, registry.publish(members))
    with pytest.raises(ToolMissingError, match=reason) as error:
        install("browser", print)
    assert "\n" not in error.value.fact
    assert nothing_installed(made)


@pytest.mark.parametrize("name", ["../../escape.so", "/escape.so"])
def test_a_library_that_leaves_its_folder_is_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    made = pin(monkeypatch, registry.publish(package(library=name)))
    with pytest.raises(ToolMissingError, match="outside its folder"):
        install("browser", print)
    assert nothing_installed(made)
    assert not list(tmp_path.rglob("escape.so"))


def test_a_program_that_does_not_start_here_is_not_installed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = b"#!/bin/sh\necho 'version GLIBC_9 not found' >&2\nexit 1\n"
    made = pin(monkeypatch, registry.publish(package(program)))
    with pytest.raises(ToolMissingError, match="does not start on this system: version GLIBC_9 not found"):
        install("browser", print)
    assert nothing_installed(made)


def test_what_npm_says_is_told_in_one_line(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, registry.publish({}), package_version="2.0.0")
    with pytest.raises(ToolMissingError, match=r"could not be fetched: .*No matching version") as error:
        install("browser", print)
    assert "\n" not in error.value.fact
    assert "npm's configuration" in error.value.next_step


def test_two_processes_may_install_at_once(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pin(monkeypatch, registry.publish(package()))
    program = (
        "from clx.tools.install import install\n"
        "from clx.tools.catalog import PINS\n"
        "from clx.tools.spec import Pin\n"
        f"PINS['browser'] = {made!r}\n"
        "print(install('browser', lambda line: None).path)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].strip() for process in both]
    assert said == [str(cache_directory(made) / made.entry)] * 2
    assert [process.returncode for process in both] == [0, 0]
    assert [each.name for each in cache_directory(made).parent.iterdir()] == ["9.9"]


def test_without_npm_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(PINS, "browser", msgspec.structs.replace(PINS["browser"], system=""))
    with pytest.raises(ToolMissingError, match="no npm") as error:
        install("browser", print)
    assert error.value.next_step == "Type: sudo apt-get install npm"


def test_another_machine_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(PINS, "browser", msgspec.structs.replace(PINS["browser"], system="Plan9 vax"))
    with pytest.raises(ToolMissingError, match="for Plan9 vax only") as error:
        install("browser", print)
    assert "clx tools install" not in error.value.next_step
