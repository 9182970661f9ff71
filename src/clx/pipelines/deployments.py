"""The ``deployments`` of pipelines on this machine: their runners are there as long as their pipelines live."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clx.errors import PASSING, AccessError, ClxError, ServerError, UsageError, WorkerStartupError
from clx.pipelines.runner_sets import LIVE, RunnerSet, definition_of, wanted
from clx.pipelines.runners import Runners, names
from clx.platforms import system
from clx.settings.problems import shortened
from clx.workers.supervision.supervisor import heeding

if TYPE_CHECKING:
    import socket

    from clx.pipelines.definition import Config
    from clx.pipelines.running import Store

log = logging.getLogger("clx.work")

Document = dict[str, Any]
_BEAT = 1.0
"""Seconds between two looks at the pipelines, at least; ten times as many as one took."""
_GRACE = 10.0
"""Seconds in which runners without work end."""
_MOST = 1000
"""Live pipelines that one look sees, the newest: a server tells no more at once."""


class Deployments:
    """What runners are wanted for pipelines, at any moment.

    Args:
        store: where the pipelines are.
        ids: those, or configs; empty: all that live, and that come.
        note: called with one line for what is worth telling.

    Raises:
        UsageError: there is none of an id.
    """

    def __init__(self, store: Store, ids: Sequence[str], note: Callable[[str], None]) -> None:
        self._store, self._note = store, note
        self._configs: dict[str, Document] = {}
        self.are_named = bool(ids)
        """Whether certain ones were asked for."""
        found = store.configs(ids=ids) if ids else []
        self._targets = [each["id"] for each in found]
        self._pipelines = [each for each in ids if each not in self._targets]
        there = {each["id"] for each in store.find(ids=self._pipelines)} if self._pipelines else set()
        for each in self._pipelines:
            if each not in there:
                raise UsageError(f"There is no pipeline {shortened(each)}.", "See `clx pipelines list`.")
        self._unreadable: set[str] = set()
        self.is_over = False
        """Whether what was asked for has ended for good."""

    def look(self) -> list[RunnerSet]:
        """The sets that are wanted now."""
        by_config: dict[str, list[Document]] = {}
        for pipeline in self._live():
            by_config.setdefault(pipeline["config"], []).append(pipeline)
        found: list[RunnerSet] = []
        for id_, pipelines in by_config.items():
            try:
                found += wanted(self._config(id_), pipelines)
            except ClxError as error:
                if id_ not in self._unreadable:
                    self._unreadable.add(id_)
                    self._note(f"No runners for {id_}: {error.fact}")
        self.is_over = self.are_named and not by_config and not self._comes_again()
        return found

    def _live(self) -> Iterable[Document]:
        if not self.are_named:
            return self._store.find(status=LIVE, limit=_MOST)
        found = [each for id_ in self._targets for each in self._store.find(config=id_, status=LIVE, limit=_MOST)]
        if self._pipelines:
            known = {each["id"] for each in found}
            alone = self._store.find(ids=self._pipelines, status=LIVE, limit=_MOST)
            found += [each for each in alone if each["id"] not in known]
        return found

    def _config(self, id_: str) -> Document:
        if id_ not in self._configs:
            (self._configs[id_],) = self._store.configs(ids=[id_])
        return self._configs[id_]

    def _comes_again(self) -> bool:
        """Whether a schedule of what was asked for makes more pipelines."""
        found = self._store.configs(ids=self._targets) if self._targets else []
        return any(each["schedule"] and each["schedule"]["status"] != "expired" for each in found)


def require_some(store: Store, ids: Sequence[str]) -> None:
    """See that a step of pipelines that were named runs on a deployment.

    Raises:
        UsageError: none does.
    """
    configs = {each["id"]: each for each in store.configs(ids=ids)}
    for pipeline in store.find(ids=[each for each in ids if each not in configs]):
        configs |= {each["id"]: each for each in store.configs(ids=[pipeline["config"]])}
    require_any(definition_of(each["yaml"]) for each in configs.values())


def require_any(configs: Iterable[Config]) -> None:
    """See that a step of files runs on one of their deployments.

    Raises:
        UsageError: none does.
    """
    for config in configs:
        named = {name for step in config.steps for name in step.runs_on or config.runs_on}
        if not named.isdisjoint(each.name for each in config.deployments):
            return
    raise UsageError(
        "No step of these runs on a deployment.",
        "Write deployments and runs_on, or start runners by hand: clx work run BUCKET --function-of-work",
    )


def keep(deployments: Deployments, runners: Runners, note: Callable[[str], None]) -> bool:
    """Keep the runners that are wanted, until nothing is left or a signal comes; returns whether nothing is left.

    The first SIGINT or SIGTERM lets them finish what they are at, a second one has them hand it back.

    Raises:
        WorkerStartupError: none of those that are wanted can begin.
    """
    asked: list[int] = []
    with heeding(lambda number, _frame: asked.append(number)) as wake:
        try:
            _tended(deployments, runners, note, asked, wake)
            if asked and runners:
                name = signal.Signals(asked[0]).name
                note(f"{name}: the runners finish what they are at; once more hands it back.")
            _ended(runners, asked, wake)
        finally:
            runners.kill()
    return deployments.is_over


def _tended(
    deployments: Deployments, runners: Runners, note: Callable[[str], None], asked: list[int], wake: socket.socket
) -> None:
    looks_at, told = 0.0, None
    while not asked:
        if time.monotonic() >= looks_at:
            began = time.monotonic()
            try:
                sets = deployments.look()
            except (*PASSING, ServerError) as error:
                if isinstance(error, AccessError):
                    raise
                log.warning("%s", error.fact)
            else:
                if deployments.is_over:
                    return
                runners.want(sets)
                if told != (told := sorted(names(sets))) and sets:
                    note(f"Runners: {', '.join(told)}")
                if sets and deployments.are_named and not runners.can_begin:
                    fact = f"No runner of {sets[0]} can begin."
                    raise WorkerStartupError(fact, "Why stands above. Correct that, then type the command again.")
            looks_at = time.monotonic() + max(_BEAT, 10 * (time.monotonic() - began))
        runners.tend()
        _wait(runners, wake, min(runners.next_start(), max(0.0, looks_at - time.monotonic())))


def _ended(runners: Runners, asked: Sequence[int], wake: socket.socket) -> None:
    """End the runners: in order, then by what is harder each time a signal comes, or the time is over."""
    runners.end()
    heeded, is_second = len(asked), False
    ends_at = None if asked else time.monotonic() + _GRACE
    while True:
        runners.tend()
        if not runners:
            return
        _wait(runners, wake, _BEAT)
        if len(asked) > heeded or (ends_at is not None and time.monotonic() > ends_at):
            if is_second:
                runners.kill()
            else:
                runners.end()
            heeded, is_second, ends_at = len(asked), True, time.monotonic() + _GRACE


def _wait(runners: Runners, wake: socket.socket, seconds: float) -> None:
    if wake.fileno() in system.wait_readable([wake.fileno(), *runners.descriptors()], max(0.0, seconds)):
        with suppress(BlockingIOError):
            wake.recv(64)
