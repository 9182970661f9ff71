"""What a project's settings make the machine do outside of the project, and which of it has to be trusted first.

A project's settings come with the project, from whoever wrote it. What they reach outside of it (a program, an image
of a registry, a database elsewhere, a network, weaker walls than this user asked for) holds only once this user has
looked at it and typed ``clx trust``. Settings of the user, of the system, of the environment and of the command line
are the user's own. Which settings reach anything stands with their types in :mod:`clx.settings.section`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clx.settings.job_types import SECTIONS
from clx.settings.keys import all_keys
from clx.settings.origin import Value
from clx.settings.problems import Problem
from clx.settings.schema import ROUTINE_WORKERS
from clx.settings.secret import shown
from clx.settings.section import Reach


class Rule(NamedTuple):
    """What is said of settings of one reach that a project has written."""

    what: str
    """What such a setting does that was not trusted, as what follows its key in a message; ``{}`` is its value."""
    words: str
    """When it has to be trusted, as what follows "needs trust" on the reference page; empty: always."""


RULES: dict[Reach, Rule] = {
    "program": Rule("names a program, {}, that the project brought and you have not trusted", ""),
    "image": Rule(
        "names an image, {}, that the project brought and you have not trusted", "with a `/` (of a registry)"
    ),
    "place": Rule("names a place outside of the project, {}, that you have not trusted", "outside of the project"),
    "places": Rule("names directories outside of the project, {}, that you have not trusted", "outside of the project"),
    "server": Rule("names a server, {}, that you have not trusted", ""),
    "network": Rule("names a network, {}, that you have not trusted", "unless it is `none` or what holds anyway"),
    "pull": Rule("lets images be fetched, which you do not", "to say `true` where you say `false`"),
    "mode": Rule("takes code out of the containers that you asked for", "to say `direct` where you say `docker`"),
}
"""``own`` has none: a project that writes such a setting is told that it cannot."""


TOOLS = {
    type_: (
        *(name for name, key in all_keys().items() if key.reach == "program" and name.startswith(f"{type_}.")),
        *section.uses,
    )
    for type_, section in SECTIONS.items()
}
"""Worker type → the settings that name what it runs."""


TOOLS.update(dict.fromkeys(ROUTINE_WORKERS, ("python.interpreter", "python.path")))


def image_key(type_: str) -> str:
    """The setting that names the container image of a worker type."""
    return f"workers.{type_}.image"


def reached_by(type_: str, mode: str) -> tuple[str, ...]:
    """The settings whose reach workers of a type have in a mode, ``direct`` or ``docker``."""
    if mode == "direct":
        return TOOLS.get(type_, ())
    return (image_key(type_), *(name for name, key in all_keys().items() if key.reach and name.startswith("docker.")))


def untrusted(
    values: Mapping[str, Value], own: Mapping[str, Value], path_of: Callable[[str], Path | None]
) -> dict[str, Problem]:
    """What the project's settings reach and this user has not trusted, by its setting, with what to type.

    Args:
        own: what holds without the project's settings, the environment and the command line.
        path_of: a setting that is a path → the absolute path.

    Raises:
        SettingsError: others may write what this user trusts.
    """
    found = {key: value for key, value in values.items() if _has_to_be_trusted(key, value, own, path_of)}
    if not found:
        return {}
    from clx.settings.trust import read_trusted

    trusted = read_trusted().settings
    return {
        key: _problem(key, value)
        for key, value in found.items()
        if trusted.get(os.path.realpath(settings_file_of(value)), {}).get(key) != digest_of(key, value, path_of)
    }


def _has_to_be_trusted(key: str, value: Value, own: Mapping[str, Value], path_of: Callable[[str], Path | None]) -> bool:
    if value.origin.kind != "project" or value.value is None:
        return False
    mine = own[key].value
    match all_keys()[key].reach:
        case "program" | "server":
            return True
        case "image":  # without / it is one of this machine, as `clx docker build` makes them, or an official one
            return "/" in value.value
        case "place":
            return not _is_below(path_of(key), value.origin.base)
        case "places":
            return not all(_is_below(_absolute(each, value), value.origin.base) for each in value.value)
        case "network":
            return value.value not in ("none", mine)
        case "pull":
            return bool(value.value) and not mine
        case "mode":
            asked = mine or own["workers.default_execution_mode"].value
            return bool(value.value == "direct" and asked == "docker")
    return False


def _absolute(path: str, value: Value) -> Path:
    return Path(os.path.normpath((value.origin.base or Path.cwd()) / os.path.expanduser(path)))  # noqa: PTH111


def _is_below(path: Path | None, base: Path | None) -> bool:
    return path is None or base is None or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(base))


def settings_file_of(value: Value) -> Path:
    """The project's settings file that a value is written in."""
    assert value.origin.base is not None
    return value.origin.base / ".clx" / "config.toml"


def digest_of(key: str, value: Value, path_of: Callable[[str], Path | None]) -> str:
    """What a setting reaches: its value, where that leads, and the content of a program that lies in the project."""
    import hashlib  # a command that meets no such setting need not

    digest = hashlib.sha256(f"{key}\0{value.value}\0".encode())
    reach = all_keys()[key].reach
    path = path_of(key) if reach in ("program", "place") else None
    if path is not None and value.origin.base is not None:
        real = os.path.realpath(path)
        digest.update(f"{real}\0".encode())
        if reach == "program" and _is_below(path, value.origin.base) and Path(real).is_file():
            digest.update(_content(real))
    return digest.hexdigest()


def _content(path: str) -> bytes:
    import hashlib

    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b"unreadable"


def _problem(key: str, value: Value) -> Problem:
    import shlex

    reach: Any = all_keys()[key].reach
    what = RULES[reach].what.format(shown(key, value.value))
    return Problem(
        value.origin.where,
        f"{key} {what}",
        f"Look at it; then type: clx trust {shlex.quote(str(settings_file_of(value).parent.parent))}",
    )
