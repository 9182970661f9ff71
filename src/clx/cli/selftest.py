"""``clx selftest``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import Number, disk_option, verbose_option
from clx.cli.terminal import echo
from clx.errors import EXIT_DATABASE, EXIT_DONE, UsageError

if TYPE_CHECKING:
    from clx.db.storm import Outcome


@click.command("selftest")
@click.option("--seconds", type=Number(1, 600), default=15.0, show_default=True, help="How long it storms.")
@click.option("--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Processes at a time.")
@disk_option("try")
@click.option(
    "--journal-mode", type=click.Choice(["wal", "delete"]), default="wal", show_default=True, help="How SQLite writes."
)
@click.option("--db", "url", metavar="URL", help="A server to try instead: postgresql://USER@HOST/DATABASE.")
@verbose_option(passed=True, logs=False)
@click.pass_context
def command(context: click.Context, /, url: str | None, verbose: bool, **options: Any) -> None:
    """Kill workers at random on your disk, or server, and see that nothing is lost and nothing is done twice.

    Works in a temporary directory, or database, which it removes. Exit code 4 when something was lost, doubled or
    damaged.

    \b
    Examples:
      clx selftest
      clx selftest --seconds 60 --directory /data
      clx selftest --db postgresql://clx@db.example.org/clx
    """
    outcome, workers = _outcome(url, **options), options["workers"]
    echo(
        f"{outcome.jobs} jobs, {outcome.runs} runs, {outcome.kills} workers killed, {workers} at a time, "
        f"{outcome.seconds:.1f} s"
    )
    echo(f"lost {outcome.lost}")
    echo(f"doubled {outcome.doubled}")
    if outcome.rescues:
        echo(f"rescue p50 {outcome.rescue(0.5)} ms, p99 {outcome.rescue(0.99)} ms")
    for problem in outcome.problems:
        echo(f"Problem: {problem}", err=True)
    if verbose:
        echo(f"rescued {len(outcome.rescues)} jobs: {sorted(outcome.rescues)} ms")
    context.exit(EXIT_DONE if outcome.ok else EXIT_DATABASE)


def _outcome(url: str | None, *, seconds: float, workers: int, directory: Path | None, journal_mode: str) -> Outcome:
    from clx.db.storm import Storm
    from clx.db.url import is_served

    @contextmanager
    def on_disk() -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix=".clx-selftest-", dir=directory or Path.cwd()) as folder:
            yield Path(folder) / "jobs.db"

    place: AbstractContextManager[Path | str] = on_disk()
    if url is not None:
        if not is_served(url):
            raise UsageError(
                "--db names no server.", "Write postgresql://USER@HOST/DATABASE; a disk is tried by --directory."
            )
        from clx.db.postgresql.scratch import scratch_database

        place = scratch_database(url)
    with place as database:
        return Storm(
            database,
            jobs=10**9,
            seconds=seconds,
            workers=workers,
            every=max(0.1, seconds / 40),
            limit=seconds + 60,
            journal_mode=journal_mode,
        ).run()
