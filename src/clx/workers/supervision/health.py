"""What this machine has for each worker type: missing tools are told before the first job starts (REQ-7.4)."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from clx import DISTRIBUTION
from clx.errors import ToolMissingError
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.tools.catalog import TOOLS, install_hint
from clx.tools.finding import locate, require


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: the tool or package.
        needed_by: the worker type.
        ok: whether it is there.
        required: whether the type cannot work without it.
        detail: where it is and which version, or what is wrong.
        hint: what to type or correct when it is not there.
        setting: the setting, as dotted key, that names what is not there.
    """

    name: str
    needed_by: str
    ok: bool
    required: bool
    detail: str
    hint: str
    setting: str = ""


def examine(types: Collection[str], settings: Settings, without: Collection[str] = ()) -> list[Finding]:
    """Look at everything the worker *types* need.

    Args:
        without: settings, as dotted keys, whose tools are not looked at, because that would start them.
    """
    import importlib.util  # a build with nothing to do need not

    found = []
    for type_ in types:
        for package, extra in JOB_TYPES[type_].packages.items():
            hint = f'Type: pip install "{DISTRIBUTION}[{extra}]"'
            there = importlib.util.find_spec(package) is not None
            detail = "installed" if there else "not installed"
            found.append(Finding(package, type_, there, True, detail, hint))
        for required, names in ((True, JOB_TYPES[type_].tools), (False, JOB_TYPES[type_].optional_tools)):
            looked_at = [name for name in names if TOOLS[name].setting not in without]
            found += [_tool(name, type_, settings, required=required) for name in looked_at]
    return found


def tools_of(types: Collection[str]) -> list[str]:
    """The tools that the worker *types* need or can make use of, in the order in which tools are shown."""
    used = {name for type_ in types for name in (*JOB_TYPES[type_].tools, *JOB_TYPES[type_].optional_tools)}
    return [name for name in TOOLS if name in used]


def _tool(name: str, type_: str, settings: Settings, *, required: bool) -> Finding:
    from clx.tools.probe import refusal  # a build with nothing to do need not

    tool = locate(name, settings)
    if tool is not None and tool.origin == "setting" and (why := refusal(tool)):
        key = TOOLS[name].setting
        fact = f"the setting {key} names {tool.path}, which does not run: {why}."
        return Finding(name, type_, False, required, fact, f"Correct or remove the setting {key}.", key)
    if tool is not None:
        version = f" {tool.version}" if tool.version else ""
        unpinned = TOOLS[name].unpinned_remark
        remark = f"; {unpinned}" if unpinned and tool.origin != "cache" else ""
        return Finding(name, type_, True, required, f"{tool.path}{version} ({tool.origin}){remark}", "")
    try:
        require(name, settings)
    except ToolMissingError as error:
        return Finding(name, type_, False, required, error.fact, error.next_step, "".join(error.settings))
    return Finding(name, type_, False, required, "not found", f"Type: {install_hint(name)}")


def require_tools(types: Collection[str], settings: Settings) -> None:
    """See that the worker *types* can work.

    Raises:
        ToolMissingError: something they need is not there; all of it is named.
    """
    missing = [finding for finding in examine(types, settings) if finding.required and not finding.ok]
    if missing:
        facts = [f"{each.name} (for {each.needed_by}): {each.detail}" for each in missing]
        hints = dict.fromkeys(each.hint for each in missing if each.hint)
        blamed = [each.setting for each in missing if each.setting]
        raise ToolMissingError("\n".join(facts), "\n".join(hints), settings=blamed)


_DISK = 200 << 20
"""Free bytes below which a build is likely to end in the middle."""


def resource_warnings(types: Collection[str], state_dir: Path) -> list[str]:
    """What this machine may not have enough of for a worker of each of *types* (REQ-7.4), in words."""
    found = []
    import psutil  # takes longer to import than all the rest that a build with nothing to do needs

    needed, free = sum(JOB_TYPES[type_].memory for type_ in types), psutil.virtual_memory().available
    if free < needed:
        found.append(
            f"Only {free >> 20} MiB of memory are free; workers for {', '.join(sorted(types))} take about "
            f"{needed >> 20} MiB. Ask for fewer with --worker-count 1."
        )
    disk = shutil.disk_usage(state_dir).free
    if disk < _DISK:
        found.append(f"Only {disk >> 20} MiB of disk are free at {state_dir}. Free some, or use another --db-path.")
    return found
