"""Whether the workers that are wanted could work: tools, packages and memory of this machine, their images, the engine.

What is missing is told before the first job starts (REQ-7.4). Docker mode without an image is a SettingsError.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from clx import DISTRIBUTION
from clx.commands import SERVED
from clx.db.apart import located, move_apart
from clx.db.database import Database
from clx.errors import StartupError, ToolMissingError
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.problems import Problem
from clx.settings.reach import image_key
from clx.settings.resolve import Resolved
from clx.settings.schema import Settings
from clx.tools.catalog import TOOLS, install_hint
from clx.tools.finding import locate, require
from clx.tools.probe import refusal
from clx.workers.platforms import with_journal_mode


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    """The tool or package."""
    needed_by: str
    """The worker type."""
    ok: bool
    required: bool
    """Whether the type cannot work without it."""
    detail: str
    """Where it is and which version, or what is wrong."""
    hint: str
    """What to type or correct when it is not there."""
    setting: str = ""
    """The setting, as dotted key, that names what is not there."""


def examine(types: Collection[str], settings: Settings, without: Collection[str] = ()) -> list[Finding]:
    """Look at everything the worker *types* need, *without* the tools of these settings: that would start them."""
    found = []
    for type_ in [each for each in types if each in JOB_TYPES]:
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


_ROUTINES = 100 << 20
"""Bytes that a worker for tasks or workflows takes besides what its modules do."""
_DISK = 200 << 20
"""Free bytes below which a build is likely to end in the middle."""


def resource_warnings(types: Collection[str], state_dir: Path) -> list[str]:
    """What this machine may not have enough of for a worker of each of *types* (REQ-7.4), in words."""
    found = []
    import psutil  # takes longer to import than all the rest that a build with nothing to do needs

    needed = sum(JOB_TYPES[type_].memory if type_ in JOB_TYPES else _ROUTINES for type_ in types)
    free = psutil.virtual_memory().available
    if free < needed:
        found.append(
            f"Only {free >> 20} MiB of memory are free; workers for {', '.join(sorted(types))} take about "
            f"{needed >> 20} MiB. Ask for fewer with --worker-count 1."
        )
    disk = shutil.disk_usage(state_dir).free
    if disk < _DISK:
        found.append(f"Only {disk >> 20} MiB of disk are free at {state_dir}. Free some, or use another --db-path.")
    return found


def require_ready(
    database: Database, images: Mapping[str, str | None], settings: Settings, note: Callable[[str], None]
) -> None:
    """See that workers of these types can work, before the first one is started.

    Args:
        images: worker type → container image; None for a worker that is a subprocess.

    Raises:
        ToolMissingError: a tool or package is not there.
        EngineError: the container engine, an image, or the way a container sees the database is not as needed.
    """
    require_tools({type_ for type_, image in images.items() if image is None}, settings)
    for text in resource_warnings(images, database.state.path):
        note(f"Warning: {text}")
    contained = {type_: image for type_, image in images.items() if image is not None}
    if contained:
        from clx.workers.executors.docker.preflight import preflight
        from clx.workers.executors.docker.served import require_way_to_artifacts

        require_way_to_artifacts(settings.artifacts.url, settings.docker.network)
        for text in preflight(database, contained, settings.docker):
            note(text)


def examine_workers(resolved: Resolved, types: Collection[str]) -> list[Finding]:
    """Everything that workers of *types* need, in the mode each is to run in; what is not trusted is not started."""
    workers = {type_: resolved.worker(type_) for type_ in types}
    contained = {type_: worker.image for type_, worker in workers.items() if worker.mode == "docker" and worker.image}
    direct = [type_ for type_ in types if type_ not in contained]
    untrusted = resolved.untrusted()
    found = [
        replace(each, hint=f"{each.hint} It is set in {resolved.origin(each.setting)}.") if each.setting else each
        for each in examine(direct, resolved.settings, untrusted)
    ]
    keys = [(type_, key) for type_ in (*contained, *direct) for key in resolved.reached_by(type_)]
    found += [_untrusted(type_, key, untrusted[key]) for type_, key in keys if key in untrusted]
    return found + [
        _examine_image(type_, image, resolved.settings)
        for type_, image in contained.items()
        if image_key(type_) not in untrusted
    ]


def _untrusted(type_: str, key: str, problem: Problem) -> Finding:
    return Finding(key, type_, False, True, f"{problem.where}: {problem.fact}", problem.next_step, key)


def _examine_image(type_: str, image: str, settings: Settings) -> Finding:
    from clx.workers.executors.docker.images import image_fingerprint

    here_only = replace(settings.docker, auto_pull=False)
    try:
        id_ = image_fingerprint(type_, image, here_only)["image"]
    except StartupError as error:
        return Finding(image, type_, False, True, error.fact, error.next_step)
    return Finding(image, type_, True, True, f"container image {id_[7:19]}", "")


def uses_containers(resolved: Resolved) -> bool:
    """Whether any worker type is to run in containers; docker mode without an image is a SettingsError."""
    return any(worker.mode == "docker" and worker.count > 0 for worker in resolved.workers().values())


def place_database(resolved: Resolved, database: Path, *, move: bool = True) -> Path:
    """Where the database that is called *database* lies: apart from all else as soon as containers are to use it.

    Args:
        move: move one there that is not yet.

    Raises:
        DatabaseError: it is used by somebody, so that it cannot be moved; or there are two of them.
    """
    if database.name.endswith(SERVED):  # containers mount the artifacts alone
        return database
    if not uses_containers(resolved):
        return located(database)
    return move_apart(database) if move else located(database)


def settings_for(resolved: Resolved, database: Path) -> Settings:
    """The settings as this process and its workers use them with *database*: the journal mode resolved.

    Without the token for artifacts: they are passed on by command lines and kept in files, and each worker finds it
    itself (:func:`clx.remote.stores.open_store`).
    """
    settings = with_journal_mode(resolved.settings, database, containers=uses_containers(resolved))
    return replace(settings, artifacts=replace(settings.artifacts, token=None))
