"""What a shell may offer for an option or argument: ids, types, settings, targets, found while somebody waits.

Nothing here creates, migrates or changes anything, waits for a lock or says what is wrong: where something cannot be
read there is nothing to offer. What is offered may come from a database or a course of somebody else and ends in a
command line, so that only words without a meaning to a shell are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from clx.cli.output import job_words
from clx.cli.project import Here
from clx.settings.keys import all_keys

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from clx.course.spec import CourseSpec
    from clx.db.database import Database
    from clx.db.models import JobState

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_NEWEST = 200
"""How many jobs or workers are offered at most."""
_LOCK_LIMIT = 0.1
"""Seconds to wait for a lock."""
_PLAIN = r"[\w.:/@%+-]+"
_HELP_WIDTH = 60


def _items(found: Iterable[tuple[Any, str]], incomplete: str, without: Iterable[Any] = ()) -> list[CompletionItem]:
    """Pairs of a word and what it is, as far as they begin with *incomplete*."""
    from click.shell_completion import CompletionItem

    left_out = {str(each) for each in without}
    return [
        CompletionItem(word, help=_line(text) or None)
        for value, text in found
        if (word := str(value)).startswith(incomplete) and re.fullmatch(_PLAIN, word) and word not in left_out
    ]


def _line(text: str) -> str:
    return "".join(each for each in " ".join(text.split()) if each.isprintable())[:_HELP_WIDTH]


def words(*known: str) -> Completer:
    """Offers these words."""
    return lambda _context, _parameter, incomplete: _items(((word, "") for word in known), incomplete)


@contextmanager
def _database(context: click.Context) -> Iterator[Database]:
    """The database that the command line so far is about; ``ClxError`` where none can be read as it is."""
    from clx.db.database import Database
    from clx.errors import DatabaseError

    typed = context.params.get("db_path")
    path = Here(Path(typed).expanduser() if typed else None).path
    if not path.is_file():
        raise DatabaseError(f"There is no database at {path}.")
    with Database.open(path, readonly=True, busy_timeout=_LOCK_LIMIT) as database:
        yield database


def job_ids(*states: JobState) -> Completer:
    """Offers jobs in these states, newest first; without states all."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from clx.db.jobs import Queue

        with _database(context) as database:
            jobs = Queue(database).search(state=states or None, limit=_NEWEST)
        found = [(job.id, f"{job.type} {job.state} {job_words(job.payload)}") for job in jobs]
        return _items(found, incomplete, _typed(context, parameter))

    return complete


def _typed(context: click.Context, parameter: click.Parameter) -> list[Any]:
    """What an argument that takes several has already."""
    value = context.params.get(parameter.name or "")
    return list(value) if isinstance(value, (tuple, list)) else []


def worker_ids(*, live: bool) -> Completer:
    """Offers workers, newest first, those that have ended only where not *live*."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from clx.db.workers import WorkerTable

        with _database(context) as database:
            rows = WorkerTable(database).list(live=live)
        newest = sorted(rows, key=lambda row: row.id, reverse=True)[:_NEWEST]
        found = [(row.id, f"{row.type}, {row.mode}{', ended' if row.ended_at else ''}") for row in newest]
        return _items(found, incomplete, _typed(context, parameter))

    return complete


def job_types(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers CLX's own types, and those of the newest jobs."""
    from clx.db.jobs import Queue
    from clx.errors import ClxError
    from clx.jobtypes.registry import JOB_TYPES

    found = dict.fromkeys(JOB_TYPES)
    try:
        with _database(context) as database:
            found |= dict.fromkeys(job.type for job in Queue(database).search(limit=_NEWEST))
    except ClxError:
        pass  # those of its own there are without a database
    return _items(((type_, "") for type_ in found), incomplete)


def batch_ids(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the builds that go on."""
    from clx.db.summary import live_batches

    with _database(context) as database:
        found = [(batch.id, batch.name) for batch in live_batches(database)]
    return _items(found, incomplete)


def schedule_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the schedules."""
    from clx.db.schedules.table import Schedules

    with _database(context) as database:
        found = [(each.name, f"{each.cron} {each.zone} {each.job.type}") for each in Schedules(database).list()]
    return _items(found, incomplete)


def limit_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the limits."""
    from clx.db.jobs import Queue

    with _database(context) as database:
        found = [(each.name, f"{each.running} run, {each.held} held") for each in Queue(database).limits()]
    return _items(found, incomplete)


def routine_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the routines that workers of the database have had, or that were asked for; with versions if several."""
    from clx.db.jobs import Queue
    from clx.routines.names import bare

    with _database(context) as database:
        queue = Queue(database)
        told = {type_: "" for type_ in queue.stats() if re.match(r"(task:[^:]+|workflow):", type_)}
        told |= {row.id: str(row.doc) for row in queue.calls.routines() if isinstance(row.id, str)}
    names = [bare(id_) for id_ in told]
    found = [
        (id_.partition(":")[2] if names.count(name) > 1 else name, doc)
        for (id_, doc), name in zip(told.items(), names, strict=True)
    ]
    return _items(sorted(found), incomplete)


def work_ids(*statuses: str) -> Completer:
    """Offers works of these statuses, newest first; without statuses all."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from clx.db.jobs import Queue
        from clx.db.works.searching import Condition, Search

        asked = [Condition("status", "in", list(statuses))] if statuses else []
        with _database(context) as database:
            works = [each.document for each in Queue(database).works.find(Search(asked, limit=_NEWEST)).works]
        found = [(work["id"], f"{work.get('pipeline')} {work['status']}") for work in works]
        return _items(found, incomplete, _typed(context, parameter))

    return complete


def pipelines(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the pipelines of which there are works."""
    from clx.db.jobs import Queue

    with _database(context) as database:
        works = Queue(database).works
        found = {*works.buckets(), *works.results()}
    return _items(((name, "") for name in sorted(found)), incomplete)


def time_zones(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the time zones that this machine knows."""
    from zoneinfo import available_timezones

    return _items(((name, "") for name in sorted(available_timezones())), incomplete)


def setting_keys(*, sections: bool) -> Completer:
    """Offers the settings, with *sections* also what holds several."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = list(all_keys())
        if sections:
            names += dict.fromkeys(name.rpartition(".")[0] for name in names)
        return _items(((name, "") for name in names), incomplete)

    return complete


def setting_values(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the values of a setting that has only a few."""
    key = all_keys().get(str(context.params.get("key")))
    if key is None:
        return []
    choices = ("true", "false") if key.type is bool else get_args(key.type) if get_origin(key.type) is Literal else ()
    return _items(((choice, "") for choice in choices), incomplete)


def of_course(what: Callable[[CourseSpec], Iterable[str]]) -> Completer:
    """Offers something of the course that the command line names, else of the ``course.yaml`` here."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from clx.course.spec import load_spec

        # click sorts words in only where no option lacks its value, as the one that is completed does
        path = Path(context.params.get("course") or next(iter(context.args), "course.yaml")).expanduser()
        if not path.is_file():
            return []
        return _items(((word, "") for word in what(load_spec(path))), incomplete)

    return complete


def tools_or_courses(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the tools that CLX installs, else files."""
    from click.shell_completion import CompletionItem

    from clx.tools.catalog import PINS

    found = _items(((name, "") for name in PINS), incomplete, _typed(context, parameter))
    return found or [CompletionItem(incomplete, type="file")]


def command_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offers the commands of the group that the words so far lead to."""
    from clx.cli.main import cli

    command: click.Command | None = cli
    for word in _typed(context, parameter):
        command = command.get_command(context, word) if isinstance(command, click.Group) else None
    if not isinstance(command, click.Group):
        return []
    return _items(((name, "") for name in command.list_commands(context)), incomplete)
