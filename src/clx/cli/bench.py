"""``clx bench``."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from clx.cli.options import Number, disk_option, verbose_option
from clx.cli.output import format_choice, print_json
from clx.cli.terminal import echo
from clx.errors import UsageError


@click.command("bench")
@disk_option("measure")
@click.option("--db", "url", metavar="URL", help="A server to measure instead: postgresql://USER@HOST/DATABASE.")
@click.option("--scale", type=Number(0.01, 100), default=1.0, show_default=True, help="How much work.")
@format_choice
@verbose_option(logs=False)
def command(directory: Path | None, url: str | None, scale: float, format_: str) -> None:
    """Measure the queue on this machine, beside what the bare driver does with the same statements and no rules.

    Works in a temporary directory, or in databases of its own on a server, which it removes.

    \b
    Examples:
      clx bench
      clx bench --directory /data --format json
      clx bench --db postgresql://clx@db.example.org/clx
    """
    from clx.db.bench import measure
    from clx.db.url import is_served

    if url is not None and not is_served(url):
        raise UsageError(
            "--db names no server.", "Write postgresql://USER@HOST/DATABASE; a disk is measured by --directory."
        )
    numbers = []
    with tempfile.TemporaryDirectory(prefix=".clx-bench-", dir=directory or Path.cwd()) as folder:
        for number in measure(Path(folder) if url is None else url, scale=scale):
            numbers.append({**asdict(number), "ratio": number.ratio})
            if format_ == "table":
                ratio = f"{number.ratio:.2f} × {number.bare:,.0f}" if number.ratio and number.bare else ""
                echo(f"{number.name:<40} {number.value:>12,.1f} {number.unit:<7} {ratio}")
    if format_ == "json":
        print_json({"bench": numbers})
