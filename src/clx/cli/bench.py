"""``clx bench``."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from clx.cli.options import Number, disk_option, verbose_option
from clx.cli.output import format_choice, print_json
from clx.cli.terminal import echo


@click.command("bench")
@disk_option("measure")
@click.option("--scale", type=Number(0.01, 100), default=1.0, show_default=True, help="How much work.")
@format_choice
@verbose_option(logs=False)
def command(directory: Path | None, scale: float, format_: str) -> None:
    """Measure the queue on this machine, beside what SQLite does with the same statements and no rules.

    \b
    Examples:
      clx bench
      clx bench --directory /data --format json
    """
    from clx.db.bench import measure

    numbers = []
    with tempfile.TemporaryDirectory(prefix=".clx-bench-", dir=directory or Path.cwd()) as folder:
        for number in measure(Path(folder), scale=scale):
            numbers.append({**asdict(number), "ratio": number.ratio})
            if format_ == "table":
                ratio = f"{number.ratio:.2f} × {number.bare:,.0f}" if number.ratio and number.bare else ""
                echo(f"{number.name:<40} {number.value:>12,.1f} {number.unit:<7} {ratio}")
    if format_ == "json":
        print_json({"bench": numbers})
