"""Everybody is killed at random while workflows run: every result is right, nothing that was done is done again."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from tests.support.scene import until

from clx import Queue
from clx.db.jobs import Job
from clx.db.workers import WorkerTable

HERE = Path(__file__).parent
_SOAK = bool(os.environ.get("CLX_SOAK"))
_KILLS = 60 if _SOAK else 6
_PROGRAMS = 3
"""Programs that ask at one time, each again whenever it is killed."""
_LIMIT = 1800.0 if _SOAK else 120.0
PROGRAM = """
import asyncio, sys
import clx, stormy

async def ask(tag):
    return await asyncio.gather(
        stormy.tree(tag + "a", 2), stormy.fan(tag + "b", 12), stormy.written(tag + "c"), stormy.fan(tag + "d", 5)
    )

where, tag = sys.argv[1:]
with clx.lifecycle(where, remote=True):
    print(asyncio.run(ask(tag)))
"""
CONFIG = """
[python]
modules = ["stormy"]
path = ["{folder}"]
[workers.python]
count = 2
[workers.workflow]
count = 1
[workers.notebook]
count = 0
[workers.plantuml]
count = 0
[workers.drawio]
count = 0
[jobs]
lease = 3.0
heartbeat = 0.5
"""


def answer(tag: str) -> str:
    """What a program prints."""
    return str([f"{tag}a-{'+'.join(['LEAF'] * 4)}", 12 * 13 // 2, f"{tag}c:kept", 5 * 6 // 2])


@dataclass
class Weather:
    """A project whose services are killed, and programs that use them."""

    folder: Path
    queue: Queue
    dice: random.Random
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    programs: dict[int, subprocess.Popen[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    right: set[int] = field(default_factory=set)
    kills: list[str] = field(default_factory=list)

    def clx(self, *words: str) -> None:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "clx", *words, "--db-path", self.where],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    @property
    def where(self) -> str:
        return str(self.queue.database.path)

    def start(self) -> None:
        """What an operator does: start what is missing."""
        self.clx("start-services")

    def ask(self, number: int) -> None:
        """Have a program ask, which has a name of its own in all that it asks."""
        tag = f"p{number}t{len(self.asked)}"
        self.asked.append(tag)
        self.programs[number] = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, self.where, tag],
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def look(self) -> None:
        """Take the answers of programs that have ended."""
        for number, program in list(self.programs.items()):
            if program.poll() is None:
                continue
            said, complained = program.communicate()
            tag = program.args[-1]  # type: ignore[index]
            del self.programs[number]
            if program.returncode == -9:
                self.ask(number)
            else:
                assert said.strip() == answer(str(tag)), (said, complained[-3000:])
                self.right.add(number)

    def victims(self) -> dict[str, list[int]]:
        """Processes that may be killed, by what they are."""
        found: dict[str, list[int]] = defaultdict(list)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = " ".join(process.cmdline())
                if self.where not in words and str(self.folder) not in words:
                    continue
                for name, sign in _SIGNS.items():
                    if sign in words:
                        found[name].append(process.pid)
                        below = process.children(recursive=True) if name == "task worker" else []
                        found["keeper or child"] += [each.pid for each in below]
        found["program"] = [each.pid for each in self.programs.values() if each.poll() is None]
        return {name: pids for name, pids in found.items() if pids}

    def strike(self) -> None:
        """Kill somebody."""
        victims = self.victims()
        if victims:
            least = min(map(self.kills.count, victims))  # every kind has its turn
            name = self.dice.choice(sorted(name for name in victims if self.kills.count(name) == least))
            self.kills.append(name)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.dice.choice(victims[name]), 9)

    def rage(self, kills: int) -> None:
        """Kill so many, and go on until every program has its answer."""
        for number in range(_PROGRAMS):
            self.ask(number)
        ends_at, next_at = time.monotonic() + _LIMIT, time.monotonic() + 1.0
        while len(self.right) < _PROGRAMS or kills > 0:
            assert time.monotonic() < ends_at, (self.kills, self.live())
            self.look()
            if kills > 0 and time.monotonic() > next_at:
                self.strike()
                kills -= 1
                if not self.victims().get("supervisor"):
                    self.start()
                next_at = time.monotonic() + self.dice.uniform(0.1, 1.5)
                for number in self.right & set(range(_PROGRAMS)) if kills > 0 else ():
                    self.right.discard(number)
                    self.ask(number)
            time.sleep(0.02)
        until(lambda: self.live() == [], _LIMIT)

    def live(self) -> list[Job]:
        """Jobs that have not ended."""
        return [*self.queue.search(state="queued", limit=1000), *self.queue.search(state="running", limit=1000)]

    def check(self) -> None:
        """Every job has ended well, and none began again after it had."""
        jobs = self.queue.search(limit=100_000)
        assert {job.state for job in jobs} == {"succeeded"}, [job for job in jobs if job.state != "succeeded"]
        begun: dict[str, list[float]] = defaultdict(list)
        for line in (self.folder / "notes").read_text().splitlines():
            tag, moment = line.split()
            begun[tag].append(float(moment))
        tasks = {str(job.payload["arguments"]["tag"]): job for job in jobs if job.type.startswith("task:")}
        assert begun.keys() == tasks.keys()
        for tag, moments in begun.items():
            job = tasks[tag]
            assert job.finished_at is not None
            assert max(moments) * 1000 <= job.finished_at, (tag, moments, job)
            assert len(moments) <= job.run, (tag, moments, job)
        assert len(tasks) == len([job for job in jobs if job.type.startswith("task:")]), "one job for each question"
        for job in jobs:
            if job.type == "workflow:written":
                assert job.result["value"] == f"{job.payload['arguments']['tag']}:kept"


_SIGNS = {
    "supervisor": "clx.workers.supervision.supervisor",
    "host": "clx.routines.worker workflow",
    "task worker": "clx.routines.worker python",
}


@pytest.fixture
def weather(queue: Queue, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Weather]:
    """Services that run."""
    shutil.copy(HERE / "stormy.py", tmp_path)
    (tmp_path / ".clx").mkdir(exist_ok=True)
    (tmp_path / ".clx" / "config.toml").write_text(CONFIG.format(folder=tmp_path))
    found = Weather(tmp_path, queue, random.Random(request.getfixturevalue("seed")))
    try:
        found.start()
        yield found
    finally:
        for program in found.programs.values():
            program.kill()
            program.communicate()
        found.clx("stop-services", "--timeout", "1")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10 if _SOAK else 1))
def test_whoever_is_killed_every_result_is_right_and_nothing_is_done_twice(weather: Weather, seed: int) -> None:
    weather.rage(_KILLS)
    print("killed:", *weather.kills)
    weather.check()
    weather.clx("stop-services", "--timeout", "1")
    until(lambda: weather.victims() == {}, 15)
    assert WorkerTable(weather.queue.database).list(live=True) == []
