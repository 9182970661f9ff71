"""The tools that the job types bring, and what a user types to get one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec

from clx.settings.job_types import SECTIONS
from clx.tools.spec import Pin, ToolSpec


def _brought() -> Iterator[ToolSpec]:
    for type_ in SECTIONS:
        if find_spec(place := f"clx.jobtypes.{type_}.tools"):
            yield from import_module(place).TOOLS


TOOLS: dict[str, ToolSpec] = {tool.name: tool for tool in _brought()}
"""Every tool by its name, in the order in which tools are shown."""
PINS: dict[str, Pin] = {tool.name: tool.pin for tool in TOOLS.values() if tool.pin}
"""Those that CLX installs."""


def install_hint(name: str) -> str:
    """The one line a user types to get the tool *name* on this machine."""
    tool = TOOLS[name]
    if not tool.packages or _pin_is_the_way(tool):
        return f"clx tools install {name}"
    if tool.snap and _is_ubuntu():
        return f"sudo snap install {tool.snap}"
    return package_hint(tool.packages)


def package_hint(packages: Mapping[str, str]) -> str:
    """The one line that installs the system's package, given what it is called by each package manager."""
    manager = _manager(packages) or "apt-get"
    sudo = "" if manager == "brew" else "sudo "
    return f"{sudo}{manager} install {packages[manager]}"


def _manager(packages: Mapping[str, str]) -> str | None:
    return next((each for each in packages if shutil.which(each)), None)


def _pin_is_the_way(tool: ToolSpec) -> bool:
    """Whether the pinned copy runs here and the system's package manager has none."""
    pin = PINS.get(tool.name)
    return bool(pin and pin.runs_here() and (_manager(tool.packages) is None or (tool.snap and _is_ubuntu())))


def _is_ubuntu() -> bool:
    """Whether the packages are Ubuntu's, where some are snaps."""
    import platform

    try:
        return platform.freedesktop_os_release().get("ID") == "ubuntu"
    except OSError:
        return False
