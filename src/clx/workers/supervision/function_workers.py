"""Workers for anybody's functions (``clx worker``): as many processes as asked for, replaced, ended in order.

They belong to the process that runs this and end with it, whatever becomes of it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from clx.db.database import Database
from clx.errors import EXIT_DONE, PASSING, UsageError, WorkerStartupError
from clx.platforms import system
from clx.settings.schema import Settings
from clx.workers.executors.direct import launch
from clx.workers.executors.spec import Key, WorkerSpec, spawn_of
from clx.workers.executors.worker_process import WorkerProcess
from clx.workers.supervision.restart_policy import RestartingGroup
from clx.workers.supervision.supervisor import heeding

log = logging.getLogger("clx.supervisor")

_BEAT = 1.0
_LOOK_ABOVE = "What it printed stands above. Correct that, then type the command again."


class Functions(msgspec.Struct, frozen=True, kw_only=True):
    """What workers are asked for.

    Attributes:
        target: ``MODULE:NAME``.
        count: how many processes.
        types: of jobs; empty: all that there are functions for.
        pool: whose jobs.
        concurrency: jobs that one process does at a time.
        until_idle: each ends when it finds no more jobs.
        grace: seconds they have to finish their jobs when they are to end.
    """

    target: str
    count: int = 1
    types: tuple[str, ...] = ()
    pool: str = ""
    concurrency: int = 1
    until_idle: bool = False
    grace: float = 5.0

    def words(self) -> list[str]:
        """The command line of a worker's process."""
        return [
            sys.executable, "-P", "-m", "clx.workers.functions", self.target, "--pool", self.pool,
            *(word for type_ in self.types for word in ("--type", type_)),
        ]  # fmt: skip


def job_types(wanted: Functions) -> list[str]:
    """The types that there are functions for, as a process of their own finds them.

    Raises:
        UsageError: they cannot be had; says why, and where.
        WorkerStartupError: the process ended otherwise.
    """
    command = [*wanted.words(), "--check"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = None
    if not isinstance(said, dict):
        raise WorkerStartupError(
            f"{wanted.target} cannot be imported: Python ended with exit code {done.returncode}.", _LOOK_ABOVE
        )
    if "types" not in said:
        raise UsageError(said["fact"], said["next_step"])
    return list(said["types"])


class FunctionWorkers(RestartingGroup):
    """Processes that do jobs with functions of a program."""

    def __init__(self, database: Database, settings: Settings, note: Callable[[str], None], wanted: Functions) -> None:
        super().__init__(database, settings, note)
        self._functions = wanted
        spec = WorkerSpec(wanted.target, wanted.count, wanted.pool, "clx worker", "direct", None, settings)
        self.want([spec])

    def start(self, spec: WorkerSpec) -> WorkerProcess:
        settings = self.settings
        command = [
            *self._functions.words(), "--db", str(self.database.path),
            "--concurrency", str(self._functions.concurrency), "--grace", str(self._functions.grace),
            "--lease", str(int(settings.jobs.lease * 1000)), "--log-level", settings.logging.level,
            "--busy-timeout", str(settings.database.busy_timeout),
            *(["--until-idle"] if self._functions.until_idle else []),
        ]  # fmt: skip
        spawn = spawn_of(spec, self.database.path)
        worker = launch(spawn, command, Path(), stdin=subprocess.PIPE)
        self.members.append(worker)
        return worker

    def ended(self, worker: WorkerProcess, cause: Mapping[str, object], *, well: bool, tail: str) -> None:
        if well and self._functions.until_idle:
            self._lower(worker.spawn.key)
        else:
            super().ended(worker, cause, well=well, tail=tail)

    def _give_up(self, key: Key, fact: str, next_step: str) -> None:  # noqa: ARG002
        super()._give_up(key, fact.partition(" Its last line:")[0].removesuffix(": it said nothing"), _LOOK_ABOVE)

    def is_over(self) -> bool:
        """Whether nobody is left, and nobody is to be started."""
        return not self.members and (bool(self.given_up) or all(each.count == 0 for each in self.wanted.values()))


def keep(database: Database, settings: Settings, wanted: Functions, note: Callable[[str], None]) -> int:
    """Keep the workers until SIGTERM or SIGINT, or until they are idle where that was asked; returns the exit code.

    Raises:
        WorkerStartupError: they die again and again, or do not start.
    """
    group = FunctionWorkers(database, settings, note, wanted)
    return keep_group(group, group.is_over, wanted.grace, "clx worker")


def keep_group(group: RestartingGroup, is_over: Callable[[], bool], grace: float, who: str) -> int:
    """Keep a group of workers until SIGTERM or SIGINT, or until it is over; returns the exit code.

    Args:
        grace: seconds they have to finish their jobs when they are to end.
        who: the command that keeps them.

    Raises:
        WorkerStartupError: they die again and again, or do not start.
    """
    asked: list[str] = []

    def end(number: int, _frame: Any) -> None:
        asked.append(signal.Signals(number).name)
        for worker in group.members if len(asked) > 1 else ():
            worker.terminate()  # told a second time, it gives up what it does

    with heeding(end) as wake:
        while not asked and group.database.is_in_place():
            try:
                group.tend()
                group.reconcile()
            except PASSING as error:
                log.warning("%s", error.fact)
            if is_over():
                break
            pause = group.next_start()
            seconds = _BEAT if pause is None else min(_BEAT, max(0.0, pause - time.monotonic()))
            if wake.fileno() in system.wait_readable([wake.fileno(), *group.descriptors()], seconds):
                with contextlib.suppress(BlockingIOError):
                    wake.recv(64)
        for fact, next_step in group.given_up.values():
            group.release()
            raise WorkerStartupError(fact, next_step)
        if asked:
            group.note(f"{asked[0]}: the workers finish their jobs, {grace:g} s at most; once more gives them up.")
        group.stop(grace=grace, reason=f"{who} ended ({asked[0] if asked else 'nothing is left'})")
    return EXIT_DONE
