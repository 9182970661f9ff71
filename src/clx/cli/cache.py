"""``clx cache stats|prune``."""

from __future__ import annotations

import copy

import click

from clx.cli.db import prune_
from clx.cli.options import about_database, verbose_option
from clx.cli.output import Output, format_option
from clx.cli.project import Here


@click.group("cache")
def command() -> None:
    """What is kept so that work is not done twice: results and their artifacts.

    \b
    Examples:
      clx cache stats
      clx cache prune --days 7
    """


@command.command("stats")
@format_option
@about_database
@verbose_option(logs=False)
def stats(here: Here) -> Output:
    """How many results and artifacts there are, and how large they are.

    \b
    Examples:
      clx cache stats
      clx cache stats --format json
    """
    from clx.artifacts.store import ArtifactStore
    from clx.db.results import all_results

    found = {"results": 0, "artifacts": 0, "artifact_bytes": 0, "database_bytes": 0}
    database = here.look()
    if database is None:
        return Output({"cache": found}, [here.nobody])
    with database:
        found["results"] = len(all_results(database))
        found["artifacts"], found["artifact_bytes"] = ArtifactStore(database.state.shared / "artifacts").size()
        found["database_bytes"] = database.size()
    lines = [
        f"{found['results']} results",
        f"{found['artifacts']} artifacts, {found['artifact_bytes'] / 2**20:.1f} MiB",
        f"database {found['database_bytes'] / 2**20:.1f} MiB",
    ]
    return Output({"cache": found}, lines)


_prune = copy.copy(prune_)
_prune.help = (prune_.help or "").replace("clx db", "clx cache")
command.add_command(_prune)
