"""``clx selftest``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from clx.cli.options import Number, disk_option, verbose_option
from clx.cli.terminal import echo
from clx.errors import EXIT_DATABASE, EXIT_DONE


@click.command("selftest")
@click.option("--seconds", type=Number(1, 600), default=15.0, show_default=True, help="How long it storms.")
@click.option("--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Processes at a time.")
@disk_option("try")
@click.option(
    "--journal-mode", type=click.Choice(["wal", "delete"]), default="wal", show_default=True, help="How SQLite writes."
)
@verbose_option(passed=True, logs=False)
@click.pass_context
def command(
    context: click.Context, seconds: float, workers: int, directory: Path | None, journal_mode: str, verbose: bool
) -> None:
    """Kill workers at random on your disk and see that nothing is lost and nothing is done twice.

    Works in a temporary directory, which it removes. Exit code 4 when something was lost, doubled or damaged.

    \b
    Examples:
      clx selftest
      clx selftest --seconds 60 --directory /data
    """
    from clx.db.storm import Storm

    with tempfile.TemporaryDirectory(prefix=".clx-selftest-", dir=directory or Path.cwd()) as folder:
        outcome = Storm(
            Path(folder) / "jobs.db",
            jobs=10**9,
            seconds=seconds,
            workers=workers,
            every=max(0.1, seconds / 40),
            limit=seconds + 60,
            journal_mode=journal_mode,
        ).run()
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
