"""Works are withdrawn one after the other, performed in a process of their own, and updated with what came of it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.db.works.models import SAID
from clx.db.works.withdrawing import Asked
from clx.errors import PASSING, AccessError, ClxError, ServerError, WorkerStartupError
from clx.platforms import offspring
from clx.routines.tasks.output import Output, readable
from clx.routines.tasks.process import Outcome, TaskProcess
from clx.work.archiving.archive import Archive, Kept
from clx.work.archiving.sources import Mark
from clx.work.place import Store
from clx.work.running.holding import LEASE, Held, Holder
from clx.work.running.keeper import MODULE
from clx.work.running.performing import WORK

log = logging.getLogger("clx.work")

_SLICE = 1.0
"""Seconds of one wait for works at most: then it is looked whether this runner is to end."""
_PAUSE = 1.0
"""Seconds between two tries where a server, or a database, does not answer."""
_GIVEN_BACK, _LOST = "given back", "lost"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Plan(NamedTuple):
    """What a runner is to do.

    Attributes:
        asked: which works.
        function: the dotted path of what does them; None: *command*, else what each names itself.
        command: the program that does them, and its arguments.
        modules: of which works may name functions.
        commands: programs that works may name.
        path: directories in which modules are looked for first.
        argsource: ``parameters`` or ``work``: what functions get.
        lives: after how many works it ends; None: never.
        sleep: seconds between two looks at most where no bell rings.
        timeout: seconds that a work may take at most, whatever it says.
        until_idle: whether it ends when none is left.
    """

    asked: Asked
    function: str | None = None
    command: tuple[str, ...] | None = None
    modules: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    argsource: str = "parameters"
    lives: int | None = None
    sleep: float = 30.0
    timeout: float | None = None
    until_idle: bool = False
    start: str = "auto"
    recycle: int = 1 << 30

    def spec(self, level: str) -> dict[str, Any]:
        """What the process is told."""
        return {
            "function": self.function, "command": self.command, "modules": self.modules, "commands": self.commands,
            "path": self.path, "argsource": self.argsource, "start": self.start, "recycle": self.recycle,
            "directory": str(Path.cwd()), "level": level,
        }  # fmt: skip


class Question(NamedTuple):
    """A work, as the process is asked to do it."""

    id: int
    run: int
    type: str
    payload: Any


class Done(NamedTuple):
    """A work that this runner is done with.

    Attributes:
        status: what it is now; ``lost`` where it was taken away.
        seconds: how long it ran.
        error: why it failed.
    """

    id: str
    pipeline: str
    status: str
    attempt: int
    seconds: float
    error: Mapping[str, Any] | None


class Runner:
    """Does works.

    Args:
        store: where they lie.
        note: is told of each.
        artifacts: keeps long outputs; None: they are kept shortened.
        archive: what archives files; None: they stay where they are.
        state: the state directory, below which outputs can be followed; None: they cannot.
        startup: seconds in which the function must be imported.

    Raises:
        UsageError: the function cannot be imported; nothing was withdrawn.
        WorkerStartupError: no process can be started.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        note: Callable[[Done], None],
        *,
        artifacts: ArtifactStore | None = None,
        archive: Archive | None = None,
        state: Path | None = None,
        startup: float = 30.0,
        level: str = "WARNING",
    ) -> None:
        if not offspring.CAN_FORK:
            raise WorkerStartupError("Works are run on Linux or macOS.", "Use WSL on Windows.")
        self._store, self._plan, self._note, self._artifacts = store, plan, note, artifacts
        self._archive = archive
        self._asked_to_end = 0
        self._key: tuple[int, int] | None = None
        self._count = 0
        self._at_hand = ""
        self._job: int | None = None
        self._process = TaskProcess(plan.spec(level), state, startup, module=MODULE, job_of=lambda _: self._job_of())
        self._holder = Holder(store)

    def close(self) -> None:
        """End its process."""
        self._process.close()

    def run(self) -> int:
        """Do works until it is to end; returns how many it did.

        The first signal to end lets it finish the one at hand, the second ends that and hands it back.
        """
        done = 0
        with self._by_signals(), self._holder:
            while not self._asked_to_end and done != self._plan.lives:
                work = self._withdrawn()
                if work is not None:
                    self._note(self._do(work))
                    done += 1
                elif self._plan.until_idle:
                    break
        return done

    @contextmanager
    def _by_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_end += 1
        if self._asked_to_end > 1 and self._key is not None:
            self._process.end(self._key, _GIVEN_BACK)

    # -- with the table --------------------------------------------------------------------------------

    def _withdrawn(self) -> dict[str, Any] | None:
        wait = 0.0 if self._plan.until_idle else min(_SLICE, self._plan.sleep)
        try:
            return self._store.withdraw(self._plan.asked, wait=wait, lease=LEASE)
        except (*PASSING, ServerError) as error:
            if isinstance(error, AccessError):
                raise
            log.warning("no work could be withdrawn: %s", error)
            self._pause()
            return None

    def _pause(self) -> None:
        """For a moment, or until a signal has come."""
        time.sleep(_PAUSE)

    def _told(self, work: dict[str, Any]) -> bool:
        """Update a work, as often as it takes; false where it is not this runner's any more."""
        while True:
            try:
                return self._store.update([work])[0]
            except (*PASSING, ServerError) as error:
                if self._asked_to_end > 1 or isinstance(error, AccessError):
                    raise
                log.warning("work %s could not be updated: %s", work["id"], error)
                self._pause()

    # -- one work --------------------------------------------------------------------------------------

    def _do(self, work: dict[str, Any]) -> Done:
        self._count += 1
        key = self._key = (self._count, work["run"])
        self._at_hand, self._job = work["id"], None
        limit = float(work.get("timeout") or 3600)
        limit = limit if self._plan.timeout is None else min(limit, self._plan.timeout)
        began = time.monotonic()
        self._holder.hold(Held(work["id"], work["run"], lambda: self._process.end(key, _LOST)))
        before = {} if self._archive is None else self._archive.look(work)
        try:
            outcome = self._performed(work, key, limit)
            done = self._ended(work, outcome, limit, before)
        finally:
            self._holder.hold(None)
            self._key = None
        return done._replace(seconds=time.monotonic() - began)

    def _job_of(self) -> int | None:
        """The job of the work at hand, by which its output is followed; looked up once it runs for a while."""
        if self._job is None:
            with suppress(ClxError):
                found = self._store.get(self._at_hand)
                self._job = None if found is None else found.job_id
        return self._job

    def _performed(self, work: dict[str, Any], key: tuple[int, int], limit: float) -> Outcome:
        question = Question(*key, WORK, msgspec.Raw(msgspec.json.encode(work)))
        try:
            return self._process.run([question], limit, lambda _: None, lambda: None)
        except (ClxError, OSError):
            self._told({**work, "status": "queued"})
            raise

    def _ended(self, work: dict[str, Any], outcome: Outcome, limit: float, before: Mapping[str, Mark | None]) -> Done:
        done = Done(work["id"], work["pipeline"], "success", work["attempt"], 0.0, None)
        if outcome.how == _GIVEN_BACK:
            outcome.output.forget()
            self._told({**work, "status": "queued"})
            return done._replace(status="queued")
        if outcome.how == _LOST:
            is_cancelled = self._told({**work, "status": "cancelled", **self._said(outcome, outcome.peak_memory)})
            return done._replace(status="cancelled" if is_cancelled else _LOST)
        memory, kept = outcome.peak_memory, Kept({}, (), keeps_output=True)
        if outcome.how == "done":
            said = msgspec.json.decode(outcome.value)
            memory = max(memory or 0, said["memory"]) or None
            ended = {**work, **_added(work, said), "artifacts": None, "status": "success"}
            if self._archive is not None:
                returned = [*(said["products"] or ()), *(said["plots"] or ())]
                kept = self._archive.keep(ended, before, outcome.output.data(), returned)
                ended |= kept.fields
        else:
            ended = {**work, "status": "failure", "error": _error(outcome, limit)}
            done = done._replace(status="failure", error=ended["error"])
        if not self._told({**ended, **self._said(outcome, memory, keeps_output=kept.keeps_output)}):
            return done._replace(status=_LOST)
        kept.remove()
        return done

    def _said(self, outcome: Outcome, memory: int | None, *, keeps_output: bool = True) -> dict[str, Any]:
        """What the run has said and taken, to be told with its end."""
        output = self._output(outcome.output) if keeps_output else ""
        outcome.output.forget()
        return {SAID: {"output": output, "peak_memory": memory}}

    def _output(self, output: Output) -> str:
        if self._artifacts is not None:
            try:
                return output.keep(self._artifacts) or ""
            except (OSError, ClxError) as error:
                log.warning("a long output was shortened: %s", error)
        return readable(output.data())


def _added(work: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What a function has said, to be added to a work."""
    found = {} if said["results"] is None else {"results": said["results"]}
    for name in ("products", "plots"):
        if said[name]:
            found[name] = list(dict.fromkeys([*(work.get(name) or ()), *said[name]]))
    return found


def _error(outcome: Outcome, limit: float) -> dict[str, Any]:
    match outcome.how:
        case "failed":
            return dict(outcome.value)
        case "timeout":
            return {
                "type": "Timeout",
                "message": f"It ran longer than {limit:g} seconds and was killed.",
                "next_step": "Give it a longer timeout, or let it do less.",
            }
    return {"type": "WorkerDied", "message": f"Its process {outcome.value}.", "next_step": "See its output."}
