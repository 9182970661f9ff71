"""Which code of CLX there is: two of one version may differ, in a clone above all."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path, PurePosixPath

import clx


@functools.cache
def digest_of_running() -> str:
    """Of the CLX that runs."""
    package = Path(clx.__file__).parent
    names = (path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file())
    return _digest((name, (package / name).read_bytes()) for name in sorted(filter(_is_code, names)))


def digest_of_wheel(wheel: Path) -> str:
    """Of the CLX in a wheel; the same as of that which is installed from it."""
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
