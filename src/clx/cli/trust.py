"""``clx trust``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import verbose_option
from clx.cli.terminal import echo
from clx.db.of_project import project_root
from clx.errors import UsageError
from clx.settings.origin import Origin
from clx.settings.owners import complaint
from clx.settings.project import project_file
from clx.settings.resolve import Resolved, SettingsFile, resolve, settings_files
from clx.settings.secret import shown
from clx.settings.trust import forget_trust, is_trusted_place, read_trusted, trust_file, trust_place, trust_setting

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATE_FILES = ("config.toml", "worker-state.json", "jobs.db")
"""What of ``.clx`` is believed when it is this user's own."""


@click.command("trust")
@click.argument("place", type=click.Path(path_type=Path, readable=False), required=False)
@click.option("--list", "list_", is_flag=True, help="Only list what you trust.")
@click.option("--revoke", is_flag=True, help="Trust PLACE, and what lies in it, no more.")
@verbose_option(logs=False)
def command(place: Path | None, list_: bool, revoke: bool) -> None:
    """Let a project's settings reach outside of it, or use what is somebody else's.

    Programs, images, networks and databases elsewhere that .clx/config.toml of a project names are used only when you
    have said so here; what you trust is what they are now. A .clx directory, settings or state file that belongs to
    another user, or that others may write, is used only when you have said so here. PLACE is a project, a .clx
    directory or a file. [default: the project you are in] Each user trusts for themselves.

    \b
    Examples:
      clx doctor                 shows, among others, what is not trusted
      clx trust                  this project, as it is now
      clx trust /data/.clx       a directory that several users share
      clx trust --list
      clx trust --revoke .
    """
    if list_:
        _list()
        return
    if revoke:
        _revoke(place or Path())
        return
    state, files = _meant(place)
    done = [*_trust_places(state, files), *_trust_settings(state)]
    for line in done:
        echo(line)
    if not done:
        echo(f"Nothing in {state or files[0]} has to be trusted, or it is trusted already.")


def _list() -> None:
    trusted = read_trusted()
    for path, keys in sorted(trusted.settings.items()):
        for key in sorted(keys):
            echo(f"setting  {path}: {key}")
    for path in sorted(trusted.places):
        echo(f"place    {path}")
    if not trusted.settings and not trusted.places:
        echo(f"You trust nothing so far; it would be noted in {trust_file()}.")


def _revoke(place: Path) -> None:
    forgotten = forget_trust(place)
    echo("\n".join(f"Not trusted any more: {path}" for path in forgotten) or f"Nothing in {place} was trusted.")


def _meant(place: Path | None) -> tuple[Path | None, list[Path]]:
    """The ``.clx`` that *place* is, holds or lies below, and the files to look at; ``UsageError`` without one."""
    # normalised, so that it is trusted under the path by which it is met
    path = Path(os.path.abspath(place or Path()))  # noqa: PTH100
    if path.is_file() and path.parent.name != ".clx":
        return None, [path]
    if path.is_file():
        path = path.parent
    if path.name == ".clx":
        state = path
    elif place is None:
        settings = project_file(path)
        state = settings.parent if settings is not None else project_root(path) / ".clx"
    else:
        state = path / ".clx"
    if not os.path.lexists(state):
        raise UsageError(
            f"There is no .clx in {state.parent}: nothing has to be trusted.", "Name a project: clx trust DIR"
        )
    return state, [state / name for name in _STATE_FILES if os.path.lexists(state / name)]


def _trust_places(state: Path | None, files: list[Path]) -> Iterator[str]:
    """Trust the directory when it or a file in it is not this user's alone; a file without one by itself."""
    reasons = [(path, why) for path in [*([state] if state else []), *files] if (why := complaint(path))]
    if not reasons or all(is_trusted_place(path) for path, _ in reasons):
        return
    trust_place(state or files[0])
    for path, why in reasons:
        yield f"Trusted: {path}, which {why}"


def _trust_settings(state: Path | None) -> Iterator[str]:
    if state is None or not (state / "config.toml").is_file():
        return
    for key, value, origin in trust_reached(settings_with(state / "config.toml")):
        yield f"Trusted: {key} = {shown(key, value)} ({origin})"


def settings_with(path: Path) -> Resolved:
    """The settings of files alone, with a project's at *path*; ``SettingsError`` where they are not sound."""
    own = [file for file in settings_files(path.parent) if file.kind != "project"]
    return resolve(environ={}, files=[*own, SettingsFile("project", path)])


def trust_reached(resolved: Resolved, *keys: str) -> list[tuple[str, Any, Origin]]:
    """Trust what a project's settings reach as it is now, with *keys* only by these; what was trusted so."""
    found = [item for item in resolved.items() if item[0] in resolved.untrusted() and (not keys or item[0] in keys)]
    for key, _, _ in found:
        file, digest = resolved.digest(key)
        trust_setting(file, key, digest)
    return found
