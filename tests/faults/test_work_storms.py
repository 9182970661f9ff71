"""Storms of works: server, programs, clients of others, and database are killed at random; each ends once."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from tests.faults import work_clients, work_participants, work_steps
from tests.faults.work_participants import PIPELINE, Log
from tests.support.clients import client
from tests.support.machines import NetworkServer
from tests.support.serving_process import ServerProcess
from tests.support.tools import require

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.tokens import TokenTable
from clx.db.works.searching import Condition, Search

_SOAK = bool(os.environ.get("CLX_SOAK"))
_WORKS = 10_000 if _SOAK else 1_000
_EVERY = 300 if _SOAK else 100
"""Deposits and ends after which somebody is killed at the latest."""
_LIMIT = 3000 if _SOAK else 1000
"""Seconds after which a storm that has not ended has failed."""
_CLIENTS = {"chime": "chime-frb-api-3.4.0", "core": "workflow-core-1.12.3"}


class Part(NamedTuple):
    """A role that one process at a time has.

    Attributes:
        role: of :data:`tests.faults.work_participants.ROLES`, a client of others with its role, or ``run``: a runner.
        more: what it is told besides.
    """

    role: str
    more: tuple[str, ...] = ()


class Storm:
    """Processes that take part, and a server; each is started anew when it was killed."""

    def __init__(
        self, folder: Path, database: Path | str, parts: list[Part], *options: str, net: NetworkServer | None = None
    ) -> None:
        self.folder, self.database, self._options, self._net = folder, database, options, net
        with Queue.open(database) as queue:
            self.token = TokenTable(queue.database).add("storm", "work")
        self.server = self._serve(0)
        self.parts = parts
        self._paths = [folder / f"{index}-{part.role}.log" for index, part in enumerate(parts)]
        self.logs = [Log(each) for each in self._paths]
        self._running: list[subprocess.Popen[bytes] | None] = [None] * len(parts)
        self._environment = {**os.environ, "CLX_TOKEN": self.token, "HOME": str(folder)}
        self.kills: Counter[str] = Counter()
        self._due = ["other", "server", *(["database"] if net is not None else [])]  # from the last: all of them early

    def _serve(self, port: int) -> ServerProcess:
        return ServerProcess(self.database, *self._options, token=self.token, port=port, folder=self.folder)

    def know_clients(self) -> None:
        """Give those of others the file by which they find the server."""
        shutil.copy(work_steps.__file__, self.folder)
        asked = [sys.executable, "-m", "clx", "work", "workspace", "--url", self.server.url, "--site", "local"]
        workspace = self.folder / ".config" / "workflow" / "workspace.yml"
        workspace.parent.mkdir(parents=True)
        workspace.write_bytes(subprocess.run(asked, capture_output=True, check=True).stdout)
        for name in _CLIENTS.values():
            client(name)  # made where it is not there yet, which takes longer than anything that follows

    def keep(self, without: tuple[str, ...] = ()) -> None:
        """Start what does not run, but for what has done its part, and the roles that are left out."""
        for index, part in enumerate(self.parts):
            if part.role in without:
                continue
            running = self._running[index]
            if running is None or running.poll() not in (None, 0):
                self._running[index] = subprocess.Popen(
                    self._command(part, self._paths[index]), env=self._environment, stderr=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, cwd=self.folder,
                )  # fmt: skip

    def _command(self, part: Part, log: Path) -> list[str]:
        if part.role == "run":
            where = part.more or ("--url", self.server.url)
            return [sys.executable, "-m", "clx", "work", "run", PIPELINE, "work_steps.twice", "-q", *where]
        kind = part.role.partition("-")[0]
        program = [sys.executable, work_participants.__file__]
        if kind in _CLIENTS:
            program = [str(client(_CLIENTS[kind]).python), work_clients.__file__]
        return [*program, part.role, str(log), self.server.url, *part.more]

    def meet(self) -> None:
        """Leave all works to clients of others until they have ended some of every depositor."""
        ends_at = time.monotonic() + _LIMIT
        while {by for _, by in self.facts("told")} != {"clx", *_CLIENTS}:
            assert time.monotonic() < ends_at, self.facts("problem")
            self.keep(without=("perform", "run"))
            time.sleep(0.1)

    def strike(self) -> None:
        """Kill one of them: in turns of a random order the server as often as all others together, and the database."""
        if not self._due:
            self._due = ["server", "server", "other", "other", *(["database"] if self._net is not None else [])]
            random.shuffle(self._due)
        whom = self._due.pop()
        if whom == "database" and self._net is not None:
            self._net.crash()
            self.kills["database"] += 1
        elif whom == "server":
            self.server.kill()
            self.kills["server"] += 1
            self.server = self._serve(self.server.port)
        else:
            self._strike_another()

    def _strike_another(self) -> None:
        """Kill one that runs; of those whose role was struck least."""
        running = [each for each in zip(self.parts, self._running, strict=True) if each[1] and each[1].poll() is None]
        least = min(self.kills[part.role] for part, _ in running)
        part, struck = random.choice([each for each in running if self.kills[each[0].role] == least])
        assert struck is not None
        struck.kill()
        struck.wait()
        self.kills[part.role] += 1

    def facts(self, kind: str) -> list[list[str]]:
        """All facts of a kind, whoever noted them."""
        return [each for log in self.logs for each in log.facts(kind)]

    def rage(self, works: int) -> None:
        """Strike until all works are there and have ended."""
        ends_at, strikes_at = time.monotonic() + _LIMIT, 0
        with Queue.open(self.database) as queue:
            while not self._is_over(queue, works):
                assert time.monotonic() < ends_at, (self.kills, self.facts("problem"))
                self.keep()
                time.sleep(0.1)
                # however fast the machine is
                if (done := sum(len(self.facts(kind)) for kind in ("ack", "done", "told"))) >= strikes_at:
                    self.strike()
                    strikes_at = done + random.randint(20, _EVERY)

    def _is_over(self, queue: Queue, works: int) -> bool:
        if len(self.facts("ack")) < works:
            return False
        counts = queue.works.status(PIPELINE)
        return counts["queued"] + counts["running"] == 0

    def end(self) -> None:
        """End all of them."""
        for running in self._running:
            if running is not None:
                running.kill()
                running.wait()
        self.server.kill()


@contextlib.contextmanager
def storm_of(folder: Path, database: Path | str, parts: list[Part], *options: str, **more: Any) -> Iterator[Storm]:
    """A storm, which ends."""
    made = Storm(folder, database, parts, *options, **more)
    try:
        yield made
    finally:
        made.end()


def depositors(role: str, first: int, last: int) -> list[Part]:
    """Two who deposit half of the numbers each."""
    middle = (first + last) // 2
    return [Part(role, (str(first), str(middle))), Part(role, (str(middle), str(last)))]


@pytest.mark.timeout(_LIMIT + 120)
def test_works_over_http_are_deposited_once_and_end_once(tmp_path: Path) -> None:
    parts = [*depositors("deposit", 0, _WORKS), Part("perform"), Part("perform"), Part("perform")]
    with storm_of(tmp_path, tmp_path / "jobs.db", parts) as storm:
        storm.rage(_WORKS)
    assert min(storm.kills[role] for role in ("server", "deposit", "perform")) > 0, storm.kills
    _judge(storm, _WORKS)


def _everybody(database: str, works: int) -> list[Part]:
    """Both kinds of client, programs of CLX, and runners on the server and on the database."""
    half, rest = works // 2, works // 4
    return [
        *depositors("deposit", 0, half), Part("perform"),
        Part("chime-deposit", (str(half), str(half + rest))), Part("chime-perform"), Part("chime-perform"),
        Part("core-deposit", (str(half + rest), str(works))), Part("core-perform"), Part("core-perform"),
        Part("run", ("--db-path", database)), Part("run"),
    ]  # fmt: skip


@pytest.mark.timeout(_LIMIT + 120)
def test_both_kinds_of_client_and_runners_at_once(tmp_path: Path) -> None:
    _with_everybody(tmp_path, tmp_path / "jobs.db", _WORKS)


@pytest.mark.timeout(_LIMIT + 120)
def test_both_kinds_of_client_on_a_database_that_crashes(tmp_path: Path) -> None:
    require("postgres")
    with tempfile.TemporaryDirectory(prefix="clx-pg-") as name:
        net = NetworkServer(Path(name))
        net.make()
        net.start()
        try:
            net.execute("CREATE DATABASE storm")
            _with_everybody(tmp_path, net.url("storm"), _WORKS // 2, net)
        finally:
            net.stop()


def _with_everybody(folder: Path, database: Path | str, works: int, net: NetworkServer | None = None) -> None:
    with storm_of(folder, database, _everybody(str(database), works), "--no-token", net=net) as storm:
        storm.know_clients()
        storm.meet()
        storm.rage(works)
        _judge(storm, works)
    assert min(storm.kills["server"], sum(storm.kills.values()) - storm.kills["server"]) > 0, storm.kills
    assert net is None or storm.kills["database"] > 0, storm.kills


def _judge(storm: Storm, works: int) -> None:
    """By the table alone, as it lies there."""
    assert [" ".join(each) for each in storm.facts("problem")] == []
    with Queue.open(storm.database) as queue:
        assert check(queue.database) == []
        found = [
            each.document
            for each in queue.works.find(Search((Condition("pipeline", "=", PIPELINE),), limit=None)).works
        ]
    jobs, runs = _rows(storm.database)
    numbers = Counter(each["parameters"]["n"] for each in found)
    assert {int(fact[0]) for fact in storm.facts("ack")} == set(range(works))
    assert set(numbers) == set(range(works))  # none is lost
    assert set(numbers.values()) == {1}  # none is doubled
    assert Counter(each["status"] for each in found) == {"success": works}
    assert all(each["results"] == {"twice": 2 * each["parameters"]["n"]} for each in found)
    assert {fact[1] for fact in storm.facts("ack") if len(fact) > 1} <= set(jobs)
    ended = Counter(job for job, _ in runs)
    assert (len(ended), set(ended.values())) == (works, {1})  # each job once
    done = [(made, int(run)) for made, run in storm.facts("done")]
    told = [made for made, _ in done] + [made for made, _ in storm.facts("told")]
    assert len(told) == len(set(told))  # nobody was told that his is the end where another was
    assert {(jobs[made], run) for made, run in done} <= set(runs)


def _rows(database: Path | str) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """Jobs by the ids of their works, and the runs that have succeeded."""
    asked = "SELECT id, job_id FROM works", "SELECT job_id, run FROM runs WHERE outcome = 'succeeded'"
    if isinstance(database, Path):
        with contextlib.closing(sqlite3.connect(database)) as file:
            jobs, runs = (file.execute(each).fetchall() for each in asked)
    else:
        with psycopg.connect(database, options="-c search_path=clx") as connection:
            jobs, runs = (connection.execute(each).fetchall() for each in asked)
    return dict(jobs), runs
