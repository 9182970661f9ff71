"""``python -m tests.support.parts [-j N] [PART…]``: all tests as parts, several at a time, and one account of them.

Each part is a pytest of its own; what it says and its report lie in ``build/tests``. A part that has ended is told in a
line, what failed is shown at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from tests.support.tiers import empty_tiers, tiers_of

ROOT = Path(__file__).parents[2]
REST = "rest"
"""The part of all that no other has."""


class Part(NamedTuple):
    """Tests that one pytest runs.

    Attributes:
        paths: files and directories below ``tests``; those of parts that have a place below one of them are left out.
        marks: which of them: an expression of pytest's ``-m``.
    """

    paths: tuple[str, ...]
    marks: str = "not docker"


PARTS: dict[str, Part] = {
    "containers": Part(("tests/workers", "tests/cli/test_workers.py"), "docker"),
    "storms": Part(
        tuple(f"tests/faults/test_{name}.py" for name in ("work_storms", "pipeline_storms", "server_storms"))
    ),
    "supervision": Part(("tests/workers/supervision",)),
    "faults": Part(("tests/faults",)),
    "daily": Part(("tests/daily",)),
    "cli": Part(("tests/cli",)),
    "course": Part(("tests/course",)),
    "notebooks": Part(("tests/jobtypes/notebook",)),
    "conformance": Part(("tests/db/conformance",)),
    "table": Part(("tests/db",)),
    "routines": Part(("tests/routines",)),
    "crashes": Part(("tests/faults/test_crash_points.py",)),
    "server": Part(("tests/server", "tests/remote")),
    "diagrams": Part(("tests/jobtypes",)),
    "serving": Part(("tests/serving",)),
    "work": Part(("tests/work", "tests/pipelines", "tests/examples")),
    "workers": Part(("tests/workers",)),
    REST: Part(("tests",)),
}
"""In the order in which they begin: what takes long goes first, so that nobody waits for it alone at the end."""


class Result(NamedTuple):
    """How a part has ended.

    Attributes:
        code: of pytest.
        wall, cpu: seconds from beginning to end, and of all its processes together.
    """

    code: int
    wall: float
    cpu: float


class Case(NamedTuple):
    """A test: its id, how it ended (``passed``, ``skipped``, ``failed``), with which words, after how many seconds."""

    name: str
    outcome: str
    words: str
    seconds: float


def command(name: str, parts: Mapping[str, Part], folder: Path) -> list[str]:
    """How a part is run; what other parts have below its places is theirs."""
    part = parts[name]
    inner = [
        path
        for other, each in parts.items()
        if other != name and each.marks == part.marks
        for path in each.paths
        if any(path != mine and Path(path).is_relative_to(mine) for mine in part.paths)
    ]
    return [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", part.marks, "-o", "junit_family=xunit1",
        f"--junit-xml={folder / name}.xml", *part.paths, *(f"--ignore={path}" for path in inner),
    ]  # fmt: skip


class Running:
    """Parts that run, at most so many at a time.

    Args:
        parts: all there are.
        folder: for what they say.
        root: where they run.
    """

    def __init__(self, parts: Mapping[str, Part], folder: Path, root: Path) -> None:
        self._parts, self._folder, self._root = parts, folder, root
        self._running: dict[int, tuple[str, subprocess.Popen[bytes], float]] = {}
        self.results: dict[str, Result] = {}

    def run(self, names: Iterable[str], at_once: int) -> None:
        """Run these, in their order; an interrupt ends all that run, and is raised when they have ended."""
        waiting = list(names)
        try:
            while waiting or self._running:
                while waiting and len(self._running) < at_once:
                    self._start(waiting.pop(0))
                self._reap()
        finally:
            self._end()

    def _start(self, name: str) -> None:
        # each in a group of its own: a second Ctrl-C, from the terminal, would keep it from tidying up
        with (self._folder / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(
                command(name, self._parts, self._folder), cwd=self._root, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, process_group=0,
            )  # fmt: skip
        self._running[started.pid] = name, started, time.monotonic()

    def _reap(self) -> None:
        """Wait until one has ended, and say how."""
        pid, status, used = os.wait4(-1, 0)
        if pid not in self._running:
            return
        name, ended, began = self._running.pop(pid)
        ended.returncode = os.waitstatus_to_exitcode(status)
        result = Result(ended.returncode, time.monotonic() - began, used.ru_utime + used.ru_stime)
        self.results[name] = result
        print(f"{name:<12} {last_line(self._folder / f'{name}.log')}  [{result.cpu:.0f} s of CPU]", flush=True)

    def _end(self) -> None:
        """Have what still runs end as Ctrl-C ends it, once; whoever does not is killed."""
        for _, each, _ in self._running.values():
            each.send_signal(signal.SIGINT)
        for _, each, _ in self._running.values():
            try:
                each.wait(60)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


def last_line(log: Path) -> str:
    """The last line that says something, without what frames it."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip("= ") if lines else "said nothing"


def cases(report: Path) -> list[Case]:
    """What a report of pytest tells; nothing where there is none, or half of one."""
    with suppress(OSError, ET.ParseError):
        return [_case(each) for each in ET.parse(report).iter("testcase")]
    return []


def _case(found: ET.Element) -> Case:
    place, seconds = found.get("file") or "", float(found.get("time") or 0)
    name = f"{place}::{found.get('name')}"
    for kind, outcome in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        if (told := found.find(kind)) is not None:
            return Case(name, outcome, (told.get("message") or "").partition("\n")[0], seconds)
    return Case(name, "passed", "", seconds)


def account(results: Mapping[str, Result], folder: Path, wall: float, slowest: int) -> None:
    """Say what failed and how, what was skipped and why, what took long, and how all of it ended."""
    found = [case for name in results for case in cases(folder / f"{name}.xml")]
    for name, result in results.items():
        if result.code:
            _tell_failures(name, folder / f"{name}.log")
    print(f"\nThe slowest of {len(found)} tests:")
    for case in sorted(found, key=lambda each: -each.seconds)[:slowest]:
        print(f"{case.seconds:8.1f} s  {case.name}")
    for outcome in ("skipped", "failed"):
        for case in found:
            if case.outcome == outcome:
                print(f"{outcome.upper()} {case.name} - {case.words}")
    for name, result in results.items():
        if result.code and not any(each.outcome == "failed" for each in cases(folder / f"{name}.xml")):
            print(f"FAILED part {name}: exit code {result.code}")
    counts = Counter(case.outcome for case in found)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("failed", "passed", "skipped") if counts[outcome])
    cpu = sum(each.cpu for each in results.values())
    print(f"=========== {said} in {wall:.0f} s, with {cpu:.0f} s of CPU ===========")


def _tell_failures(name: str, log: Path) -> None:
    """From where pytest begins to tell of them; all that was said where it has not come so far."""
    text = log.read_text(encoding="utf-8", errors="replace")
    at = max(text.find("= FAILURES ="), 0) if "= ERRORS =" not in text else text.find("= ERRORS =")
    print(f"\n#################### {name} ####################\n{text[at:]}")


def run(
    parts: Mapping[str, Part], names: Sequence[str], folder: Path, at_once: int, *, root: Path, slowest: int = 30
) -> int:
    """Run these parts; returns the exit code for all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.log"), *folder.glob("*.xml")):
        old.unlink()
    began = time.monotonic()
    running = Running(parts, folder, root)
    interrupted = False
    try:
        running.run(names, at_once)
    except KeyboardInterrupt:
        interrupted = True
    account(running.results, folder, time.monotonic() - began, slowest)
    if interrupted:
        print("Interrupted.")
        return 130
    empty = []
    if os.environ.get("CLX_REQUIRE") and set(names) == set(parts):
        passed = [case.name for name in names for case in cases(folder / f"{name}.xml") if case.outcome == "passed"]
        empty = empty_tiers(tiers_of(root / "tests"), passed)
    if empty:
        print(f"These tiers ran no test: {', '.join(empty)}")
    return int(bool(empty) or any(each.code for each in running.results.values()))


def main() -> int:
    # a shell that runs this in the background makes it, and all it starts, ignore SIGINT
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.support.parts")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("-j", "--at-once", type=int, default=(os.cpu_count() or 1) + 1, help="parts at a time")
    asked = parser.parse_args()
    return run(PARTS, asked.parts or list(PARTS), ROOT / "build" / "tests", asked.at_once, root=ROOT)


if __name__ == "__main__":
    sys.exit(main())
