"""Options that several commands share, each with the variable of the setting it mirrors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from clx.cli.next_steps import remember
from clx.cli.project import Here
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.origin import OptionValue
from clx.settings.resolve import Resolved, resolve
from clx.settings.schema import ROUTINE_WORKERS
from clx.visible import visible

F = TypeVar("F", bound=Callable[..., Any])

SETTING_OPTIONS = {
    "workers": ("workers.default_execution_mode", "--workers"),
    "worker_count": ("workers.default_worker_count", "--worker-count"),
    "artifacts": ("artifacts.url", "--artifacts"),
    **{
        f"{type_}_workers": (f"workers.{type_}.count", f"--{type_}-workers") for type_ in (*JOB_TYPES, *ROUTINE_WORKERS)
    },
}
"""Parameter → the setting it overrides and how it is spelled."""


def worker_options(command: F) -> F:
    """How many workers of which kind (REQ-2.4)."""
    count = click.IntRange(min=0, max=256)
    for option in reversed(
        [
            click.option("--workers", type=click.Choice(["direct", "docker"]), help="How workers run."),
            click.option("--worker-count", type=count, metavar="N", help="Workers per type."),
            *(
                click.option(f"--{type_}-workers", type=count, metavar="N", help=f"Workers for {job_type.title}.")
                for type_, job_type in JOB_TYPES.items()
            ),
            click.option("--artifacts", metavar="URL", help="The server that keeps artifacts for other machines."),
        ]
    ):
        command = option(command)
    return command


def routine_options(command: F) -> F:
    """How many workers of tasks, and hosts of workflows."""
    count = click.IntRange(min=0, max=256)
    for type_, words in (("workflow", "Hosts of workflows"), ("python", "Workers for tasks")):
        command = click.option(f"--{type_}-workers", type=count, metavar="N", help=f"{words} (python.modules).")(
            command
        )
    return command


class Number(click.FloatRange):
    """A number within bounds; ``nan``, which compares with none, is no number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number as typed."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


class Identifier(click.types.IntParamType):
    """The number of a row."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number as typed."""
        found = super().convert(value, param, ctx)
        if not 0 < found < 1 << 63:
            self.fail(f"{value} is not the number of anything.", param, ctx)
        return found


IDENTIFIER = Identifier()
SECONDS = Number(0, 24 * 3600)
"""A time that somebody waits."""


def repeatable(option: str, *names: str, only: str, complete: Any) -> Callable[[F], F]:
    """An option that may be given several times, each time for one thing more."""
    letter = option[2].upper()
    help_ = f"Only {only}. Repeatable."
    return click.option(option, *names, multiple=True, metavar=letter, shell_complete=complete, help=help_)


def disk_option(what: str) -> Callable[[F], F]:
    """``--directory``: where a disk is tried or measured."""
    return click.option(
        "--directory",
        type=click.Path(file_okay=False, exists=True, path_type=Path),
        help=f"The disk to {what}, by a directory on it. [default: the current directory]",
    )


class DatabasePath(click.Path):
    """A file of SQLite, or the URL of a database of a server: then the file that stands for it on this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The file."""
        from clx.db.url import is_served, placed, require_path

        if isinstance(value, str):
            if is_served(value):
                return placed(value)
            require_path(value)
        return super().convert(value, param, ctx)


def database_option(command: F, *, short: bool = True) -> F:
    """``--db-path``.

    Args:
        short: also as ``--db``.
    """
    return click.option(
        "--db-path",
        *(["--db"] if short else []),
        "db_path",
        type=DatabasePath(dir_okay=False, path_type=Path),
        envvar="CLX_DATABASE__PATH",
        callback=remember,
        help="The job table: a file, or postgresql://USER@HOST/DATABASE. [default: <course root>/.clx/jobs.db]",
    )(command)


def about_database(command: F, *, short: bool = True) -> F:
    """``--db-path``, *short* as ``--db``; the command gets the :class:`~clx.cli.project.Here` it names as ``here``."""

    @wraps(command)
    def run(*arguments: Any, db_path: Path | None, **options: Any) -> Any:
        return command(*arguments, here=Here(db_path), **options)

    return database_option(run, short=short)  # type: ignore[return-value]


def verbose_option(*, logs: bool = True, passed: bool = False) -> Callable[[F], F]:
    """``-v``.

    Args:
        logs: whether log lines are shown: with it of at least level INFO, else warnings.
        passed: whether the command itself gets it, as ``verbose``.
    """
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=passed,
        callback=_log_to_terminal if logs else None,
        help="Say more: workers, tracebacks, why each job ran.",
    )


def settings_from(context: click.Context, start: Path, further: Mapping[str, OptionValue] | None = None) -> Resolved:
    """The settings for a command that was given options of :data:`SETTING_OPTIONS`.

    Args:
        further: dotted key → value of an option that only this command has.

    Raises:
        SettingsError: something in them is wrong.
    """
    given = dict(further or {})
    for parameter, (key, option) in SETTING_OPTIONS.items():
        value = context.params.get(parameter)
        typed = context.get_parameter_source(parameter) == ParameterSource.COMMANDLINE
        given[key] = OptionValue(value if typed else None, option)
    return resolve(start, options=given)


def _log_to_terminal(context: click.Context, _parameter: click.Parameter, verbose: bool) -> bool:
    if not context.resilient_parsing:
        terminal = logging.StreamHandler()
        terminal.setLevel(logging.INFO if verbose else logging.WARNING)  # its own: the log file may want more
        terminal.setFormatter(_VisibleFormatter("%(levelname)s %(message)s"))
        logging.basicConfig(level=terminal.level, handlers=[terminal])
    return verbose


class _VisibleFormatter(logging.Formatter):
    """Log lines whose control characters are written out."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry; a traceback keeps its lines."""
        return visible(super().format(record))
