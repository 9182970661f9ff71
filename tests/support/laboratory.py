"""The laboratory of ``examples/daily`` for tests: its steps say when they begin, and wait while they are held."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from tests.support.scene import until

from clx.db.jobs import Queue
from clx.db.workers import WorkerTable

EXAMPLE = Path(__file__).parents[2] / "examples" / "daily"
DAY = "2026-11-27"
STEPS = ("extract", "preprocess", "patterns", "infer", "transfer", "aggregate", "cleanup")
TOKEN = "0123456789abcdef"
_CONTROL = '''"""Steps that say when they begin, and wait while they are held."""

import os
import platform
import time
from functools import wraps
from inspect import signature
from pathlib import Path

CONTROL = Path({control!r})


def watched(function):
    @wraps(function)
    def run(*given, **named):
        step, item = function.__name__, signature(function).bind(*given, **named).arguments.get("slm", "")
        with (CONTROL / "begun").open("a") as stream:
            stream.write(f"{{step}} {{item or '-'}} {{platform.node()}} {{os.getpid()}}\\n")
        held = [CONTROL / f"hold.{{name}}" for name in (step, f"{{step}}.{{item}}", f"{{step}}@{{platform.node()}}")]
        while any(each.exists() for each in held):
            time.sleep(0.02)
        return function(*given, **named)

    return run
'''


class Laboratory:
    """A copy of the example on a machine.

    Args:
        folder: where it is put; it must not exist.
        control: what steps of all machines share; None: in the folder.
        prefix: what a command begins with that runs there.
        environment: of its commands, besides that of the test.
    """

    def __init__(
        self,
        folder: Path,
        *,
        control: Path | None = None,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        left = shutil.ignore_patterns("jobs.db*", "artifacts", "output", "__pycache__")
        shutil.copytree(EXAMPLE, folder, ignore=left)
        self.folder, self._prefix = folder, [*prefix, "env", "-C", str(folder)]  # nsenter leaves it
        self.control = control or folder / "control"
        self.control.mkdir(exist_ok=True)
        self.environment = {**os.environ, **(environment or {})}
        self.processes: list[subprocess.Popen[str]] = []
        (folder / "output").mkdir()
        (folder / "output" / "staging.token").touch(mode=0o600)
        (folder / "output" / "staging.token").write_text(TOKEN)
        (folder / "control.py").write_text(_CONTROL.format(control=str(self.control)))
        names = ", ".join(STEPS)
        watching = f"from control import watched\n\n{names} = map(watched, ({names}))\n"
        self.replace("MINUTE = 60\n", f"{watching}MINUTE = 60\n")

    def replace(self, old: str, new: str) -> None:
        """Change the flow."""
        text = (self.folder / "flow.py").read_text()
        assert text.count(old) == 1, old
        (self.folder / "flow.py").write_text(text.replace(old, new))

    # -- commands -------------------------------------------------------------------------------------

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """A command of CLX, killed with the laboratory."""
        with (self.folder / f"{words[0]}.log").open("a") as log:
            process = subprocess.Popen(
                [*self._prefix, sys.executable, "-P", "-m", "clx", *words], cwd=self.folder, text=True,
                env=self.environment | variables, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def commands(self, word: str) -> list[subprocess.Popen[str]]:
        """The commands with that word, oldest first."""
        return [each for each in self.processes if isinstance(each.args, list) and word in each.args]

    def said(self, process: subprocess.Popen[str], code: int = 0) -> str:
        """What a command has said when it has ended."""
        said, _ = process.communicate(timeout=120)
        assert process.returncode == code, said + self.log()
        return said

    def log(self) -> str:
        """What commands have complained of."""
        return "".join(each.read_text() for each in self.folder.glob("*.log"))

    def clx(self, *words: str, code: int = 0, **variables: str) -> str:
        """What a command says."""
        return self.said(self.start(*words, **variables), code)

    def run(self, *words: str, day: str = DAY, **variables: str) -> subprocess.Popen[str]:
        """Ask for a day."""
        return self.start("daily", "run", "flow.py", "--date", day, "--format", "json", *words, **variables)

    def work(self) -> subprocess.Popen[str]:
        """Workers for the flow, one for steps; who asks for a day then starts none of its own."""
        process = self.start("daily", "work", "flow.py", "--workers", "1")

        def has_begun(queue: Queue) -> bool:
            table, ours = WorkerTable(queue.database), {each.pid for each in tree(process)}
            had = [each.id for each in table.list() if each.pid in ours]
            return {"workflow:lab", "task:lab.infer:1.0.0"} <= {name for id_ in had for name in table.routines(id_)}

        with Queue.open(str(self.folder / ".clx" / "jobs.db")) as queue:
            until(lambda: has_begun(queue), 120)
        return process

    def stage(self, day: str = DAY, port: int = 0) -> subprocess.Popen[str]:
        """A staging server, which the flow asks from then on; with the readings of a day."""
        process = self.start(
            "staging", "serve", "--root", "output/staging", "--token-file", "output/staging.token",
            "--port", str(port), "--keep-free", "0",
        )  # fmt: skip
        assert process.stdout is not None
        found = re.search(r"http://[\w.]+:\d+", process.stdout.readline())
        assert found is not None, self.log()
        self.environment["LAB_STAGING"] = found[0]
        self.send(day)
        return process

    def send(self, day: str = DAY) -> None:
        """Send the readings of a day by the example's own script."""
        url = self.environment["LAB_STAGING"]
        subprocess.run(
            [*self._prefix, sys.executable, "laboratory.py", day, url], cwd=self.folder, env=self.environment,
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            for each in tree(process):
                with contextlib.suppress(psutil.Error):
                    each.kill()
            process.communicate(timeout=60)

    # -- steps ----------------------------------------------------------------------------------------

    def hold(self, name: str) -> None:
        """Have a step (``infer``, ``infer.3``, ``infer@far``) wait once it has begun."""
        (self.control / f"hold.{name}").touch()

    def free(self, name: str) -> None:
        """Have it go on."""
        (self.control / f"hold.{name}").unlink()

    def begun(self) -> list[list[str]]:
        """Each beginning of a step: its name, its item, its machine, its process."""
        path = self.control / "begun"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def times(self) -> Counter[str]:
        """How often each step has begun, by name and item."""
        return Counter(f"{step} {item}" for step, item, *_ in self.begun())

    def until_begun(self, step: str, times: int = 1, host: str | None = None) -> list[str]:
        """Wait until it has begun so often; its last beginning."""

        def seen() -> list[list[str]]:
            found = [each for each in self.begun() if each[0] == step and host in {None, each[2]}]
            return found if len(found) >= times else []

        return until(seen, 120)[-1]

    # -- the lake -------------------------------------------------------------------------------------

    def day_folder(self, dataset: str, day: str = DAY) -> Path:
        """Where the files of a day lie."""
        return self.folder / "output" / "lake" / "clean" / dataset / day.replace("-", "/")

    def gold(self, day: str = DAY) -> str:
        """The digest of gold."""
        return sha256((self.day_folder("gold/aggregated", day) / "job_1.parquet").read_bytes()).hexdigest()

    def described(self, day: str = DAY) -> dict[str, Any]:
        """What stands beside gold."""
        found: dict[str, Any] = json.loads((self.day_folder("gold/aggregated", day) / "_schema.json").read_text())
        return found

    def counts(self, day: str = DAY) -> set[int]:
        """From how many models the scores of gold are: each sensor from as many."""
        table = pq.read_table(self.day_folder("gold/aggregated", day) / "job_1.parquet")
        assert table.num_rows == 20
        return set(table["score_count"].to_pylist())


def tree(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """A process and all that it has started, itself first."""
    try:
        first = psutil.Process(process.pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


@contextlib.contextmanager
def laboratory(folder: Path, **more: Any) -> Iterator[Laboratory]:
    """A laboratory whose processes end with it."""
    found = Laboratory(folder, **more)
    try:
        yield found
    finally:
        found.close()


def gold_of_one_process(folder: Path) -> str:
    """The digest of gold when one process does the day."""
    with laboratory(folder) as found:
        found.stage()
        found.said(found.run("--local"))
        return found.gold()
