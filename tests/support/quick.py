"""``python -m tests.support.quick``: the quick tests, in two halves; ``--measure [PATH…]`` says which they are.

``tests/costs.txt`` says how many seconds of CPU a file takes; those of at most :data:`LIMIT` are the quick ones. pytest
gets no other file: reading all of them takes as long as the quick tests do. What is not in the list runs whole
commands, tools, browsers, storms.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.parts import ROOT, Part, run

LIST = ROOT / "tests" / "costs.txt"
LIMIT = 1.0
"""Seconds of CPU that the tests of a quick file take at most, together with its imports."""
BUDGET = 80.0
"""Seconds of CPU for all of them: what two processors do in less than fifty."""
HALVES = ("first", "second")
_HEAD = (
    "# Seconds of CPU, number of tests, file. `make unit` runs those of at most LIMIT seconds. Written by",
    "#   python -m tests.support.quick --measure [PATH…]",
    "# which measures what is below these paths; all that stands here, if none is given.",
)


class Cost(NamedTuple):
    """What the quick tests of a file take.

    Attributes:
        cpu: seconds of all processors, of the tests, of what they start and of reading them.
        tests: how many there are.
    """

    cpu: float
    tests: int


def listed(path: Path = LIST) -> dict[str, Cost]:
    """The files that the list names, by their paths in the repository."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name: Cost(float(cpu), int(tests)) for cpu, tests, name in lines}


def quick(costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """Those of them that `make unit` runs."""
    return {name: cost for name, cost in costs.items() if cost.cpu <= LIMIT}


def write(costs: Mapping[str, Cost], path: Path = LIST) -> None:
    """Write the list."""
    lines = (f"{cost.cpu:5.2f} {cost.tests:5} {name}" for name, cost in sorted(costs.items()))
    path.write_text("\n".join((*_HEAD, *lines, "")), encoding="utf-8")


def halves(costs: Mapping[str, Cost]) -> dict[str, Part]:
    """The files as two parts that take about as long; what lies in one directory is read by one of them."""
    folders = defaultdict(list)
    for name in costs:
        folders[Path(name).parent].append(name)
    taken = dict.fromkeys(HALVES, 0.0)
    paths: dict[str, list[str]] = {half: [] for half in HALVES}
    for names in sorted(folders.values(), key=lambda names: -sum(costs[name].cpu for name in names)):
        half = min(HALVES, key=lambda each: taken[each])
        taken[half] += sum(costs[name].cpu for name in names)
        paths[half] += names
    return {half: Part(tuple(sorted(paths[half])), "not slow and not docker") for half in HALVES}


# -- measuring --------------------------------------------------------------------------------------


class Meter:
    """A plugin of pytest that adds up what each file takes."""

    def __init__(self, told: Path) -> None:
        self._told = told
        self._cpu: defaultdict[str, float] = defaultdict(float)
        self._tests: defaultdict[str, int] = defaultdict(int)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        """Reading a file imports what it needs."""
        began = used()
        yield
        if isinstance(collector, pytest.Module):
            self._cpu[collector.nodeid] += used() - began

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """A test, with all its fixtures."""
        began = used()
        yield
        name = item.nodeid.partition("::")[0]
        self._cpu[name] += used() - began
        self._tests[name] += 1

    def pytest_sessionfinish(self) -> None:
        """Hand it over."""
        write({name: Cost(self._cpu[name], count) for name, count in self._tests.items()}, self._told)


def used() -> float:
    """Seconds of CPU of this process, and of those that it has started and that have ended."""
    each = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def pytest_configure(config: pytest.Config) -> None:
    """This module is a plugin where it is asked to measure."""
    if told := os.environ.get("CLX_QUICK_TOLD"):
        config.pluginmanager.register(Meter(Path(told)))


def measured(paths: Iterable[str], root: Path = ROOT) -> dict[str, Cost]:
    """What the files below these paths take; those without a quick test are not among them.

    Raises:
        SystemExit: a test failed, which pytest has told.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.support.quick"),
                *("-m", "not slow and not docker", *paths),
            ],
            cwd=root, env=dict(os.environ, CLX_QUICK="1", CLX_QUICK_TOLD=str(told), PYTHONPATH=str(ROOT)),
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.returncode)
        return listed(told)


def renewed(old: Mapping[str, Cost], found: Mapping[str, Cost], paths: Iterable[str]) -> dict[str, Cost]:
    """The list after these paths were measured: what has been found below them, and the rest as it was."""
    places = tuple(paths)
    others = {name: cost for name, cost in old.items() if not any(Path(name).is_relative_to(each) for each in places)}
    return others | dict(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.quick")
    parser.add_argument("--measure", nargs="*", metavar="PATH", help="measure these files and write the list anew")
    asked = parser.parse_args()
    old = listed()
    if asked.measure is None:
        os.environ["CLX_QUICK"] = "1"
        return run(halves(quick(old)), list(HALVES), ROOT / "build" / "quick", len(HALVES), root=ROOT, slowest=5)
    paths = [Path(each).as_posix() for each in asked.measure] or list(old)
    new = renewed(old, measured(paths), paths)
    write(new)
    before, now = quick(old), quick(new)
    for name in sorted(before.keys() ^ now.keys()):
        print(f"{'in ' if name in now else 'out'} {name}")
    print(f"{sum(each.tests for each in now.values())} tests in {sum(each.cpu for each in now.values()):.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
