"""``clx routines run|work``."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.next_steps import completed
from clx.cli.options import about_database, verbose_option
from clx.cli.output import Output, format_choice
from clx.cli.project import Here, open_or_make
from clx.cli.routine_options import (
    Given,
    files_of,
    loaded,
    made,
    module_option,
    name_argument,
    parameter_options,
    result_alone,
    routine_called,
)
from clx.cli.terminal import echo
from clx.errors import ArtifactMissingError, ClxError, RoutineError, UsageError, WorkerStartupError
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.cli.routine_display import Display
    from clx.db.database import Database
    from clx.db.jobs import Queue
    from clx.db.models import Job
    from clx.routines.asked import Asked
    from clx.routines.routine import Call, Routine
    from clx.routines.tree import Node
    from clx.workers.supervision.restart_policy import RestartingGroup

_LOOKS = 0.15
"""Seconds between two looks at the tree of a run, at least."""
_LOOKS_FOR_OTHERS = 1.0
"""Seconds between two looks whether others still serve the table."""
_UNSERVED_FOR = 10.0
"""Seconds after which it is told that nobody takes a routine: workers that were just started need some."""
_ENDS_IN = 5.0
"""Seconds in which what was cancelled may end before the workers do."""
_workers = click.option(
    "--workers", "count", type=click.IntRange(1, 256), metavar="N",
    help="Processes for tasks. [default: workers.python.count]",
)  # fmt: skip


@click.command("run")
@name_argument
@parameter_options
@click.option("--detach", is_flag=True, help="Only put it in the queue, and print the number of its job.")
@click.option("--local", is_flag=True, help="In this process; results are kept all the same.")
@_workers
@module_option
@about_database
@format_choice
@verbose_option(passed=True)
def run(
    here: Here,
    name: str,
    given: Given,
    detach: bool,
    local: bool,
    count: int | None,
    modules: tuple[str, ...],
    format_: str,
    verbose: bool,
) -> None:
    """Run a task or a workflow, and print its result as JSON.

    Workers are started for it, and end with it, unless some of this table have the routine already. Ctrl-C cancels it
    and what it called, but for what somebody else waits for too.

    \b
    Examples:
      clx routines run search
      clx routines run train --param epochs=100 --param-json '{"lr": 0.1}'
      clx routines run search --detach
      clx routines run search --local
      clx routines run search --workers 4 --format json

    \b
    Exit codes: 0 there is a result; 1 the routine failed; 2 usage or settings error, or a module
    cannot be imported; 3 workers do not start; 130 Ctrl-C.
    """
    if detach and (local or count):
        raise UsageError("--detach starts nothing.", "Leave --local and --workers out.")
    if local and count:
        raise UsageError("--local starts no workers.", "Leave --workers out.")
    with result_alone():
        routines = loaded(here, modules)
        with (
            contextlib.closing(made(routine_called(name, routines), given)) as call,
            open_or_make(here.resolved, here.path, starting=not (detach or local)) as database,
        ):
            runner = Runner(here, database, call.routine, routines, tuple(modules), count, verbose=verbose)
            found = runner.local(call) if local else runner.detached(call) if detach else runner.waited(call)
    found.show(format_)


class Runner:
    """Runs one call, in whichever way."""

    def __init__(
        self,
        here: Here,
        database: Database,
        routine: Routine[..., Any],
        routines: dict[str, Routine[..., Any]],
        modules: tuple[str, ...],
        count: int | None,
        *,
        verbose: bool,
        path: tuple[str, ...] = (),
        work: str = "clx routines work",
    ) -> None:
        from clx.db.jobs import Queue

        self._here = here
        self._database = database
        self.queue: Queue = Queue(database)
        self.files = files_of(here, database)
        self._routine = routine
        self._routines = routines
        self._modules = modules
        self._count = count
        self._verbose = verbose
        self._path = path
        self._work = work

    def local(self, call: Call[Any]) -> Output:
        """Run it here."""
        from clx.routines.lifecycle import lifecycle
        from clx.routines.performing import result_text

        began = time.monotonic()
        try:
            with lifecycle(self.queue):
                value = call.result()
        except RoutineError as error:
            self._tell(error)
            raise
        told = json.loads(result_text(call.routine, value, self.files))
        return self._output(call.routine, told, None, time.monotonic() - began, cached=False)

    def detached(self, call: Call[Any]) -> Output:
        """Put it in the queue."""
        asked = self._ask(call)
        if asked.job is None:
            fact = f"Nothing to run: a result of {call.routine.id} is kept. The same without --detach prints it."
            return Output({"job": None, "cached": True}, [], [visible_line(fact)])
        waits = "No worker has it at the moment. To start some, type: clx routines work"
        return Output({"job": asked.job, "cached": False}, [str(asked.job)], [] if self.is_served() else [waits])

    def waited(self, call: Call[Any]) -> Output:
        """Run it on workers."""
        from clx.routines.sources import other_source

        began = time.monotonic()
        while True:
            asked = self._ask(call)
            result = asked.kept if asked.job is None else self._follow(asked)
            if asked.job is None and (said := other_source(call.routine, result)):
                echo(said, label="Warning", err=True)
            try:
                return self._output(call.routine, result, asked.job, time.monotonic() - began, cached=asked.job is None)
            except ArtifactMissingError:
                if asked.job is not None:
                    raise
                self.queue.calls.forget(call.routine.id, asked.key)  # its artifact was pruned: made again

    def _ask(self, call: Call[Any]) -> Asked:
        from clx.routines.asked import Asked

        return Asked(self.queue, call, self.files, self.pool)

    def _output(
        self, routine: Routine[..., Any], result: Any, job: int | None, seconds: float, *, cached: bool
    ) -> Output:
        from clx.routines.readable import plain

        value = plain(result.get("value") if isinstance(result, dict) else result, self.files)
        document = {"job": job, "routine": routine.id, "cached": cached, "seconds": round(seconds, 3), "result": value}
        return Output(document, [json.dumps(value, ensure_ascii=False)])

    # -- on workers ---------------------------------------------------------------------------------

    def _follow(self, asked: Asked) -> Any:
        """Watch the run until it has ended; returns its result."""
        assert asked.job is not None
        try:
            from clx.cli.routine_display import make

            with make() as display, self.workers(display.note) as tend:
                try:
                    job = self._watched(asked.job, display, tend)
                except BaseException:
                    self._give_up(asked, tend)
                    raise
        except BaseException:
            self._give_up(asked, _nothing)
            raise
        asked.leave()
        if job.state == "succeeded":
            return job.result
        error = _failure(job)
        self._tell(error)
        raise error

    def _watched(self, job_id: int, display: Display, tend: Callable[[], None]) -> Job:
        from clx.routines.tree import tree_of

        pause, unserved = 0.0, Unserved(self._routines, self._served, self._work)
        while True:
            tend()
            (job,) = self.queue.wait([job_id], timeout=pause)
            began = time.monotonic()
            tree = tree_of(self.queue, job)
            display.show(tree)
            for said in unserved.told(tree, began):
                display.note(said)
            if not job.is_live:
                return job
            pause = max(_LOOKS, 10 * (time.monotonic() - began))  # large trees take long to read

    def _give_up(self, asked: Asked, tend: Callable[[], None]) -> None:
        """Want it no more, and let workers of this command end what that cancels."""
        assert asked.job is not None
        with contextlib.suppress(ClxError):
            if not asked.leave():
                return
            (job,) = self.queue.get_many([asked.job])
            if job.is_live and not job.cancel_requested:
                echo(f"Job {job.id} goes on: somebody else waits for it.", err=True)
                return
            end = time.monotonic() + _ENDS_IN
            while job.is_live and time.monotonic() < end:
                tend()
                (job,) = self.queue.wait([asked.job], timeout=0.1)
            echo(f"Job {job.id} {'is being' if job.is_live else 'was'} cancelled, with what it called.", err=True)

    @contextlib.contextmanager
    def workers(self, note: Callable[[str], None]) -> Iterator[Callable[[], None]]:
        """What is called now and then to keep the workers of this command up.

        There are none while others serve the table; where those have ended, it starts its own.
        """
        group: RestartingGroup | None = None
        looked_at = -math.inf

        def tend() -> None:
            nonlocal group, looked_at
            if group is None:
                if time.monotonic() - looked_at < _LOOKS_FOR_OTHERS:
                    return
                looked_at = time.monotonic()
                if self.is_served():
                    return
                group = self._group(note)
            group.tend()
            group.reconcile()
            for fact, next_step in group.given_up.values():
                raise WorkerStartupError(fact, next_step)

        try:
            yield tend
        finally:
            if group is not None:
                group.stop(grace=self._here.resolved.settings.workers.grace_period, reason="clx routines run ended")

    def _group(self, note: Callable[[str], None]) -> RestartingGroup:
        # what is called by others may be any routine; a task calls none
        alone = [self._routine] if self._routine.is_task else self._routines.values()
        count = self._count or (1 if self._routine.is_task else None)
        return group_of(self._here, self._database, note, self._modules, count, alone, path=self._path)

    @property
    def pool(self) -> str:
        """Whose workers take what this command asks for."""
        from clx.workers.pools import artifacts_pool

        return artifacts_pool(self._database.path, self._here.resolved.settings)

    def is_served(self) -> bool:
        """Whether workers live that have every routine which is defined here."""
        if self._count is not None:
            return False
        served = self._served()
        return ({self._routine.id} if self._routine.is_task else self._routines.keys()) <= served

    def _served(self) -> set[str]:
        """The routines that workers have which live."""
        from clx.db.workers import WorkerTable

        workers = WorkerTable(self._database)
        # the row of one that was killed stays live until somebody strikes it off
        return {id_ for row in workers.list(live=True) if not row.is_gone() for id_ in workers.routines(row.id)}

    def _tell(self, error: RoutineError) -> None:
        if self._verbose and error.traceback:
            echo(error.traceback.rstrip(), err=True)


class Unserved:
    """Tells, once for each routine, that no worker takes it: whoever waits would wait for ever.

    Args:
        served: the routines that workers have which live.
        work: the command that starts some.
    """

    def __init__(self, routines: Mapping[str, Routine[..., Any]], served: Callable[[], set[str]], work: str) -> None:
        self._routines, self._served, self._work = routines, served, work
        self._since: dict[str, float] = {}
        self._told: set[str] = set()
        self._looked_at = -math.inf

    def told(self, tree: Node, now: float) -> Iterator[str]:
        """What is to be said of a run as it stands at *now*, seconds."""
        from clx.routines.tree import short

        queued = {node.routine for node in tree.walk() if node.state == "queued"} - self._told
        self._since = {each: self._since.get(each, now) for each in queued}
        late = {each for each, since in self._since.items() if now - since >= _UNSERVED_FOR}
        if not late or now - self._looked_at < _LOOKS_FOR_OTHERS:
            return
        self._looked_at = now
        for each in sorted(late - self._served()):
            self._told.add(each)
            pool = self._routines[each].options.pool if each in self._routines else ""
            where = f"one where python.pools names {pool!r}" if pool else "one"
            yield f"{short(each)} waits: no worker takes it. Start {where}: {completed(self._work)}"


def _nothing() -> None:
    """Others keep the workers up."""


def _failure(job: Job) -> RoutineError:
    error = job.error or {}
    if job.state == "cancelled":
        error = {"type": "Cancelled", "message": "it was cancelled", **error}
    found = RoutineError(job.type, error, job.id)
    if not error.get("next_step"):
        found.next_step = f"See `clx routines show {job.id}`; -v shows the traceback."
    return found


def group_of(
    here: Here,
    database: Database,
    note: Callable[[str], None],
    modules: tuple[str, ...],
    count: int | None,
    routines: Iterable[Routine[..., Any]],
    *,
    host: bool = False,
    path: tuple[str, ...] = (),
) -> RestartingGroup:
    """Workers for *routines*, which are those of *modules* and of the ones that the settings name.

    Args:
        host: also where there is no workflow: it enters triggers and schedules.
        path: directories in which modules are looked for before all others.
    """
    from clx.workers.supervision.routine_workers import routines_workers

    usual = here.resolved.worker("python").count
    kinds = {each.is_task for each in routines}
    settings = here.resolved.settings
    named = tuple(dict.fromkeys((*settings.python.modules, *modules)))
    return routines_workers(
        database, settings, note, named, (count or usual) if True in kinds else 0,
        hosts=int(host or False in kinds), path=[*path, str(Path.cwd()), *settings.python.path],
    )  # fmt: skip


def keep_working(
    here: Here,
    database: Database,
    whom: tuple[str, str],
    modules: tuple[str, ...],
    count: int | None,
    routines: Iterable[Routine[..., Any]],
    *,
    timeout: float | None = None,
    path: tuple[str, ...] = (),
) -> int:
    """Keep a host and workers of *routines* until Ctrl-C or SIGTERM; returns the exit code.

    Args:
        whom: for what they are, and the command that keeps them, as people are told.
        timeout: seconds that tasks have to end then; None: as the settings say.

    Raises:
        WorkerStartupError: they die again and again.
    """
    from clx.workers.supervision.function_workers import keep_group

    grace = here.resolved.settings.workers.grace_period if timeout is None else timeout
    group = group_of(here, database, lambda text: echo(text, err=True), modules, count, routines, host=True, path=path)
    echo(f"Workers for {whom[0]} at {database.name}", err=True)
    return keep_group(group, lambda: bool(group.given_up), grace, whom[1])


@click.command("work")
@_workers
@module_option
@click.option("--timeout", type=click.FloatRange(0, 86400), metavar="S", help="Seconds tasks have to end.")
@about_database
@verbose_option()
@click.pass_context
def work(
    context: click.Context, here: Here, count: int | None, modules: tuple[str, ...], timeout: float | None
) -> None:
    """Run what others ask for, until Ctrl-C.

    One that dies is replaced, and what it did goes to others. Ctrl-C or SIGTERM lets tasks finish.

    \b
    Examples:
      clx routines work
      clx routines work --workers 4 -m shop.tasks
      clx routines work --db postgresql://db/shop

    \b
    Exit codes: 0 ended by Ctrl-C or SIGTERM; 2 usage or settings error, or a module cannot be
    imported; 3 the processes die again and again; 4 database error.
    """
    routines = loaded(here, modules)
    with open_or_make(here.resolved, here.path, starting=True) as database:
        whom = (", ".join(sorted(routines)), "clx routines work")
        context.exit(keep_working(here, database, whom, modules, count, routines.values(), timeout=timeout))
