"""A storm on a queue: workers are killed at random moments while jobs go in, and nothing may be lost or doubled.

The jobs do nothing but take a moment; their worker prints an acknowledgement when its report has been taken.
What the table says at the end is compared with every acknowledgement that was ever given.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clx.db.check import check
from clx.db.clock import now_ms
from clx.db.jobs import NewJob, Queue
from clx.db.url import is_served
from clx.db.wait import Bells
from clx.db.workers import register_this_process
from clx.errors import PASSING, DatabaseBusyError, LostRunError
from clx.platforms import system

_TYPE = "storm"
_LEASE = 2_000
_BACKLOG = 400
"""Jobs that wait or run at a time."""
_LIMIT, _AT_A_TIME = "storm", 2
"""A tenth of the jobs count to a limit: so many of them run at a time."""
_URL = "CLX_STORM_URL"
_MAX_RUNS = 100
"""So many that no job is parked because its workers were killed: here the killer is the weather, not the job."""


@dataclass
class Outcome:
    """What a storm left behind; times in milliseconds."""

    jobs: int = 0
    kills: int = 0
    disasters: int = 0
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)
    rescues: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, doubled or broken."""
        return not (self.lost or self.doubled or self.problems)

    def rescue(self, share: float) -> int | None:
        """The time within which *share* of the rescues happened; None where nothing had to be rescued."""
        found = sorted(self.rescues)
        return found[min(len(found) - 1, int(share * len(found)))] if found else None


class _Hand:
    """One worker process and what it acknowledged."""

    def __init__(self, path: Path | str, journal_mode: str, prefix: Sequence[str]) -> None:
        command = [*prefix, sys.executable, "-P", "-m", "clx.db.storm"]
        # a URL may hold a password, and a command line anybody may read
        told = {_URL: str(path)} if is_served(str(path)) else {}
        command += [] if told else [str(path), journal_mode]
        environment = os.environ | told
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, env=environment)
        assert self.process.stdout is not None
        self.pipe = system.Lines(self.process.stdout)
        self.worker: int | None = None
        self._text = b""

    def read(self) -> list[int]:
        """Jobs acknowledged since the last call."""
        *lines, self._text = (self._text + self.pipe.read()).split(b"\n")
        numbers = [int(line) for line in lines]
        if numbers and self.worker is None:
            self.worker = numbers.pop(0)
        return numbers

    def kill(self) -> None:
        """SIGKILL, to what it was started by as well, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            system.kill_group(self.process.pid)
        self.process.wait()

    def close(self) -> None:
        """Give the pipe back."""
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Storm:
    """One storm.

    Args:
        path: the database, or its URL; made where there is none.
        jobs: how many go in at most.
        seconds: for how long they go in.
        workers: processes at a time.
        every: mean seconds between two kills.
        limit: seconds after which what has not ended counts as lost.
        journal_mode: ``wal`` or ``delete``.
        prefixes: what the workers' commands begin with, in turn: those that start them on other machines.
        disasters: what else strikes; each is called between two kills, and comes back at once.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        jobs: int,
        workers: int,
        every: float,
        limit: float,
        seconds: float = 3600,
        journal_mode: str = "wal",
        prefixes: Sequence[Sequence[str]] = ((),),
        disasters: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._path = path
        self._mode = journal_mode
        self._queue = _open(path, journal_mode)
        self._prefixes = prefixes
        self._disasters = disasters
        self._started = 0
        self._jobs = jobs
        self._workers = workers
        self._every = every
        self._limit = limit
        self._seconds = seconds
        self._acknowledged: Counter[int] = Counter()
        self._hands: list[_Hand] = []
        self._most = 0
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Let it rage until every job has ended."""
        started = time.monotonic()
        try:
            ids = self._rage(started)
        finally:
            for hand in self._hands:
                hand.close()
        self._count(ids)
        self._queue.close()
        self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _rage(self, started: float) -> list[int]:
        ids: list[int] = []
        live: list[int] = []
        self._queue.set_limit(_LIMIT, concurrency=_AT_A_TIME)
        next_kill = started + min(0.5, self._every)
        while True:
            now = time.monotonic()
            raging = len(ids) < self._jobs and now - started < self._seconds
            if raging and len(live) < _BACKLOG:
                jobs = (NewJob(_TYPE, max_runs=_MAX_RUNS, limit=None if n % 10 else _LIMIT) for n in range(20))
                live += self._queue.enqueue_many(jobs)
                ids += live[-20:]
            self._man()
            if now >= next_kill and raging:
                next_kill = now + random.uniform(0.2, 1.8) * self._every  # noqa: S311
                self._worsen()
            live = self._queue.live_among(live)
            self._watch_limit()
            if (not live and not raging) or now - started > self._limit:
                return ids

    def _watch_limit(self) -> None:
        self._most = max(self._most, *(limit.running for limit in self._queue.limits()))

    def _man(self) -> None:
        """Have all workers there, and hear what they acknowledge."""
        while len(self._hands) < self._workers:
            prefix = self._prefixes[self._started % len(self._prefixes)]
            self._hands.append(_Hand(self._path, self._mode, prefix))
            self._started += 1
        system.wait_readable([hand.pipe.fileno() for hand in self._hands], 0.02)
        for hand in list(self._hands):
            ended = hand.process.poll()  # of itself: its server was away for longer than it waits
            self._acknowledged.update(hand.read())
            if ended is not None:
                self._bury(hand, {"kind": "exit", "code": ended})

    def _worsen(self) -> None:
        """Kill somebody, or have something else happen; what strikes all at once comes less often."""
        kinds: list[Any] = [self._strike] * 3 + list(self._disasters)
        kind = random.choice(kinds)  # noqa: S311
        if kind == self._strike:
            self._strike(random.choice(self._hands))  # noqa: S311
        else:
            kind()
            self.outcome.disasters += 1

    def _strike(self, hand: _Hand) -> None:
        killed_at = now_ms()
        hand.kill()
        self._acknowledged.update(hand.read())
        self.outcome.kills += 1
        rescued = self._bury(hand, {"kind": "signal", "signal": int(system.KILL)})
        self.outcome.rescues += [now_ms() - killed_at] * rescued

    def _bury(self, hand: _Hand, error: dict[str, Any]) -> int:
        """Give back what a worker had that has ended, as a supervisor does; returns how many jobs that were."""
        self._hands.remove(hand)
        hand.close()
        return 0 if hand.worker is None else len(self._queue.rescue_worker(hand.worker, error))

    def _count(self, ids: list[int]) -> None:
        states = {job.id: job.state for job in self._queue.get_many(ids)}
        outcome = self.outcome
        outcome.jobs = len(ids)
        outcome.lost = sum(1 for id_ in ids if states.get(id_) != "succeeded")
        outcome.lost += sum(1 for id_ in self._acknowledged if states.get(id_) != "succeeded")
        outcome.doubled = sum(1 for count in self._acknowledged.values() if count > 1)
        outcome.runs = sum(job.run for job in self._queue.get_many(ids))
        outcome.problems = check(self._queue.database)
        if self._most > _AT_A_TIME:
            outcome.problems.append(f"{self._most} jobs ran of which a limit lets {_AT_A_TIME} run at a time")


def _open(path: Path | str, journal_mode: str) -> Queue:
    return Queue.open(path) if is_served(str(path)) else Queue.open(path, journal_mode=journal_mode)


def _open_patiently(path: str, journal_mode: str) -> Queue:
    while True:
        try:
            return _open(path, journal_mode)
        except DatabaseBusyError:
            if not is_served(path):
                raise
        time.sleep(0.1)


def serve(path: str, journal_mode: str) -> None:
    """A worker of the storm: prints its number, then the id of each job whose success was taken."""
    with _open_patiently(path, journal_mode) as queue, Bells(queue.database, [_TYPE]) as bells:
        worker = register_this_process(queue.database, _TYPE)
        os.write(1, b"%d\n" % worker)
        while True:
            bells.silence()
            try:
                _do_one(queue, worker)
                there_is_more = queue.may_claim([_TYPE])
            except PASSING:  # its server is away
                there_is_more = False
            if not there_is_more:
                bells.wait(0.05)


def _do_one(queue: Queue, worker: int) -> None:
    for job in queue.claim([_TYPE], worker=worker, lease=_LEASE):
        time.sleep(random.uniform(0, 0.01))  # noqa: S311
        with contextlib.suppress(LostRunError):  # held up for longer than its lease: another one has it
            queue.finish(job.id, job.run)
            os.write(1, b"%d\n" % job.id)


if __name__ == "__main__":
    serve(*(sys.argv[1:] or (os.environ[_URL], "")))
