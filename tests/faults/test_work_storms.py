"""A storm of works over HTTP: server and programs are killed at random; each deposit is there, and has ended once."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.faults import work_participants
from tests.faults.work_participants import PIPELINE, Log
from tests.support.serving_process import ServerProcess

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.tokens import TokenTable

_WORKS = 10_000 if os.environ.get("CLX_SOAK") else 2_000
_EVERY = 300
"""Deposits and ends after which somebody is killed at the latest."""
_LIMIT = 1800 if os.environ.get("CLX_SOAK") else 400
"""Seconds after which a storm that has not ended has failed."""


class Part(NamedTuple):
    """A role that one process at a time has.

    Attributes:
        role: of :data:`tests.faults.work_participants.ROLES`.
        more: what it is told besides.
    """

    role: str
    more: tuple[str, ...] = ()


class Storm:
    """Processes that take part, and a server; each is started anew when it was killed."""

    def __init__(self, folder: Path, parts: list[Part]) -> None:
        self.database = folder / "jobs.db"
        with Queue.open(self.database) as queue:
            self.token = TokenTable(queue.database).add("storm", "work")
        self.server = ServerProcess(self.database, token=self.token)
        self.parts = parts
        self.logs = [Log(folder / f"{index}-{part.role}.log") for index, part in enumerate(parts)]
        self._paths = [folder / f"{index}-{part.role}.log" for index, part in enumerate(parts)]
        self._running: list[subprocess.Popen[bytes] | None] = [None] * len(parts)
        self.kills: Counter[str] = Counter()

    def keep(self) -> None:
        """Start what does not run, but for what has done its part."""
        for index, part in enumerate(self.parts):
            running = self._running[index]
            if running is None or running.poll() not in (None, 0):
                told = (part.role, str(self._paths[index]), self.server.url, *part.more)
                self._running[index] = subprocess.Popen(
                    [sys.executable, work_participants.__file__, *told],
                    env={**os.environ, "CLX_TOKEN": self.token}, stderr=subprocess.DEVNULL,
                )  # fmt: skip

    def strike(self) -> None:
        """Kill one of them, the server as often as all others together."""
        if random.random() < 0.5:
            self.server.kill()
            self.kills["server"] += 1
            self.server = ServerProcess(self.database, token=self.token, port=self.server.port)
            return
        index = random.randrange(len(self.parts))
        running = self._running[index]
        if running is not None and running.poll() is None:
            running.kill()
            running.wait()
            self.kills[self.parts[index].role] += 1

    def count(self, kind: str) -> int:
        """How many facts of a kind there are."""
        return sum(len(log.facts(kind)) for log in self.logs)

    def end(self) -> None:
        """End all of them."""
        for running in self._running:
            if running is not None:
                running.kill()
                running.wait()
        self.server.kill()


def halves(works: int) -> list[Part]:
    """Two who deposit half of the numbers each, three who perform."""
    middle = works // 2
    deposits = [Part("deposit", ("0", str(middle))), Part("deposit", (str(middle), str(works)))]
    return [*deposits, Part("perform"), Part("perform"), Part("perform")]


@pytest.mark.timeout(_LIMIT + 120)
def test_works_over_http_are_deposited_once_and_end_once(tmp_path: Path) -> None:
    storm = Storm(tmp_path, halves(_WORKS))
    ends_at = time.monotonic() + _LIMIT
    try:
        strikes_at = 0
        while not _is_over(storm):
            assert time.monotonic() < ends_at, storm.kills
            storm.keep()
            time.sleep(0.1)
            if (done := storm.count("ack") + storm.count("done")) >= strikes_at:  # however fast the machine is
                storm.strike()
                strikes_at = done + random.randint(20, _EVERY)
    finally:
        storm.end()
    assert storm.count("problem") == 0
    assert min(storm.kills[role] for role in ("server", "deposit", "perform")) > 0, storm.kills
    _judge(storm)


def _is_over(storm: Storm) -> bool:
    if storm.count("ack") < _WORKS:
        return False
    with sqlite3.connect(storm.database) as connection:
        found = connection.execute("SELECT count(*) FROM works WHERE status IN ('queued', 'running')").fetchone()
    connection.close()
    return int(found[0]) == 0


def _judge(storm: Storm) -> None:
    """By the file alone, as it lies there."""
    connection = sqlite3.connect(storm.database)
    rows = connection.execute("SELECT id, job_id, status, document FROM works").fetchall()
    acknowledged = {(int(number), made) for log in storm.logs for number, made in log.facts("ack")}
    numbers = Counter(json.loads(document)["parameters"]["n"] for *_, document in rows)
    assert {number for number, _ in acknowledged} == set(range(_WORKS))
    assert len({row[0] for row in rows} & {made for _, made in acknowledged}) == _WORKS  # none is lost
    assert set(numbers.values()) == {1}  # none is doubled
    assert Counter(status for _, _, status, _ in rows) == {"success": _WORKS}
    assert all(json.loads(row[3])["results"] == {"twice": 2 * json.loads(row[3])["parameters"]["n"]} for row in rows)
    ended = Counter(
        connection.execute("SELECT job_id FROM runs WHERE outcome = 'succeeded'").fetchall()
    )  # each job once
    assert (len(ended), set(ended.values())) == (_WORKS, {1})
    jobs = {row[0]: row[1] for row in rows}
    runs = set(connection.execute("SELECT job_id, run FROM runs WHERE outcome = 'succeeded'").fetchall())
    done = [(made, int(run)) for log in storm.logs for made, run in log.facts("done")]
    assert len(done) == len(set(done)) == len({made for made, _ in done})  # nobody was told twice that his is the end
    assert {(jobs[made], run) for made, run in done} <= runs
    connection.close()
    with Queue.open(storm.database) as queue:
        assert check(queue.database) == []
        assert queue.works.status(PIPELINE)["success"] == _WORKS
