"""Who takes part in a storm of works: each role is one process, which may be killed at any moment and started anew.

A line of a log is one fact, written at once: ``ack NUMBER ID`` (a deposit has returned), ``done ID RUN`` (an update
with a success has), ``lost ID RUN`` (another has it), ``problem WORDS``.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clx import Work
from clx.errors import DatabaseBusyError, LostRunError, ServerError
from clx.work.place import at

PIPELINE = "storm"
HELD = 5
"""Seconds after which what a killed program held is given to another."""
_GONE = (ServerError, DatabaseBusyError)


class Log:
    """Where one role writes what happened to it, also the one after it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, *words: object) -> None:
        """One fact."""
        os.write(self._file, f"{' '.join(map(str, words))}\n".encode())

    def facts(self, kind: str) -> list[list[str]]:
        """The facts of one kind, each as its words."""
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [words[1:] for line in lines if (words := line.split(" ")) and words[0] == kind]


def deposit(log: Log, first: str, last: str) -> None:
    """Deposit works of these numbers; whose deposit was not acknowledged is deposited again, by the same id."""
    there = {int(number) for number, _ in log.facts("ack")}
    for number in range(int(first), int(last)):
        if number in there:
            continue
        work = Work(
            PIPELINE, parameters={"n": number, "by": "clx"}, tags=[f"t{number % 10}"], retries=5, timeout=HELD,
            creation=number, id=f"{number:024x}", user="storm",
        )  # fmt: skip
        while True:
            with suppress(*_GONE):
                work.deposit()
                break
        log.say("ack", number, work.id)


def perform(log: Log) -> None:
    """Withdraw works one by one, and end each with a success."""
    while True:
        with suppress(*_GONE):
            work = Work.withdraw(PIPELINE, wait=1.0)
            if work is None:
                continue
            work.results = {"twice": 2 * work.parameters["n"]}
            work.status = "success"
            while True:
                try:
                    work.update()
                except LostRunError:
                    log.say("lost", work.id, work.run)
                    break
                except _GONE:
                    continue
                log.say("done", work.id, work.run)
                break


ROLES: dict[str, Callable[..., None]] = {"deposit": deposit, "perform": perform}
"""Clients of another kind are further roles; :mod:`tests.faults.test_work_storms` says how many of each there are."""


def main(role: str, path: str, url: str, *more: str) -> None:
    """Be one of them; the token is in the variable CLX_TOKEN."""
    log = Log(Path(path))
    try:
        with at(url):
            ROLES[role](log, *more)
    except BaseException:
        log.say("problem", role, repr(traceback.format_exc()))
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
