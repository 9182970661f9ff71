"""``clx start-services`` and ``clx stop-services``."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import (
    SECONDS,
    SETTING_OPTIONS,
    about_database,
    database_option,
    routine_options,
    settings_from,
    verbose_option,
    worker_options,
)
from clx.cli.output import Output, format_choice, format_option, worker_document
from clx.cli.project import Here, open_or_make
from clx.cli.terminal import echo
from clx.commands import SERVED, database_name, on_database
from clx.db.of_project import database_path
from clx.errors import DatabaseBusyError, DatabaseError
from clx.settings.resolve import settings_files
from clx.settings.schema import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clx.db.workers import WorkerRow
    from clx.workers.executors.spec import WorkerSpec
    from clx.workers.supervision.services import Started, Stopped

_START_EPILOG = """\b
Examples:
  clx start-services                                    as the settings say, for this project
  clx start-services --db-path /data/clx_jobs.db        for every build with that database
  clx start-services --notebook-workers 4 --drawio-workers 0
  clx start-services --workers docker                   in containers
  clx start-services --db-path /data/clx_jobs.db --print-systemd > clx.service
  clx build course.yaml --db-path /data/clx_jobs.db     uses them

\b
Exit codes: 0 all workers have registered; 2 usage or settings error; 3 workers, a tool or the
container engine could not start; 4 database error.
"""

_STOP_EPILOG = """\b
Examples:
  clx stop-services                                     for this project
  clx stop-services --db-path /data/clx_jobs.db --timeout 60
  clx stop-services --format json

\b
Exit codes: 0 nothing runs any more (also when nothing ran); 2 usage or settings error;
3 containers may be left, for the container engine does not answer; 4 database error.
"""


@click.command("start-services", epilog=_START_EPILOG)
@worker_options
@routine_options
@database_option
@click.option("--foreground", is_flag=True, help="Stay and supervise in this process, as systemd wants it.")
@click.option("--print-systemd", is_flag=True, help="Print a systemd unit for these options, start nothing.")
@format_choice
@verbose_option(passed=True)
@click.pass_context
def start(context: click.Context, /, **options: Any) -> None:
    """Start workers that stay, for every build that uses the same database.

    Returns as soon as they have registered. They outlive this command, the shell and the builds; one that
    dies is replaced. Called again it starts what is missing.
    """
    from clx.workers.supervision.service_state import refuse_beside_another
    from clx.workers.supervision.services import start_services, wanted_workers

    resolved = settings_from(context, Path.cwd())
    path = database_path(resolved, options["db_path"])
    wanted = wanted_workers(resolved, path)
    if options["print_systemd"]:
        from clx.cli.systemd import owner, systemd_unit

        if owner() == "root":
            _note(
                "The unit runs as root, which you are. Print it as the user whose courses it is for, or change User=."
            )
        echo(systemd_unit(path, _options_as_typed(options), _settings_directory(path)), nl=False)
        return
    refuse_beside_another(path)  # before a file is made
    with open_or_make(resolved, path, starting=True) as database, resolved.blamed():
        started = start_services(database, wanted, _note, foreground=options["foreground"])
    if options["foreground"]:
        from clx.workers.supervision.supervisor import supervise

        context.exit(supervise(path))
    document = {
        "database": database_name(path),
        "started": started.new,
        "supervisor_replaced": started.replaced,
        "workers": [worker_document(row) for row in started.workers],
    }
    lines = (_started(started, path, verbose=options["verbose"]), _surplus(started, wanted, path))
    Output(document, chain(*lines, _outdated(started, wanted, path))).show(options["format_"])


def _note(text: str) -> None:
    echo(text, err=True)


def _started(started: Started, path: Path, *, verbose: bool) -> Iterator[str]:
    from clx.workers.supervision.service_state import stop_command

    for kind in dict.fromkeys((row.type, row.mode) for row in started.workers):
        rows = [row for row in started.workers if (row.type, row.mode) == kind]
        new = ", ".join(f"#{row.id}" for row in rows if row.id in started.new)
        old = ", ".join(f"#{row.id}" for row in rows if row.id not in started.new)
        parts = [f"started {new}" if new else "", f"running already {old}" if old else ""]
        yield f"{kind[0]}: {len(rows)} worker(s), {kind[1]}: {'; '.join(part for part in parts if part)}"
    for row in started.workers if verbose else ():
        yield f"#{row.id} {row.type}, {row.mode}, pid {row.pid}, settings from {row.config_source}"
    if started.replaced:
        yield "Their supervisor was gone: a new one keeps them now."
    yield f"Database: {database_name(path)}"
    yield f"Use them: {on_database('clx build course.yaml', path)}"
    yield f"Stop them: {stop_command(path)}"


def _surplus(started: Started, wanted: list[WorkerSpec], path: Path) -> Iterator[str]:
    """Starting stops nobody: where fewer were asked for than run, say so."""
    for each in wanted:
        there = [row.id for row in started.workers if row.key == each.key]
        if len(there) > each.count:
            fewer = map(str, there[each.count :])
            yield (
                f"{each.type}: {each.count} asked for ({each.config_source}), {len(there)} run and stay. "
                f"To have fewer: {on_database(' '.join(['clx workers stop', *fewer]), path)}"
            )


def _outdated(started: Started, wanted: list[WorkerSpec], path: Path) -> Iterator[str]:
    """Workers of an earlier CLX, image or tool stay as well, and no build would ask for them: say so."""
    from clx.workers.supervision.build_workers import why_not

    keys = {each.key for each in wanted}
    for each in wanted:
        for row in started.workers:
            alike = (row.type, row.mode, row.image) == (each.type, each.mode, each.image)
            if alike and row.key not in keys:
                yield (
                    f"#{row.id} stays, but builds as of now do not use it: {why_not(row, each)}. "
                    f"To end it: {on_database(f'clx workers stop {row.id}', path)}"
                )


def _settings_directory(database: Path) -> Path:
    """Where the settings that hold here are found again: the project's root, else beside the database."""
    from clx.db.apart import state_directory

    project = next((file.path for file in settings_files(Path.cwd()) if file.kind == "project"), None)
    return state_directory(database).parent if project is None else project.parent.parent


def _options_as_typed(options: dict[str, Any]) -> list[str]:
    typed = [(option, options[name]) for name, (_key, option) in SETTING_OPTIONS.items()]
    return [word for option, value in typed if value is not None for word in (option, str(value))]


@click.command("stop-services", epilog=_STOP_EPILOG)
@about_database
@click.option(
    "--timeout",
    type=SECONDS,
    metavar="S",
    help="Seconds workers have to finish their jobs. [default: workers.grace_period]",
)
@format_option
@verbose_option()
def stop(here: Here, timeout: float | None) -> Output:
    """Stop the workers that start-services started, and leave nothing behind.

    Jobs that are not finished in time are handed back: another worker takes them. Safe to call twice.
    """
    from clx.workers.supervision.service_state import stop_command

    grace = here.resolved.settings.workers.grace_period if timeout is None else timeout
    said, ended, left = _stop(here, grace)
    elsewhere = [] if any(ended.values()) else here.services_elsewhere()  # perhaps those of another one were meant
    document = {
        "database": database_name(here.path),
        "workers": 0,
        "processes": 0,
        "containers": 0,
        **ended,
        "left": [{"id": row.id, "host": row.host} for row in left],
        "services_elsewhere": [str(each) for each in elsewhere],
    }
    return Output(
        document,
        [said, *(f"Services run on another database: {stop_command(each)}" for each in elsewhere)],
        asides=(f"Worker #{row.id} runs on {row.host} and is not this machine's to stop." for row in left),
    )


_Ended = tuple[str, dict[str, int], "Sequence[WorkerRow]"]
"""What was ended, in words; how many workers, processes, containers; and the workers that could not be."""


def _stop(here: Here, grace: float) -> _Ended:
    from clx.workers.supervision.services import stop_services

    try:
        database = here.change()
    except DatabaseBusyError as error:
        if not here.path.name.endswith(SERVED):
            raise
        # the server cannot be reached: what runs here is ended all the same, its jobs go to others by their leases
        return _stop_without_database(here.path, here.resolved.settings, grace, error)
    except DatabaseError as error:
        return _stop_without_database(here.path, here.resolved.settings, grace, error)
    if database is None:
        return _stop_without_database(here.path, here.resolved.settings, grace, None)
    with database:
        stopped = stop_services(database, timeout=grace)
    return _told(stopped), {"workers": stopped.workers, "containers": len(stopped.containers)}, stopped.left


def _told(stopped: Stopped) -> str:
    """What was stopped, in words."""
    if stopped.workers:
        told = f"{stopped.workers} worker(s) stopped."
    elif stopped.supervisor:
        told = "The supervisor was stopped; it had no workers."
    else:
        told = "No services were running."
    return f"{told} {len(stopped.containers)} container(s) that were left are removed." if stopped.containers else told


def _stop_without_database(path: Path, settings: Settings, grace: float, error: DatabaseError | None) -> _Ended:
    """End what the state file tells of, and containers that are labelled as those of the database.

    Where no services have ever run on a database of that name, *error* is raised.
    """
    from clx.db.apart import state_directory
    from clx.workers.executors.docker.containers import remove_of_missing
    from clx.workers.supervision.service_state import forget_for_user
    from clx.workers.supervision.services import stop_without_database

    ended = stop_without_database(path, timeout=grace)
    gone = f"there is no database at {path}" if not path.exists() else f"{path} is no usable database"
    if isinstance(error, DatabaseBusyError):
        gone = f"the database {database_name(path)} cannot be reached"
    if ended is not None:
        return f"Services stopped: {ended} process(es) ended, the state file removed; {gone}.", {"processes": ended}, ()
    containers = [] if path.exists() else remove_of_missing(path, settings)
    if containers:
        removed = len(containers)
        return f"Services stopped: {removed} container(s) removed; {gone}.", {"containers": removed}, ()
    if error is not None and (path.exists() or not state_directory(path).is_dir()):
        raise error
    forget_for_user(path)
    return f"No services were running: {gone}.", {}, ()
