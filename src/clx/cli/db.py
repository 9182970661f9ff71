"""``clx db check|backup|prune|migrate|path``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import Number, about_database, verbose_option
from clx.cli.output import Output, format_option
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.errors import EXIT_DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clx.workers.supervision.pruning import PruneReport


@click.group("db")
def command() -> None:
    """Look after the job table.

    \b
    Examples:
      clx db path                    where it is
      clx db check                   is it whole, and do its rows agree
      clx db backup saved.db         a copy that is whole, also while it is used
      clx db prune                   forget what is long over
      clx db migrate                 make the tables, or bring older ones up
    """


@command.command("path")
@about_database
@verbose_option(logs=False)
def path_(here: Here) -> None:
    """Print where the job table is, or would be.

    \b
    Examples:
      clx db path
      sqlite3 "file:$(clx db path)?mode=ro" "SELECT state, count(*) FROM jobs GROUP BY state"
    """
    echo(here.path)


@command.command("migrate")
@about_database
@verbose_option(logs=False)
def migrate_(here: Here) -> None:
    """Make the tables, or bring older ones up to this version.

    Whatever opens the job table to change it does so by itself; by this command an operator does it beforehand. Only
    one process at a time does, and a table of a newer version is refused.

    \b
    Examples:
      clx db migrate
      clx db migrate --db postgresql://clx@db.example.org/clx
    """
    from clx.cli.project import open_or_make

    with open_or_make(here.resolved, here.path) as database:
        echo(f"{database.name}: schema {database.revision()}")


@command.command("check")
@about_database
@format_option
@verbose_option(logs=False)
def check_(here: Here) -> Output:
    """See that the file is whole and its rows agree.

    Every artifact that they name is looked for, too. Exit code 4 when something is wrong. Changes nothing; safe while
    builds run.

    \b
    Examples:
      clx db check
      clx db check --db-path /data/jobs.db --format json
    """
    with here.require(here.look()) as database:
        problems = _problems(database)
    return Output(
        {"database": database.name, "ok": not problems, "problems": problems},
        [f"{database.name}: {f'{len(problems)} problem(s)' if problems else 'ok'}"],
        asides=[f"Problem: {problem}" for problem in problems],
        exit_code=EXIT_DATABASE if problems else 0,
    )


def _problems(database: Any) -> list[str]:
    from clx.artifacts.store import ArtifactStore
    from clx.db.check import check
    from clx.db.results import all_results

    store = ArtifactStore(database.state.shared / "artifacts")
    missing = [
        digest
        for _, result in all_results(database)
        for _name, digest, size in _outputs(result)
        if not store.has(digest, size)
    ]
    lost = [f"{len(missing)} artifacts that results name are missing; the next build makes them anew"]
    return check(database) + (lost if missing else [])


def _outputs(result: Any) -> list[Any]:
    """The outputs that a kept result names, as builds write them: programs of one's own leave results of any form."""
    found = result.get("outputs") if isinstance(result, dict) else None
    lists = [each for each in found if isinstance(each, list)] if isinstance(found, list) else []
    return [each for each in lists if [type(part) for part in each] == [str, str, int]]


@command.command("backup")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@about_database
@verbose_option(logs=False)
def backup_(here: Here, target: Path) -> None:
    """Copy the job table to TARGET, whole, also while it is used.

    Never copy it with file tools while it is used: the copy may be torn, and committed work lost.

    \b
    Examples:
      clx db backup saved.db
    """
    with here.require(here.look()) as database:
        size = database.backup(target.absolute())
    echo(f"{target}: {size / 2**20:.1f} MiB")


@command.command("prune")
@click.option("--days", type=Number(0, 36500), help="Keep this many days of everything.")
@click.option("--vacuum", is_flag=True, help="Give freed space back to the file system; waits for the file to itself.")
@about_database
@format_option
@verbose_option(logs=False)
def prune_(here: Here, days: float | None, vacuum: bool) -> Output:
    """Forget what is long over.

    Jobs, runs, workers, results, artifacts and logs go. Kept are succeeded jobs for 30 days, failed ones for 90,
    ended workers for 30, results for 180 days after their last use. What a live row names always stays. Batches whose
    build is gone are ended, and jobs that only they wanted cancelled. Builds prune by themselves once a day.

    \b
    Examples:
      clx db prune
      clx db prune --days 7 --vacuum
      clx db prune --format json
    """
    from clx.db import retention
    from clx.workers.supervision.pruning import prune_project

    policy = retention.Policy() if days is None else retention.Policy(days, days, days, days)
    with here.require(here.change()) as database:
        done = prune_project(database, policy)
        freed = database.vacuum() if vacuum else None
    return Output(_pruned_document(database.name, done, freed), _pruned(done, freed))


def _pruned_document(name: str, done: PruneReport, freed: int | None) -> dict[str, Any]:
    rows = asdict(done.rows)
    ended = rows.pop("abandoned")
    removed = rows | {key: value for key, value in asdict(done).items() if key != "rows"}
    return {"database": name, "removed": removed, "batches_ended": ended, "freed_bytes": freed}


def _pruned(done: PruneReport, freed: int | None) -> Iterator[str]:
    rows = done.rows
    yield (
        f"Removed {rows.jobs} jobs, {rows.workers} workers, {rows.events} events, {rows.batches} batches, "
        f"{rows.results} results, {rows.fires} fires of schedules, {rows.pipelines} pipelines; "
        f"{done.artifacts} artifacts ({done.artifact_bytes / 2**20:.1f} MiB), "
        f"{done.logs} logs, {done.directories} job directories."
    )
    if rows.abandoned:
        yield f"Ended {rows.abandoned} batch(es) whose build is gone."
    if freed is not None:
        yield f"The database is {abs(freed) / 2**20:.1f} MiB {'smaller' if freed >= 0 else 'larger'}."
