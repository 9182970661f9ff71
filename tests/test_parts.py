"""All tests are run as parts: each by one of them, what failed is told, and an interrupt ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.parts import PARTS, ROOT, Part, command, run
from tests.support.scene import until

_CONFIG = "[pytest]\naddopts = --strict-markers -p no:clx -p no:randomly\nmarkers = docker\n"
_PARTS = {"one": Part(("tests/a",)), "two": Part(("tests/a/test_b.py",)), "rest": Part(("tests",))}
Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Makes a project of tests, given by their files."""
    monkeypatch.delenv("CLX_REQUIRE", raising=False)

    def make(**files: str) -> Path:
        (tmp_path / "pytest.ini").write_text(_CONFIG)
        for name, text in files.items():
            path = tmp_path / "tests" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def _run(root: Path, at_once: int = 2) -> int:
    return run(_PARTS, list(_PARTS), root / "told", at_once, root=root)


PASSES = "def test_it(): pass\n"
TELLS = "def test_it():\n    open('{0}', 'x').close()\n"


def test_each_test_is_run_once_by_the_part_that_names_it_most_closely(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(**{name: TELLS.format(name) for name in ("a__test_a", "a__test_b", "c__test_c", "test_d")})
    assert _run(root) == 0
    assert len(list(root.glob("*test_?"))) == 4
    told = capsys.readouterr().out
    assert "4 passed" in told.splitlines()[-1]
    assert {line.split()[0] for line in told.splitlines()[:3]} == set(_PARTS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def test_it(): assert 'this' == 'that'\n", "FAILED tests/a/test_b.py::test_it - AssertionError"),
        ("import os\ndef test_it(): os._exit(3)\n", "FAILED part two: exit code 3"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("", "FAILED part two: exit code 5"),
    ],
    ids=["fails", "exits", "is no module", "has none"],
)
def test_what_fails_fails_all_and_is_told_at_the_end(
    tree: Tree, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    root = tree(a__test_a=PASSES, a__test_b=text, test_c=PASSES)
    assert _run(root) == 1
    said = capsys.readouterr().out
    assert told in said
    assert "2 passed" in said.splitlines()[-1]


def test_where_tools_are_required_no_tier_may_run_nothing(
    tree: Tree, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    skips = "import pytest\ndef test_it(): pytest.skip('there is no tool')\n"
    root = tree(a__test_a=PASSES, a__test_b=PASSES, c__d__test_c=skips, test_d=PASSES)
    assert _run(root) == 0
    assert "SKIPPED tests/c/d/test_c.py::test_it - there is no tool" in capsys.readouterr().out
    monkeypatch.setenv("CLX_REQUIRE", "a tool")
    assert _run(root) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "These tiers ran no test: c/d"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_parts_as_ctrl_c_does(tree: Tree, number: signal.Signals) -> None:
    waits = (
        "import os, pathlib, time\n"
        "def test_it():\n"
        "    try:\n"
        "        pathlib.Path('begun-{0}').write_text(str(os.getpid()))\n"
        "        time.sleep(600)\n"
        "    finally: pathlib.Path('tidied-{0}').touch()\n"
    )
    root = tree(a__test_a=waits.format("a"), a__test_b=waits.format("b"), test_c=PASSES)
    program = (
        "import sys; from pathlib import Path; import tests.test_parts as it; import tests.support.parts as parts\n"
        "parts.PARTS = it._PARTS; parts.ROOT = Path(sys.argv.pop(1)); sys.exit(parts.main())"
    )
    begun = subprocess.Popen(
        [sys.executable, "-c", program, str(root), "-j", "2"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    until(lambda: all((root / f"begun-{each}").exists() for each in "ab"))
    begun.send_signal(number)
    said, _ = begun.communicate(timeout=60)
    assert begun.returncode == 130
    assert "Interrupted." in said
    for each in "ab":
        assert (root / f"tidied-{each}").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(int((root / f"begun-{each}").read_text()), 0)
    assert not (root / "told" / "rest.log").exists()


def test_the_parts_have_all_tests_those_with_containers_in_one() -> None:
    """What no other has is of the last; what is told apart by its mark, by the mark only."""
    assert [name for name, each in PARTS.items() if each.marks == "docker"] == ["containers"]
    assert PARTS["rest"] == Part(("tests",))
    for part in PARTS.values():
        assert [path for path in part.paths if not (ROOT / path).exists()] == []
    ignored = {each.partition("=")[2] for each in command("rest", PARTS, Path()) if each.startswith("--ignore=")}
    assert {"tests/db", "tests/faults", "tests/faults/test_crash_points.py"} <= ignored
