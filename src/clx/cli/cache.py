"""``clx cache stats|prune``."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import click

from clx.cli.db import prune_
from clx.cli.options import database_option, settings_from, verbose_option
from clx.cli.project import database_path, no_database, open_to_look
from clx.cli.terminal import echo


@click.group("cache")
def command() -> None:
    """What is kept so that work is not done twice: results and their artifacts.

    \b
    Examples:
      clx cache stats
      clx cache prune --days 7
    """


@command.command("stats")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
@database_option
@verbose_option
@click.pass_context
def stats(context: click.Context, format_: str, db_path: Path | None, verbose: bool) -> None:  # noqa: ARG001
    """How many results and artifacts there are, and how large they are.

    \b
    Examples:
      clx cache stats
      clx cache stats --format json
    """
    from clx.artifacts.store import ArtifactStore
    from clx.db.results import all_results

    found = {"results": 0, "artifacts": 0, "artifact_bytes": 0, "database_bytes": 0}
    resolved = settings_from(context, Path.cwd())
    database = open_to_look(resolved, db_path)
    if database is not None:
        with database:
            found["results"] = len(all_results(database))
            found["artifacts"], found["artifact_bytes"] = ArtifactStore(database.state.shared / "artifacts").size()
            found["database_bytes"] = database.path.stat().st_size
    if format_ == "json":
        echo(json.dumps({"cache": found}, indent=2))
        return
    if database is None:
        echo(no_database(database_path(resolved, db_path)))
        return
    echo(f"{found['results']} results")
    echo(f"{found['artifacts']} artifacts, {found['artifact_bytes'] / 2**20:.1f} MiB")
    echo(f"database {found['database_bytes'] / 2**20:.1f} MiB")


_prune = copy.copy(prune_)
_prune.help = (prune_.help or "").replace("clx db", "clx cache")
command.add_command(_prune)
