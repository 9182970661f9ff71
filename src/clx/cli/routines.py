"""``clx routines list|show|graph|explain|forget``; ``run`` and ``work`` are in :mod:`clx.cli.routines_run`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing, routines_run
from clx.cli.options import about_database, verbose_option
from clx.cli.output import Output, duration, format_option, table
from clx.cli.project import Here, open_or_make
from clx.cli.routine_options import (
    Given,
    files_of,
    loaded,
    made,
    module_option,
    name_argument,
    parameter_options,
    routine_called,
)
from clx.cli.terminal import echo
from clx.errors import UsageError
from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.db.calls.models import RoutineRow
    from clx.db.database import Database
    from clx.db.jobs import Queue
    from clx.db.models import Job
    from clx.routines.routine import Routine

_NEWEST = 20


@click.group("routines")
def command() -> None:
    """Tasks and workflows: functions that run as jobs, their results kept.

    They are found in the modules of the setting python.modules, and of -m; the current directory is looked in first.

    \b
    Examples:
      clx routines list
      clx routines run search --param epochs=100
      clx routines show search
      clx routines explain train --param lr=0.1
      clx routines forget train:0.0.1
    """


# -- list -------------------------------------------------------------------------------------------


@command.command("list")
@module_option
@about_database
@format_option
@verbose_option()
def list_them(here: Here, modules: tuple[str, ...]) -> Output:
    """Every routine of this project and of its workers.

    \b
    Examples:
      clx routines list
      clx routines list -m shop.tasks --format json
    """
    from clx.db.jobs import Queue
    from clx.db.results import kept_counts

    mine = loaded(here, modules, require=False)
    documents = {id_: _described(each) for id_, each in mine.items()}
    database = here.look()
    if database is not None:
        with database:
            queue = Queue(database)
            for row in _rows(queue):
                documents.setdefault(row.id, _remembered(row))
            for schedule in queue.schedules.list():
                told = documents.get(schedule.job.type)
                if told is not None and schedule.cron not in told["schedules"]:
                    told["schedules"] = [*told["schedules"], schedule.cron]
            for id_, count in kept_counts(queue.database, "task:").items():
                documents.setdefault(id_, {**_UNKNOWN, "id": id_})["kept"] = count
    found = [documents[id_] for id_ in sorted(documents)]
    rows = [
        (each["id"], each["module"] or "–", str(each["kept"]), _by_itself(each), each["doc"].partition("\n")[0])
        for each in found
    ]
    nothing = "No routines." if mine or database else f"No routines: no module is named. {here.nobody}"
    words = table(("ROUTINE", "MODULE", "KEPT", "BY ITSELF", "WHAT"), rows) if rows else nothing
    return Output({"routines": found}, [words])


_UNKNOWN: dict[str, Any] = {
    "id": "", "module": "", "signature": "", "doc": "", "here": False, "after": None, "on": None,
    "schedules": [], "kept": 0,
}  # fmt: skip


def _rows(queue: Queue) -> list[RoutineRow]:
    """The routines in the table, but for what another program wrote."""
    return [row for row in queue.calls.routines() if isinstance(row.id, str)]


def _described(routine: Routine[..., Any]) -> dict[str, Any]:
    from clx.routines.asking import signature_of

    trigger = routine.trigger
    return {
        **_UNKNOWN,
        "id": routine.id,
        "module": routine.place[0],
        "signature": signature_of(routine),
        "doc": (routine.function.__doc__ or "").strip(),
        "here": True,
        "after": None if trigger is None else trigger.after,
        "on": None if trigger is None else trigger.on,
        "schedules": [each["cron"] for each in routine.schedules],
    }


def _remembered(row: RoutineRow) -> dict[str, Any]:
    from clx.routines.names import bare

    signature = f"{bare(row.id)}{row.signature}".replace("'", "")
    same = {"id": row.id, "module": row.module, "signature": signature, "after": row.after, "on": row.on}
    return {**_UNKNOWN, **same, "doc": row.doc.strip()}


def _by_itself(document: dict[str, Any]) -> str:
    parts = [f"after {document['after']}" + (f" ({document['on']})" if document["on"] != "success" else "")]
    return ", ".join([*(parts if document["after"] else []), *document["schedules"]]) or "–"


# -- show and graph -----------------------------------------------------------------------------------


@command.command("show")
@click.argument("what", metavar="JOB|NAME", shell_complete=completing.routine_names)
@about_database
@format_option
@verbose_option(passed=True)
def show(here: Here, what: str, verbose: bool) -> Output:
    """A run with what it called; of a name its newest runs.

    \b
    Examples:
      clx routines show 42
      clx routines show search
      clx routines show 42 --format json
    """
    from clx.db.jobs import Queue

    database = here.look()
    if database is None:
        raise here.unknown(f"run {shortened(what)}")
    with database:
        queue = Queue(database)
        if what.isdecimal():
            return _shown(queue, _run(here, queue, what), verbose=verbose)
        return _newest(queue, what)


def _run(here: Here, queue: Queue, what: str) -> Job:
    job = queue.get(int(what)) if len(what) < 19 else None
    if job is None:
        raise here.unknown(f"job {shortened(what)}", "clx jobs list")
    if not job.type.startswith(("task:", "workflow:")):
        raise UsageError(f"Job {job.id} is no run of a routine.", f"Type: clx jobs show {job.id}")
    return job


def _shown(queue: Queue, job: Job, *, verbose: bool) -> Output:
    from clx.routines.readable import plain
    from clx.routines.tree import tree_of

    tree, called_by = tree_of(queue, job), [id_ for id_ in queue.calls.parents_of(job.id) if id_]
    values = [each for each in queue.calls.of(job.id) if each.value is not None]
    result = job.result if isinstance(job.result, dict) else {}
    document = {
        "job": job.id,
        "arguments": plain(job.payload.get("arguments")) if job.is_readable else None,
        "result": plain(result.get("value")),
        "error": job.error,
        "run": job.run,
        "called_by": called_by,
        "recorded_values": [_value(each.value) for each in values],
        "unused": result.get("unused", 0),
        "tree": tree.document(),
    }
    return Output(document, _lines(job, tree, document, verbose=verbose))


def _value(text: Any) -> Any:
    """A recorded value; what another program wrote as it stands."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return str(text)


def _lines(job: Job, tree: Any, document: dict[str, Any], *, verbose: bool) -> Iterator[str]:
    from clx.routines.readable import arguments_line, line
    from clx.routines.tree import lines, short

    yield visible_line(f"{short(job.type)}({arguments_line(job.payload)})")
    if document["called_by"]:
        yield f"Called by job {', '.join(map(str, document['called_by']))}."
    yield from (visible_line(text) for text, _ in lines(tree, whole=verbose))
    if job.run > 1:
        yield f"This is its run {job.run}: `clx jobs show {job.id}` tells of those before."
    if document["recorded_values"]:
        yield f"{len(document['recorded_values'])} value(s) recorded by define.record."
    if document["unused"]:
        yield f"{document['unused']} call(s) of its record were not asked for again: it does not do the same each time."
    if job.state == "succeeded" and isinstance(job.result, dict):
        yield visible_line(f"Result: {line(job.result.get('value'))}")
    error = job.error or {}
    if error:
        yield visible_line(
            f"Error: {error.get('type', '')}: {error.get('message', '')}".replace("Error: : ", "Error: ")
        )
        cause = error.get("cause")
        if isinstance(cause, dict) and cause.get("job"):
            yield visible_line(
                f"Its cause: {cause.get('routine', 'a job')}. `clx routines show {cause['job']}` tells more."
            )
    if error.get("traceback"):
        yield str(error["traceback"]).rstrip() if verbose else "With -v: the traceback."


def _newest(queue: Queue, what: str) -> Output:
    from clx.routines.readable import arguments_line, plain

    types = _types_called(queue, what)
    jobs = sorted(
        (job for type_ in types for job in queue.search(type=type_, limit=_NEWEST)),
        key=lambda job: job.id,
        reverse=True,
    )[:_NEWEST]
    documents = [
        {
            "job": job.id, "routine": job.type, "state": job.state, "run": job.run,
            "arguments": plain(job.payload.get("arguments")) if job.is_readable else None,
            "seconds": _took(job),
        }
        for job in jobs
    ]  # fmt: skip
    rows = [
        (str(job.id), job.type, job.state, "–" if _took(job) is None else duration(_took(job) or 0),
         arguments_line(job.payload))
        for job in jobs
    ]  # fmt: skip
    words = table(("JOB", "ROUTINE", "STATE", "TIME", "ARGUMENTS"), rows) if rows else f"{what} has not run here."
    return Output({"runs": documents}, [visible_line(words) if not rows else words])


def _took(job: Job) -> float | None:
    if job.started_at is None or job.finished_at is None:
        return None
    return (job.finished_at - job.started_at) / 1000


def _types_called(queue: Queue, name: str) -> list[str]:
    """The routines that the table knows, and *name* means: all versions, where it names none.

    Raises:
        UsageError: it knows none.
    """
    from clx.db.results import kept_counts
    from clx.routines.names import bare
    from clx.routines.registry import find

    known = {row.id for row in _rows(queue)} | set(kept_counts(queue.database, "task:"))
    known |= {type_ for type_ in queue.stats() if type_.startswith(("task:", "workflow:"))}
    versions = sorted(id_ for id_ in known if id_ == name or bare(id_) == name)
    return versions or [find(name, known)]


@command.command("graph")
@click.argument("job", metavar="JOB", shell_complete=completing.job_ids())
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "dot", "mermaid"]),
    default="text",
    help="How it is drawn.",
)
@about_database
@verbose_option()
def graph(here: Here, job: str, format_: str) -> None:
    """What a run has called, as a tree or a drawing.

    \b
    Examples:
      clx routines graph 42
      clx routines graph 42 --format dot | dot -Tsvg > calls.svg
      clx routines graph 42 --format mermaid
    """
    from clx.db.jobs import Queue
    from clx.routines.tree import dot, lines, mermaid, tree_of

    if not job.isdecimal():
        raise UsageError(f"{shortened(job)} is not the number of a job.", "`clx routines show NAME` lists its runs.")
    database = here.look()
    if database is None:
        raise here.unknown(f"job {shortened(job)}")
    with database:
        queue = Queue(database)
        tree = tree_of(queue, _run(here, queue, job))
    if format_ in {"dot", "mermaid"}:
        echo(dot(tree) if format_ == "dot" else mermaid(tree))
        return
    told = [visible_line(text) for text, _ in lines(tree, whole=True)] if format_ == "text" else []
    Output(tree.document(), told).show(format_)


# -- explain and forget -------------------------------------------------------------------------------


@command.command("explain")
@name_argument
@parameter_options
@module_option
@about_database
@format_option
@verbose_option()
def explain(here: Here, name: str, given: Given, modules: tuple[str, ...]) -> Output:
    """Why a call would run, or which kept result answers it.

    \b
    Examples:
      clx routines explain train --param lr=0.1 --param epochs=100
      clx routines explain train --param-json '{"lr": 0.1}' --format json
    """
    from clx.db.jobs import Queue
    from clx.routines.explaining import explain as explained

    routine = routine_called(name, loaded(here, modules))
    call = made(routine, given)
    with open_or_make(here.resolved, here.path) as database:
        found = explained(Queue(database), call, files_of(here, database))
    document = found._asdict() | {"routine": routine.id, "arguments": json.loads(found.arguments)}
    document["nearest"] = found.nearest and {
        "job": found.nearest[0], "differs": [each._asdict() for each in found.nearest[1]]
    }  # fmt: skip
    return Output(document, _explained(routine, found))


def _explained(routine: Routine[..., Any], found: Any) -> Iterator[str]:
    yield visible_line(f"{routine.id} {shortened(found.arguments, 2000)}")
    if found.key is None:
        why = "a workflow runs each time; its tasks are cached" if not routine.is_task else "it has cache=False"
        yield f"Its result is not kept: {why}."
        return
    yield f"Key: {found.key}"
    if found.live is not None:
        yield f"Job {found.live} does this at the moment: another call joins it."
    if not routine.is_cached:
        yield "Its result is not kept: a -dev version is not cached."
    elif found.age is None:
        yield "No result is kept."
        yield from _nearest_words(found.nearest)
    else:
        code = (
            "the code that it has now" if found.is_same_source else "other code than it has now, under the same version"
        )
        old = f", too old for its ttl of {duration((routine.options.ttl or 0) / 1000)}" if found.is_too_old else ""
        yield f"A result is kept{old}: {duration(found.age)} old, made by {code}."
        if not found.is_same_source:
            yield f"Give it another version, or type: clx routines forget {routine.name.name}:{routine.name.version}"


def _nearest_words(nearest: Any) -> Iterator[str]:
    if nearest is None:
        yield "None of another call either."
        return
    job, differing = nearest
    yield (
        f"Nearest is job {job}, which differs in:"
        if differing
        else f"Job {job} asked the same; its result was forgotten."
    )
    for name, asked, was in differing:
        yield visible_line(f"  {name}: {asked or 'nothing'} here, {was or 'nothing'} there")


@command.command("forget")
@click.argument("name", metavar="NAME[:VERSION]", shell_complete=completing.routine_names)
@parameter_options
@module_option
@click.option("--trigger", is_flag=True, help="Its trigger instead, until a worker has the routine again.")
@click.option("--yes", is_flag=True, help="Without asking.")
@about_database
@format_option
@verbose_option()
def forget(here: Here, name: str, given: Given, modules: tuple[str, ...], trigger: bool, yes: bool) -> Output:
    """Remove kept results of a task, or of one call; or a trigger.

    Whoever asks next runs it again.

    \b
    Examples:
      clx routines forget train:0.0.1
      clx routines forget train --param lr=0.1 --param epochs=100
      clx routines forget train --yes --format json
      clx routines forget announce --trigger
    """
    from clx.db.jobs import Queue
    from clx.db.results import kept_counts

    database = here.change()
    if database is None:
        raise here.unknown(f"routine {shortened(name)}")
    with database:
        queue = Queue(database)
        if trigger:
            armed = [type_ for type_ in _types_called(queue, name) if queue.calls.disarm(type_)]
            document = {"routines": armed, "key": None, "removed": len(armed)}
            return Output(document, [f"{len(armed)} trigger(s) removed."])
        if given[0] or given[1]:
            types, key = _one_key(here, database, name, given, modules)
            count = queue.calls.forget(types[0], key)
        else:
            types, key = _types_called(queue, name), None
            if types[0].startswith("workflow:") and len(types) == 1:
                raise _keeps_none(types[0])
            kept = {id_: count for id_, count in kept_counts(queue.database, "task:").items() if id_ in types}
            if kept and not yes:
                _ask(", ".join(f"{count} of {id_}" for id_, count in kept.items()))
            count = sum(queue.calls.forget(type_) for type_ in kept)
    return Output({"routines": types, "key": key, "removed": count}, [f"{count} kept result(s) removed."])


def _ask(what: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"That would remove the kept results: {what}.", "Type the same with --yes.")
    click.confirm(visible_line(f"Remove the kept results: {what}?"), abort=True, err=True)


def _keeps_none(workflow: str) -> UsageError:
    return UsageError(f"{workflow} keeps no results.", "Those of its tasks are kept: name one of them.")


def _one_key(
    here: Here, database: Database, name: str, given: Given, modules: tuple[str, ...]
) -> tuple[list[str], str]:
    from clx.routines.codecs import key_of
    from clx.routines.performing import arguments_of

    routine = routine_called(name, loaded(here, modules))
    if not routine.is_task:
        raise _keeps_none(routine.id)
    call = made(routine, given)
    call.close()
    arguments = arguments_of(call, files_of(here, database))
    return [routine.id], key_of(routine.name.name, routine.name.version, arguments)


command.add_command(routines_run.run)
command.add_command(routines_run.work)
