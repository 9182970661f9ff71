"""A storm in which everybody looks at the file by every way people use, and everything runs out.

Beside producers and consumers, the standard library's ``sqlite3``, SQLAlchemy, pandas, Datasette, the ``sqlite3``
shell, ``cp`` and backups look at the file of the queue, inside its processes and outside. Meanwhile other programs lock
it for up to two leases, groups of processes freeze for longer than a lease, descriptors and memory run out, and
consumers are told to end at any moment. Nothing acknowledged is lost, nothing is done twice, nobody living is judged
dead.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.faults.conftest import need
from tests.faults.participants import LEASE, now

_SOAK = int(os.environ.get("CLX_SOAK") or 0)
"""1, or for how many seconds the storm rages."""
_SECONDS = (_SOAK if _SOAK > 1 else 600) if _SOAK else 18
_QUIET = 5
"""Seconds before the storm."""
_CALM = 300 if _SOAK else 60
"""Seconds in which whatever is left must end once the storm is over."""
_HANGS = 60
"""Seconds after which a consumer that was told to end should have."""
_WAYS = frozenset({
    "inside_plain", "inside_read_only", "inside_attached", "inside_with_sqlalchemy", "inside_with_pandas",
    "inside_around_the_queue", "inside_a_consumer", "inside_open", "inside_os_open", "supported_sql",
    "supported_backup", "shell", "shell_read_only", "shell_backup", "cp", "clx_backup", "datasette",
})  # fmt: skip
"""By which the file must have been looked at, or been refused to be."""
_LATER = frozenset({"inside_around_the_queue", "inside_open", "inside_os_open", "supported_sql", "supported_backup"})
_CREW = {"produce": 2, "consume": 3, "starve": 1, "lock": 1, "datasette": 1, "visit": 1}
_PARTICIPANT = Path(__file__).with_name("participants.py")
_VERDICT = Path(__file__).with_name("verdict.py")


@dataclass
class _Process:
    """One that takes part, and what happened to it; moments in milliseconds UTC."""

    role: str
    popen: subprocess.Popen[bytes]
    log: Path
    identity: str
    seen_alive: int
    killed: bool = False
    termed: int | None = None
    frozen: list[tuple[int, int]] = field(default_factory=list)
    frozen_since: int | None = None

    @property
    def errors(self) -> str:
        """The last it said."""
        return self.log.with_suffix(".err").read_text(encoding="utf-8", errors="replace")[-1500:]

    def lives(self) -> bool:
        """Whether it has not ended; remembered while it is not about to."""
        moment = now()
        if self.popen.poll() is not None:
            return False
        if _stat(self.popen.pid)[0] != "Z":  # killed: its other threads may take a while to end
            self.seen_alive = moment
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal that may end it."""
        if number == signal.SIGKILL:
            self.killed = True
        elif self.termed is None:
            self.termed = now()
        self.popen.send_signal(number)

    def freeze(self) -> None:
        """Stop it until :meth:`thaw`."""
        if self.frozen_since is None:
            self.frozen_since = now()
            self.popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self.frozen_since is not None:
            self.popen.send_signal(signal.SIGCONT)
            self.frozen.append((self.frozen_since, now()))
            self.frozen_since = None

    def facts(self) -> tuple[object, ...]:
        """What :class:`tests.faults.verdict.Took` is made of."""
        ended = (self.killed, self.termed, self.popen.returncode)
        return self.identity, self.seen_alive, *ended, self.role == "starve", self.frozen


class _Storm:
    """All processes, and the weather they are in."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.db"
        self.problems: list[str] = []
        self._logs = folder / "logs"
        self._logs.mkdir()
        (folder / "copies").mkdir()
        self._all: list[_Process] = []
        self._crew: list[_Process] = []
        self._thaw_at = 0.0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]

    def begin(self) -> None:
        """Everybody works and looks as fast as he can, and nothing else happens."""
        crew = {role: count for role, count in _CREW.items() if role != "lock"}
        until = time.monotonic() + _HANGS
        while time.monotonic() < until and not self.looked().keys() >= _WAYS - _LATER:  # starting may take long
            self._man(crew)
            time.sleep(0.2)
        until = time.monotonic() + _QUIET
        while time.monotonic() < until:
            self._man(crew)
            time.sleep(0.02)

    def rage(self) -> None:
        """The storm itself."""
        until, next_strike = time.monotonic() + _SECONDS, 0.0
        while time.monotonic() < until:
            self._man(_CREW)
            if time.monotonic() >= next_strike:
                next_strike = time.monotonic() + random.uniform(0.5, 2.5)
                random.choice((self._tell_to_end, self._kill, self._freeze))()
            if time.monotonic() >= self._thaw_at:
                self._thaw()
            time.sleep(0.02)
        self._thaw()

    def calm_down(self) -> None:
        """Nothing comes in any more; what is left must be done in time, and then everybody ends."""
        for process in self._crew:
            if process.role in {"produce", "lock", "starve"}:
                process.send(signal.SIGKILL)
        until = time.monotonic() + _CALM
        while time.monotonic() < until and self._live_jobs():
            self._man({"consume": _CREW["consume"]})
            time.sleep(0.1)
        for process in self._crew:
            process.send(signal.SIGTERM)
        while self._crew and time.monotonic() < until + _HANGS:
            self._man({})
            time.sleep(0.02)
        self.problems += [f"a {process.role} does not end" for process in self._crew]

    def stop(self) -> None:
        """Leave nobody behind, whatever has happened."""
        for process in self._all:
            process.popen.kill()
            process.popen.wait()

    def judge(self) -> list[str]:
        """Everything that a process which took no part finds wrong, and what those who did have told."""
        facts = self._logs / "facts.json"
        weather = [*self._told("lock"), *(span for each in self._all for span in each.frozen)]
        facts.write_text(
            json.dumps({
                "acknowledged": [job_id for words in self._told("ack") for job_id in words],
                "took": [each.facts() for each in self._all], "weather": weather, "lease": int(LEASE * 1000),
            })
        )  # fmt: skip
        judge = [sys.executable, str(_VERDICT), str(self.path), str(facts)]
        said = subprocess.run(judge, capture_output=True, text=True)
        check = [sys.executable, "-m", "clx", "db", "check", "--db-path", str(self.path)]
        checked = subprocess.run(check, capture_output=True, text=True)
        found = [*self.problems, *said.stdout.splitlines(), *said.stderr.splitlines()]
        found += [f"{log.name}: {line}" for log in self._logs.glob("*.log") for line in _lines(log, "problem ")]
        return found + ([checked.stdout + checked.stderr] if checked.returncode else [])

    def looked(self) -> Counter[str]:
        """How often the file was looked at by which way, or was refused to be."""
        lines = (
            line for log in self._logs.glob("*.log") for word in ("look ", "refused ") for line in _lines(log, word)
        )
        return Counter(line.split()[1] for line in lines)

    def count(self, word: str) -> int:
        """How many facts of a kind the processes have told."""
        return sum(len(_lines(log, word + " ")) for log in self._logs.glob("*.log"))

    def _told(self, word: str) -> list[list[int]]:
        return [
            [int(number) for number in line.split()[1:]]
            for log in self._logs.glob("*.log")
            for line in _lines(log, word + " ")
        ]

    # -- processes --------------------------------------------------------------------------------

    def _man(self, roles: dict[str, int]) -> None:
        """See that each role is played by as many as should; note who has ended, and how."""
        for process in [each for each in self._crew if not each.lives()]:
            self._crew.remove(process)
            self._note_end(process)
        for process in self._crew:
            if process.role == "consume" and process.termed and now() - process.termed > 1000 * _HANGS:
                self.problems.append(f"a consumer has not ended {_HANGS} seconds after it was told to: {process}")
                process.send(signal.SIGKILL)
        there = Counter(process.role for process in self._crew)
        for role, count in roles.items():
            for _ in range(count - there[role]):
                self._start(role)

    def _start(self, role: str) -> None:
        log = self._logs / f"{len(self._all)}-{role}.log"
        log.touch()
        command = [str(_PARTICIPANT), role, str(self.path), str(log)]
        if role == "visit":
            command.append(f"http://127.0.0.1:{self._port}")
        if role == "datasette":
            command = ["-m", "datasette", "serve", str(self.path), "--host", "127.0.0.1", "--port", str(self._port)]
            command += ["--setting", "sql_time_limit_ms", "20000"]
        with log.with_suffix(".err").open("wb") as errors:
            popen = subprocess.Popen([sys.executable, *command], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        process = _Process(role, popen, log, f"/{popen.pid}/{_stat(popen.pid)[19]}", now())
        self._all.append(process)
        self._crew.append(process)

    def _note_end(self, process: _Process) -> None:
        """Whoever was neither told to end nor starved should not have; nobody should hear that he is dead."""
        expected = process.killed or process.termed is not None or process.role == "starve"
        if not expected or "LostWorkerError" in process.errors or "struck off" in process.errors:
            code = process.popen.returncode
            self.problems.append(f"a {process.role} has ended with {code}: {process.errors}")

    def _live_jobs(self) -> int:
        """How many jobs have not ended, asked by another process."""
        live = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
        asked = subprocess.run(["sqlite3", "-readonly", str(self.path), live], capture_output=True, text=True)
        return int(asked.stdout or 1)

    # -- weather ----------------------------------------------------------------------------------

    def _of(self, *roles: str) -> list[_Process]:
        return [process for process in self._crew if process.role in roles and process.frozen_since is None]

    def _tell_to_end(self) -> None:
        for process in self._of("consume")[: random.randint(1, 2)]:
            process.send(signal.SIGTERM)

    def _kill(self) -> None:
        likely = self._of("consume", "produce")
        random.choice(likely if likely and random.random() < 0.8 else self._crew).send(signal.SIGKILL)

    def _freeze(self) -> None:
        """A group of processes, for longer than a lease: as a container that is paused, a session that is suspended."""
        if self._thaw_at > time.monotonic():
            return
        groups = (self._of("consume", "starve"), self._of("consume")[1:], self._of("produce"), list(self._crew))
        for process in random.choice(groups):
            process.freeze()
        self._thaw_at = time.monotonic() + random.uniform(1.1, 1.6) * LEASE

    def _thaw(self) -> None:
        for process in self._crew:
            process.thaw()


def _stat(pid: int) -> list[str]:
    """State, …, and as the twentieth the start time of a process that has not been waited for."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _lines(log: Path, beginning: str) -> list[str]:
    text = log.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if line.startswith(beginning)]


@pytest.fixture(params=["wal", "delete"] if _SOAK else ["wal"])
def storm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Storm]:
    """One that has not begun."""
    need("sqlite3")
    subprocess.run([sys.executable, "-c", _MAKE, str(tmp_path / "jobs.db"), request.param], check=True)
    storm = _Storm(tmp_path)
    yield storm
    storm.stop()


_MAKE = "import sys; from clx import Queue; Queue.open(sys.argv[1], journal_mode=sys.argv[2]).close()"


def test_whoever_looks_and_whatever_happens_nothing_is_lost_and_nobody_living_is_judged_dead(storm: _Storm) -> None:
    storm.begin()
    storm.rage()
    storm.calm_down()

    looked = storm.looked()
    assert storm.judge() == []
    assert {way for way, times in looked.items() if times > 1} >= _WAYS
    for word in ("ack", "lock", "starved"):
        assert storm.count(word) > 0
