"""Whether the workers that are wanted could work: their tools on this machine, their images and the engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from clx.db.apart import located, move_apart
from clx.db.sqlite.database import Database
from clx.errors import StartupError
from clx.settings.problems import Problem
from clx.settings.reach import image_key
from clx.settings.resolve import Resolved
from clx.settings.schema import Settings
from clx.workers.platforms import with_journal_mode
from clx.workers.supervision.health import Finding, examine, require_tools, resource_warnings


def require_ready(
    database: Database, images: Mapping[str, str | None], settings: Settings, note: Callable[[str], None]
) -> None:
    """See that workers of these types can work, before the first one is started.

    Args:
        images: worker type → container image; None for a worker that is a subprocess.
        note: told what the user should know.

    Raises:
        ToolMissingError: a tool or package is not there.
        EngineError: the container engine, an image, or the way a container sees the database is not as needed.
    """
    require_tools({type_ for type_, image in images.items() if image is None}, settings)
    for text in resource_warnings(images, database.state_dir):
        note(f"Warning: {text}")
    contained = {type_: image for type_, image in images.items() if image is not None}
    if contained:
        from clx.workers.executors.docker.preflight import preflight

        for text in preflight(database, contained, settings.docker):
            note(text)


def examine_workers(resolved: Resolved, types: Collection[str]) -> list[Finding]:
    """Everything that workers of *types* need, in the mode each is to run in; what is not trusted is not started.

    Raises:
        SettingsError: docker mode without an image.
    """
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

    here_only = msgspec.structs.replace(settings.docker, auto_pull=False)
    try:
        id_ = image_fingerprint(type_, image, here_only)["image"]
    except StartupError as error:
        return Finding(image, type_, False, True, error.fact, error.next_step)
    return Finding(image, type_, True, True, f"container image {id_[7:19]}", "")


def uses_containers(resolved: Resolved) -> bool:
    """Whether any worker type is to run in containers.

    Raises:
        SettingsError: docker mode without an image.
    """
    return any(worker.mode == "docker" and worker.count > 0 for worker in resolved.workers().values())


def place_database(resolved: Resolved, database: Path, *, move: bool = True) -> Path:
    """Where the database that is called *database* lies: apart from all else as soon as containers are to use it.

    Args:
        move: move one there that is not yet.

    Raises:
        SettingsError: docker mode without an image.
        DatabaseError: it is used by somebody, so that it cannot be moved; or there are two of them.
    """
    if not uses_containers(resolved):
        return located(database)
    return move_apart(database) if move else located(database)


def settings_for(resolved: Resolved, database: Path) -> Settings:
    """The settings as this process and its workers use them with *database*: the journal mode resolved.

    Raises:
        SettingsError: docker mode without an image.
    """
    return with_journal_mode(resolved.settings, database, containers=uses_containers(resolved))
