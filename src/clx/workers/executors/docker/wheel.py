"""A wheel of the CLX that runs, and which code it holds: two of one version may differ, in a clone above all."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import clx
from clx import DISTRIBUTION
from clx.errors import ToolMissingError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_OF_THIS_PLACE = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""What whoever installs a wheel adds to its ``.dist-info``; of these only the list of files belongs into the wheel."""


def wheel_of_installed(folder: Path) -> Path:
    """Pack the installed CLX as a wheel into *folder*: there need be neither a clone nor an index any more.

    The same files give the same bytes.

    Raises:
        ToolMissingError: it is not installed as a package, or nobody wrote down which files are its own.
    """
    import zipfile  # whoever only starts workers needs neither
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found: Distribution | None = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        found = None
    names = _own_files(found) if found else []
    if found is None or not names:
        raise ToolMissingError(
            "This CLX was not installed from a wheel: none can be made of it.", "Name one: clx docker build --wheel"
        )
    stem = f"{DISTRIBUTION.replace('-', '_')}-{found.version}"
    record = "".join(f"{name},,\n" for name in [*names, f"{stem}.dist-info/RECORD"])
    target = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:  # a ZipInfo of nothing but a name is of 1980: no time gets into the bytes
            archive.writestr(zipfile.ZipInfo(name), Path(str(found.locate_file(name))).read_bytes())
        archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/RECORD"), record)
    return target


def _own_files(found: Distribution) -> list[str]:
    """What the wheel held: neither programs, which lie outside, nor what was compiled or noted at this place."""
    files = [PurePosixPath(str(each)) for each in found.files or ()]
    return sorted(
        str(path)
        for path in files
        if path.parts[0] != ".."
        and path.suffix != ".pyc"
        and not (path.parts[0].endswith(".dist-info") and path.name in _OF_THIS_PLACE)
    )


@functools.cache
def digest_of_running() -> str:
    """Of the CLX that runs."""
    package = Path(clx.__file__).parent
    names = (path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file())
    return _digest((name, (package / name).read_bytes()) for name in sorted(filter(_is_code, names)))


def digest_of_wheel(wheel: Path) -> str:
    """Of the CLX in a wheel; the same as of that which is installed from it."""
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        inside = {name.removeprefix("clx/"): name for name in archive.namelist() if name.startswith("clx/")}
        return _digest((name, archive.read(inside[name])) for name in sorted(filter(_is_code, inside)))


def _is_code(name: str) -> bool:
    """Neither what is compiled, an editor's, nor the Dockerfiles, which a clone has elsewhere."""
    path = PurePosixPath(name)
    return (
        path.parts[0] != "docker" and "__pycache__" not in path.parts and path.name[0] != "." and path.suffix != ".pyc"
    )


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    found = sha256()
    for name, content in files:
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]
