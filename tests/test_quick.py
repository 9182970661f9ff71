"""The list of quick tests is as the tree is, and small enough; whoever measures changes no more than was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.parts import ROOT
from tests.support.quick import BUDGET, HALVES, LIMIT, Cost, halves, listed, measured, quick, renewed, write

COSTS = {"tests/a/test_a.py": Cost(0.5, 3), "tests/a/test_b.py": Cost(0.1, 1), "tests/c/test_c.py": Cost(0.4, 20)}


def test_every_listed_file_is_there() -> None:
    assert [name for name in listed() if not (ROOT / name).is_file()] == []


def test_the_quick_ones_are_quick_together() -> None:
    assert sum(cost.cpu for cost in quick(listed()).values()) <= BUDGET, "make some cheaper, or lower LIMIT"


def test_every_room_has_quick_tests() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "clx").glob("*/__init__.py")}
    assert rooms - {Path(name).parts[1] for name in quick(listed())} == set()


def test_what_takes_as_long_as_it_may_is_quick() -> None:
    costs = {"tests/test_a.py": Cost(LIMIT, 3), "tests/test_b.py": Cost(LIMIT + 0.01, 1)}
    assert list(quick(costs)) == ["tests/test_a.py"]


def test_the_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(COSTS, tmp_path / "list")
    assert listed(tmp_path / "list") == COSTS


def test_halves_have_every_file_once_and_a_directory_whole() -> None:
    first, second = (halves(COSTS)[half].paths for half in HALVES)
    assert (first, second) == (("tests/a/test_a.py", "tests/a/test_b.py"), ("tests/c/test_c.py",))
    costs = quick(listed())
    parts = halves(costs).values()
    assert sorted(path for part in parts for path in part.paths) == sorted(costs)
    assert len({sum(costs[path].cpu for path in part.paths) // (BUDGET / 4) for part in parts}) == 1, "one waits"


@pytest.mark.parametrize(
    ("paths", "found", "new"),
    [
        (["tests/a"], {}, ["tests/c/test_c.py"]),
        (["tests/a"], {"tests/a/test_a.py": Cost(9.0, 3)}, ["tests/a/test_a.py", "tests/c/test_c.py"]),
        (["tests/a/test_a.py"], {}, ["tests/a/test_b.py", "tests/c/test_c.py"]),
        (["tests/d"], {"tests/d/test_d.py": Cost(0.1, 1)}, [*COSTS, "tests/d/test_d.py"]),
    ],
    ids=["a directory is gone", "a file of it is gone", "a file is gone", "new"],
)
def test_what_was_measured_takes_the_place_of_what_was_known_of_it(
    paths: list[str], found: dict[str, Cost], new: list[str]
) -> None:
    known = renewed(COSTS, found, paths)
    assert sorted(known) == new
    assert known.items() >= found.items()


@pytest.mark.slow
def test_a_file_costs_what_its_quick_tests_its_imports_and_their_programs_do(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow\n    docker\naddopts = -p no:clx\n")
    busy = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    imports = f"import os, pytest, subprocess, sys\n{busy}"
    (tmp_path / "test_a.py").write_text(
        f"{imports}def test_it(): subprocess.run([sys.executable, '-c', {busy!r}])\n"
        "@pytest.mark.slow\ndef test_never(): assert False\n"
        "def test_told(): assert os.environ['CLX_QUICK']\n"
    )
    (tmp_path / "test_b.py").write_text("def test_it(): pass\n")
    (tmp_path / "test_c.py").write_text("import pytest\n@pytest.mark.slow\ndef test_it(): pass\n")
    found = measured(["test_a.py", "test_b.py", "test_c.py"], tmp_path)
    assert {name: cost.tests for name, cost in found.items()} == {"test_a.py": 2, "test_b.py": 1}
    assert found["test_a.py"].cpu > 0.6 > found["test_b.py"].cpu
