"""A wheel of the CLX that runs, made from its installed files: there need be neither a clone nor an index any more."""

from __future__ import annotations

import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from clx import DISTRIBUTION
from clx.errors import ToolMissingError

_OF_THIS_PLACE = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
"""What whoever installs a wheel adds to its ``.dist-info``; of these only the list of files belongs into the wheel."""


def wheel_of_installed(folder: Path) -> Path:
    """Pack the installed CLX as a wheel into *folder*; the same files give the same bytes.

    Raises:
        ToolMissingError: it is not installed as a package, or nobody wrote down which files are its own.
    """
    try:
        found = distribution(DISTRIBUTION)
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
