"""Runners of deployments as processes of this machine: started, replaced when they end, ended with who keeps them.

Each is a ``clx work run`` that takes no other works than those of its pipelines. It ends when the process that keeps it
is gone, whatever became of that, and hands back what it was at.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import psutil

from clx.errors import EXIT_USAGE
from clx.pipelines.runner_sets import RunnerSet, bytes_of
from clx.platforms import system
from clx.workers.process.limits import not_started
from clx.workers.supervision.restart_policy import CRASH_WINDOW, pause

log = logging.getLogger("clx.work")

_PROGRAM = (sys.executable, "-P", "-m", "clx", "work", "run", "--lifeline")
_FIRST = 0.25
"""Seconds of the first rest."""
Key = tuple[str, str, str]


class _Runner(NamedTuple):
    """One process.

    Attributes:
        began: on the monotonic clock.
        descriptor: is readable once it has ended; -1 where there is none.
    """

    key: Key
    parents: frozenset[str]
    buckets: frozenset[str]
    process: subprocess.Popen[bytes]
    began: float
    descriptor: int


class Runners:
    """The runners of some sets.

    Args:
        where: the words that name where the works lie.
        note: called with one line for each thing worth telling.
        is_quiet: whether they say nothing of each work.
    """

    def __init__(self, where: Sequence[str], note: Callable[[str], None], *, is_quiet: bool = False) -> None:
        self._where = (*where, *(["--quiet"] if is_quiet else []))
        self._note = note
        self._wanted: dict[Key, RunnerSet] = {}
        self._members: list[_Runner] = []
        self._failures: Counter[Key] = Counter()
        self._not_before: dict[Key, float] = {}
        self._asked: set[int] = set()
        self._told: set[str] = set()
        self._cores = 0
        self._given_up: set[Key] = set()  # whose runners refuse to begin, and have said why

    def __bool__(self) -> bool:
        return bool(self._members)

    @property
    def can_begin(self) -> bool:
        """Whether some of those that are wanted can be started, as far as that is known."""
        return not self._given_up.issuperset(self._wanted)

    def want(self, sets: Iterable[RunnerSet]) -> None:
        """Have these from now on; those of others end once they have finished what they are at."""
        self._wanted = {each.key: each for each in sets if self._can_be_started(each)}
        for each in self._members:
            its = self._wanted.get(each.key)
            if its is None or not (each.parents.issuperset(its.parents) and each.buckets.issuperset(its.buckets)):
                self._ask(each)

    def _can_be_started(self, asked: RunnerSet) -> bool:
        image = asked.deployment.image
        if image is None:
            return True
        self._tell(
            f"No runners of {asked}: it asks for the image {image}, and runners are processes. "
            f"In a container that reaches these works, type: clx work run {' '.join(asked.buckets)} --function-of-work"
        )
        return False

    def tend(self) -> None:
        """Bury those that have ended, and start what is missing and has rested."""
        self._bury()
        there = Counter(each.key for each in self._members)
        for key, each in self._wanted.items():
            missing = each.deployment.replicas - there[key]
            if missing > 0 and key not in self._given_up and time.monotonic() >= self._not_before.get(key, 0.0):
                self._start(each, missing)

    def next_start(self) -> float:
        """Seconds until a rest ends; infinite where nobody rests."""
        now = time.monotonic()
        return min((moment - now for moment in self._not_before.values() if moment > now), default=float("inf"))

    def descriptors(self) -> list[int]:
        """What becomes readable when one ends."""
        return [each.descriptor for each in self._members if each.descriptor >= 0]

    # -- ending ----------------------------------------------------------------------------------------

    def end(self) -> None:
        """Ask all to end: they finish what they are at; asked once more, they hand it back."""
        self._wanted = {}
        for each in self._members:
            with suppress(ProcessLookupError):
                each.process.terminate()

    def kill(self) -> None:
        """Kill all with what they have started."""
        for each in self._members:
            if each.process.poll() is None:
                with suppress(ProcessLookupError):
                    system.kill_group(each.process.pid)

    def _ask(self, runner: _Runner) -> None:
        if runner.process.pid not in self._asked:
            self._asked.add(runner.process.pid)
            with suppress(ProcessLookupError):
                runner.process.terminate()

    def _bury(self) -> None:
        gone = [each for each in self._members if each.process.poll() is not None]
        for each in gone:
            self._members.remove(each)
            if each.descriptor >= 0:
                os.close(each.descriptor)
            if each.process.stdin is not None:
                each.process.stdin.close()
            if each.process.pid in self._asked:
                self._asked.discard(each.process.pid)
            elif each.key in self._wanted:
                self._judge(each)

    def _judge(self, runner: _Runner) -> None:
        """Decide when one that has ended by itself is replaced: at once, or after a rest that grows."""
        code, key, now = runner.process.returncode, runner.key, time.monotonic()
        if code == 0:  # its lives were used up
            self._failures.pop(key, None)
            return
        if code == EXIT_USAGE:  # no other try helps
            self._given_up.add(key)
            return
        if now - runner.began > CRASH_WINDOW:
            self._failures.pop(key, None)
        rest = pause(_FIRST, self._failures[key])
        self._failures[key] += 1
        self._not_before[key] = now + rest
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        self._note(f"A runner of {self._wanted[key]} has ended {how}; another begins in {rest:g} s.")

    # -- starting --------------------------------------------------------------------------------------

    def _start(self, asked: RunnerSet, count: int) -> None:
        command = [*_PROGRAM, *self._where, *asked.words()]
        for _ in range(count):
            try:
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, start_new_session=True)
            except OSError as error:
                self._failures[asked.key] += 1
                self._not_before[asked.key] = time.monotonic() + pause(_FIRST, self._failures[asked.key])
                self._tell(str(not_started(error, f"runner of {asked}")))
                return
            self._limit(process.pid, asked)
            try:
                descriptor = system.open_process(process.pid)
            except OSError:  # too many are open, or it is gone: it is looked after all the same
                descriptor = -1
            began = time.monotonic()
            self._members.append(
                _Runner(asked.key, frozenset(asked.parents), frozenset(asked.buckets), process, began, descriptor)
            )

    def _limit(self, pid: int, asked: RunnerSet) -> None:
        """Hold a process, and what it starts, to the resources of its deployment, as far as this system does that."""
        resources = asked.deployment.resources
        cores, memory = resources.get("cores"), bytes_of(resources)
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if memory is not None:
                if hasattr(process, "rlimit"):
                    process.rlimit(psutil.RLIMIT_AS, (memory, memory))
                else:
                    self._tell(f"ram of {asked} is not enforced on this system.")
            if cores is not None:
                if hasattr(process, "cpu_affinity"):
                    process.cpu_affinity(self._chosen(cores, process.cpu_affinity(), asked))
                else:
                    self._tell(f"cores of {asked} are not enforced on this system.")
        if resources.get("gpu"):
            self._tell(f"gpu of {asked} is not enforced: runners see all that there are.")

    def _chosen(self, cores: int, there: Collection[int], asked: RunnerSet) -> list[int]:
        """As many of those *there* as are wanted, other ones for each runner as far as they go."""
        if cores > len(there):
            self._tell(f"{asked} asks for {cores} cores, and there are {len(there)}.")
        found = list(there)
        self._cores += cores
        return [found[(self._cores + number) % len(found)] for number in range(min(cores, len(found)))]

    def _tell(self, text: str) -> None:
        """Note something once."""
        if text not in self._told:
            self._told.add(text)
            self._note(text)


def names(sets: Iterable[RunnerSet]) -> Iterator[str]:
    """Sets in words."""
    for each in sets:
        yield f"{each.deployment.replicas} of {each}"
