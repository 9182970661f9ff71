"""Workers that are kept up: replaced at once when one dies, after growing pauses when it goes on dying.

When one kind of worker dies :data:`CRASH_LIMIT` times within :data:`CRASH_WINDOW` seconds, or does not start
``workers.startup_retries`` times in a row, no more of it is started until somebody asks again. Hosts of workflows are
started again however often they die.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from clx.db.database import Database
from clx.db.identity import this_machine
from clx.db.workers import WorkerRow
from clx.errors import EXIT_USAGE, StartupError
from clx.settings.schema import ROUTINE_WORKERS, Settings
from clx.workers.executors.docker.containers import remove_orphans
from clx.workers.executors.spec import Key, WorkerSpec
from clx.workers.executors.start import attach
from clx.workers.executors.worker_process import NOT_STARTED, WorkerProcess
from clx.workers.supervision.worker_group import WorkerGroup, last_error, last_line, start_failure, tell

log = logging.getLogger("clx.workers")

CRASH_WINDOW = 60.0
"""Seconds over which crashes of one kind of worker are counted."""
CRASH_LIMIT = 6
"""Crashes in that time after which no more workers of that kind are started."""
_LONGEST_PAUSE = 30.0


def pause(first: float, failures: int) -> float:
    """Seconds until the next start: doubled for each failure, of which there is no end while an engine is away."""
    return min(_LONGEST_PAUSE, first * 2.0 ** min(failures, 10))


class RestartingGroup(WorkerGroup):
    """As many workers of each kind as are wanted."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        note: Callable[[str], None],
        *,
        service: str | None = None,
    ) -> None:
        super().__init__(database, settings, note, service=service)
        self.wanted: dict[Key, WorkerSpec] = {}
        self.given_up: dict[Key, tuple[str, str]] = {}
        """Kinds that are not started any more: the fact and the next step."""
        self.lowered: Counter[Key] = Counter()
        """Kinds of which somebody stopped a worker on purpose, and how many."""
        self._crashes: defaultdict[Key, deque[float]] = defaultdict(deque)
        self._failures: Counter[Key] = Counter()
        self._not_before: dict[Key, float] = {}
        self._surplus: set[int] = set()
        self._served: set[Key] = set()
        self._engine_was_away = False

    def attach(self, rows: Sequence[WorkerRow]) -> None:
        """Answer for workers that another process started."""
        mine = {worker.worker_id for worker in self.members}
        self.members += [attach(row, self.table, self.settings) for row in rows if row.id not in mine]

    def want(self, wanted: Sequence[WorkerSpec]) -> None:
        """Have these from now on. Asking again lifts the pause after crashes."""
        self.wanted = {each.key: each for each in wanted}
        self.given_up.clear()
        self._not_before.clear()
        self._failures.clear()

    def reconcile(self) -> None:
        """Start what is missing and may be started now; ask surplus workers to end, the newest first."""
        for key, each in self.wanted.items():
            there = [worker for worker in self.of(*key) if worker.worker_id not in self._surplus]
            if time.monotonic() >= self._not_before.get(key, 0.0):
                self._start_missing(each, each.count - len(there))
            for worker in there[each.count :] if each.count < len(there) else ():
                self._end_surplus(worker, each.settings.workers.grace_period)

    def _start_missing(self, each: WorkerSpec, count: int) -> None:
        """Start *count* workers; an executor that cannot (its engine is away) is tried again later."""
        try:
            for _ in range(count):
                self.start(each)
                self._look_after_engine(each)
        except StartupError as error:
            self._engine_was_away = True
            self._failures[each.key] += 1
            log.warning("%s", error.fact, extra={"action": "worker_not_started", "type": each.type})
            self._retry(each.key, error.fact, error.next_step, first=0.25, refused=each.key in self._served)

    def _retry(self, key: Key, fact: str, next_step: str, *, first: float, refused: bool) -> None:
        """Start it again after a pause; give up after too many failures, unless it was only *refused* for now."""
        if self._failures[key] > self.settings.workers.startup_retries and not refused:
            self._give_up(key, fact, next_step)
        else:
            self._not_before[key] = time.monotonic() + pause(first, self._failures[key])

    def _look_after_engine(self, each: WorkerSpec) -> None:
        """Remove what could not be removed while the container engine was away."""
        if self._engine_was_away:
            self._engine_was_away = False
            remove_orphans(self.database, each.settings)

    def _end_surplus(self, worker: WorkerProcess, grace: float) -> None:
        if worker.worker_id is None:
            return
        self._surplus.add(worker.worker_id)
        self.table.request_stop(worker.worker_id, "no longer wanted", grace=grace)
        worker.terminate()

    def next_start(self) -> float | None:
        """When a pause ends, on the monotonic clock; None while there is none."""
        now = time.monotonic()
        return min((moment for moment in self._not_before.values() if moment > now), default=None)

    def ended(self, worker: WorkerProcess, cause: Mapping[str, object], *, well: bool, tail: str) -> None:
        """Decide when it is replaced, if at all."""
        key = worker.spawn.key
        if worker.worker_id is not None:
            self._served.add(key)
            self._failures.pop(key, None)  # it had started: what fails from now on is another row of failures
        if worker.worker_id in self._surplus:
            self._surplus.discard(worker.worker_id)
        elif worker.worker_id is None:
            self._failed_to_start(key, worker, cause, tail)
        elif self.table.stop_request(worker.worker_id) is not None:
            self._lower(key)
        elif not well:
            self._crashed(key, worker, cause, tail)

    def _lower(self, key: Key) -> None:
        """Somebody stopped a worker on purpose: one less is wanted."""
        self.lowered[key] += 1
        each = self.wanted.get(key)
        if each is not None:
            self.wanted[key] = msgspec.structs.replace(each, count=max(0, each.count - 1))

    def _failed_to_start(self, key: Key, worker: WorkerProcess, cause: Mapping[str, object], tail: str) -> None:
        self._failures[key] += 1
        fact, next_step = start_failure(worker, tail)
        log.warning("%s", fact, extra={"action": "worker_not_started", "type": key[0], "stderr": tail})
        # an engine that is away or just coming up refuses what it has done before, and will do again
        refused = cause == NOT_STARTED and key in self._served
        if key[0] in ROUTINE_WORKERS and cause == {
            "kind": "exit",
            "code": EXIT_USAGE,
        }:  # its modules: no other try helps
            self._give_up(key, *last_error(tail))
            return
        self._retry(key, fact, next_step, first=0.1, refused=refused)

    def _crashed(self, key: Key, worker: WorkerProcess, cause: Mapping[str, object], tail: str) -> None:
        now = time.monotonic()
        crashes = self._crashes[key]
        crashes.append(now)
        while crashes[0] < now - CRASH_WINDOW:
            crashes.popleft()
        if key in self.given_up:  # the last of them, told already
            return
        # of workflows one may be the end of its host again and again; that one ends, and the others go on
        if len(crashes) >= CRASH_LIMIT and key[0] != "workflow":
            often = f"The {key[0]} workers died {len(crashes)} times in {CRASH_WINDOW:g} s"
            fact = f"{often}, the last one: {tell(cause)}. Its last line: {last_line(tail)}"
            self._give_up(key, fact, f"See `clx workers logs {worker.worker_id}`; then start the services again.")
        elif len(crashes) > 1:
            self._not_before[key] = now + pause(0.25, len(crashes) - 1)

    def _give_up(self, key: Key, fact: str, next_step: str) -> None:
        """Start no more of this kind until somebody asks again."""
        log.error("%s", fact, extra={"action": "gave_up", "type": key[0]})
        if self._service is not None:  # the command that started the services waits for this
            self.table.note(
                0, "startup_failed", {"type": key[0], "fact": fact, "next_step": next_step, "machine": this_machine()}
            )
        self.given_up[key] = (fact, next_step)
        self._not_before[key] = float("inf")
