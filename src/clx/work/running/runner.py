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
from clx.db.durations import counted
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
_QUICK = 0.05
"""Seconds that a work takes at most after which the next one is withdrawn ahead."""
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


class _Begun(NamedTuple):
    """A work whose function was asked for.

    Attributes:
        limit: seconds that it may take.
        at: when that was.
        before: what there was of the files that it names.
    """

    work: dict[str, Any]
    question: Question
    limit: float
    at: float
    before: Mapping[str, Mark | None]

    @property
    def key(self) -> tuple[int, int]:
        return (self.question.id, self.question.run)


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
        self._left = plan.lives
        self._ahead: dict[str, Any] | None = None
        self._begun: _Begun | None = None
        self._is_quick = False
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
            try:
                while (begun := self._next()) is not None or not (self._plan.until_idle or self._is_over()):
                    if begun is not None:
                        self._note(self._finish(begun))
                        done += 1
            finally:
                self._hand_back()
        return done

    def _is_over(self, more: int = 1) -> bool:
        """Whether so many works more are too many."""
        return self._asked_to_end > 0 or (self._left is not None and self._left < more)

    def _next(self) -> _Begun | None:
        """The work that has begun, or one that begins now; None where this is to end, or none waits."""
        if self._begun is None and not self._is_over():
            work, self._ahead = self._ahead or self._withdrawn(), None
            if work is not None:
                self._begin(work)
        return self._begun

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
        self._store.wake()
        if self._asked_to_end > 1 and self._key is not None:
            self._process.end(self._key, _GIVEN_BACK)

    # -- with the table --------------------------------------------------------------------------------

    def _withdrawn(self, *, ahead: bool = False) -> dict[str, Any] | None:
        wait = 0.0 if ahead or self._plan.until_idle else min(_SLICE, self._plan.sleep)
        try:
            return self._store.withdraw(self._plan.asked, wait=wait, lease=LEASE)
        except (*PASSING, ServerError) as error:
            if isinstance(error, AccessError):
                raise
            log.warning("no work could be withdrawn: %s", error)
            if not ahead:
                self._pause()
            return None

    def _hand_back(self) -> None:
        """Let others have what was withdrawn, and not done."""
        works = [self._ahead, None if self._begun is None else self._begun.work]
        self._ahead = self._begun = None
        if documents := [{**work, "status": "queued"} for work in works if work is not None]:
            try:
                self._store.update(documents)
            except ClxError as error:  # their leases end
                log.warning("works could not be handed back: %s", error)

    def _pause(self) -> None:
        """For a moment, or until a signal has come."""
        time.sleep(_PAUSE)

    def _told(self, *works: dict[str, Any], wants_next: bool = False) -> bool:
        """Update a work, as often as it takes; false where it is not this runner's any more.

        Args:
            works: its documents, one after the other.
            wants_next: whether the next one is withdrawn with that.
        """
        while True:
            try:
                if not wants_next or len(works) > 1:
                    return self._store.update(works)[-1]
                taken, self._ahead = self._store.exchange(works[0], self._plan.asked, lease=LEASE)
                return taken
            except (*PASSING, ServerError) as error:
                if self._asked_to_end > 1 or isinstance(error, AccessError):
                    raise
                log.warning("work %s could not be updated: %s", works[0]["id"], error)
                self._pause()

    # -- one work --------------------------------------------------------------------------------------

    def _begin(self, work: dict[str, Any]) -> None:
        """Have the function of a work begin."""
        self._count += 1
        question = Question(self._count, work["run"], WORK, msgspec.Raw(msgspec.json.encode(work)))
        self._at_hand, self._job = work["id"], None
        limit = float(work.get("timeout") or 3600)
        limit = limit if self._plan.timeout is None else min(limit, self._plan.timeout)
        before = {} if self._archive is None else self._archive.look(work)
        self._begun = begun = _Begun(work, question, limit, time.monotonic(), before)
        self._key = begun.key
        self._holder.hold(Held(work, lambda: self._process.end(begun.key, _LOST)))
        try:
            self._process.ask(question)
        except (ClxError, OSError):
            self._hand_back()
            raise

    def _finish(self, begun: _Begun) -> Done:
        """Wait for the end of a work, and update it; where works are quick the next one runs meanwhile."""
        if self._is_quick and self._ahead is None and not self._is_over(2):
            self._ahead = self._withdrawn(ahead=True)
        told: list[dict[str, Any]] = []

        def on_progress(progress: dict[str, Any]) -> None:
            told[:] = [progress]
            self._holder.tell(begun.work["id"], progress)

        outcome = self._process.run([begun.question], begun.limit, on_progress, self._look)
        if self._left is not None:
            self._left -= 1
        if told:
            begun.work["progress"] = told[0]
        ended, done, kept = self._ended(begun, outcome)
        self._begun = self._key = None
        self._holder.hold(None)
        lasted = time.monotonic() - begun.at
        self._is_quick = lasted < _QUICK
        if self._ahead is not None and not self._is_over():
            work, self._ahead = self._ahead, None
            self._begin(work)
        documents = [{**begun.work, "status": "running"}, ended] if told else [ended]
        is_wanted = self._is_quick and not self._is_over(1 if self._begun is None else 2)
        is_taken = self._told(*documents, wants_next=is_wanted and self._ahead is None)
        if is_taken:
            kept.remove()
        elif outcome.how != _GIVEN_BACK:
            done = done._replace(status=_LOST)
        return done._replace(seconds=lasted)

    def _look(self) -> None:
        """A work takes a while: what was withdrawn ahead does not wait for it."""
        work, self._ahead = self._ahead, None
        if work is not None:
            try:
                self._store.update([{**work, "status": "queued"}])
            except ClxError as error:  # its lease ends
                log.warning("work %s could not be handed back: %s", work["id"], error)

    def _job_of(self) -> int | None:
        """The job of the work at hand, by which its output is followed; looked up once it runs for a while."""
        if self._job is None:
            with suppress(ClxError):
                found = self._store.get(self._at_hand)
                self._job = None if found is None else found.job_id
        return self._job

    def _ended(self, begun: _Begun, outcome: Outcome) -> tuple[dict[str, Any], Done, Kept]:
        """What the work is to be now that it has ended, and its files are archived."""
        work, kept = begun.work, Kept({}, (), keeps_output=True)
        done = Done(work["id"], work["pipeline"], "success", work["attempt"], 0.0, None)
        if outcome.how == _GIVEN_BACK:
            outcome.output.forget()
            return {**work, "status": "queued"}, done._replace(status="queued"), kept
        if outcome.how == _LOST:
            ended = {**work, "status": "cancelled", **self._said(outcome, outcome.peak_memory)}
            return ended, done._replace(status="cancelled"), kept
        memory = outcome.peak_memory
        if outcome.how == "done":
            said = msgspec.json.decode(outcome.value)
            memory = max(memory or 0, said["memory"]) or None
            ended = {**work, **_added(work, said), "artifacts": None, "status": "success"}
            if self._archive is not None:
                returned = [*(said["products"] or ()), *(said["plots"] or ())]
                kept = self._archive.keep(ended, begun.before, outcome.output.data(), returned)
                ended |= kept.fields
        else:
            ended = {**work, "status": "failure", "error": _error(outcome, begun.limit)}
            done = done._replace(status="failure", error=ended["error"])
        return {**ended, **self._said(outcome, memory, keeps_output=kept.keeps_output)}, done, kept

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
                "message": f"It ran longer than {counted(limit, 'second')} and was killed.",
                "next_step": "Give it a longer timeout, or let it do less.",
            }
    return {"type": "WorkerDied", "message": f"Its process {outcome.value}.", "next_step": "See its output."}
