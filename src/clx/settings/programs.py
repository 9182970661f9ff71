"""The programs that settings name, and which of them may be run.

A project's settings come with the project, from whoever wrote it. What they name as a program, or as a container image
of some registry, is run only once this user has looked at it and typed ``clx trust``. Settings of the user, of the
system, of the environment and of the command line are the user's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from clx.settings.origin import Value
from clx.settings.problems import Problem

TOOLS = {
    "notebook": ("notebook.python",),
    "plantuml": ("plantuml.jar", "plantuml.java"),
    "drawio": ("drawio.executable",),
}
"""Worker type → the settings that name what it runs."""


def image_key(type_: str) -> str:
    """The setting that names the container image of a worker type."""
    return f"workers.{type_}.image"


def named_by_project(values: Mapping[str, Value]) -> dict[str, Value]:
    """Every program and image that the project's settings name, by its setting.

    An image whose name holds no ``/`` is one of this machine, as ``clx docker build`` makes them, or an official one.
    """
    keys = [key for type_, tools in TOOLS.items() for key in (*tools, image_key(type_))]
    found = {key: values[key] for key in keys if values[key].value and values[key].origin.kind == "project"}
    return {key: value for key, value in found.items() if not key.endswith(".image") or "/" in value.value}


def settings_file_of(value: Value) -> Path:
    """The project's settings file that a value is written in."""
    assert value.origin.base is not None
    return value.origin.base / ".clx" / "config.toml"


def digest_of(named: Mapping[str, Value], path_of: Callable[[str], Path | None]) -> str:
    """What the programs are: their settings, and the content of those that lie in the project.

    Args:
        named: as :func:`named_by_project` gives them.
        path_of: a setting that is a path → the absolute path.
    """
    import hashlib  # a command that meets no such setting need not

    digest = hashlib.sha256()
    for key, value in sorted(named.items()):
        digest.update(f"{key}\0{value.value}\0".encode())
        path = path_of(key)
        if path is None or key.endswith(".image") or value.origin.base is None:
            continue
        real = os.path.realpath(path)
        digest.update(f"{real}\0".encode())
        if Path(real).is_relative_to(os.path.realpath(value.origin.base)) and Path(real).is_file():
            digest.update(_content(real))
    return digest.hexdigest()


def _content(path: str) -> bytes:
    import hashlib

    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b"unreadable"


def untrusted_programs(values: Mapping[str, Value], programs: tuple[Path, str] | None) -> dict[str, Problem]:
    """What the project's settings name and this user has not trusted, by its setting, with what to type.

    Args:
        programs: the settings file and the digest of what it names; None when it names nothing.

    Raises:
        SettingsError: others may write what this user trusts.
    """
    if programs is None:
        return {}
    from clx.settings.trust import read_trusted

    file, digest = programs
    if read_trusted().programs.get(os.path.realpath(file)) == digest:
        return {}
    return {key: _problem(key, value, file.parent.parent) for key, value in named_by_project(values).items()}


def _problem(key: str, value: Value, project: Path) -> Problem:
    import shlex

    what = "an image" if key.endswith(".image") else "a program"
    return Problem(
        value.origin.where,
        f"{key} names {what}, {value.value}, that the project brought and you have not trusted",
        f"Look at it; then type: clx trust {shlex.quote(str(project))}",
    )
