"""``clx daily backfill``: a row for each day, which outlives whoever put it in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.scene import until

_FLOW = """
import os, time
from datetime import date
from pathlib import Path
from clx.daily import Flow, Step

HERE = Path(__file__).parent

def note(text):
    with (HERE / "ran").open("a") as stream:
        stream.write(text + "\\n")

def arrive(data_date: date) -> str:
    note(f"arrive {data_date}")
    while (HERE / f"hold-{data_date}").exists():
        time.sleep(0.02)
    if (HERE / f"bad-{data_date}").exists():
        raise ValueError("nothing came in")
    return str(data_date)

def keep(day: str) -> str:
    note(f"keep {day}")
    return day

flow = Flow("small", [Step("arrive", arrive), Step("keep", keep, {"day": "@arrive"})])
"""
_DAYS = [f"2026-11-0{number}" for number in range(1, 6)]


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "clx", *words]


def backfill(folder: Path, *words: str, code: int = 0, days: str = f"{_DAYS[0]}..{_DAYS[-1]}") -> Any:
    done = subprocess.run(
        command("daily", "backfill", days, "flow.py", "--format", "json", *words),
        cwd=folder, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if code in {0, 1} else done.stderr


def states(found: Any) -> list[str]:
    return [each["state"] for each in found["days"]]


def ran(folder: Path) -> list[str]:
    path = folder / "ran"
    return path.read_text().splitlines() if path.exists() else []


def runs(folder: Path) -> int:
    """How many runs of days the table has."""
    done = subprocess.run(
        command("jobs", "list", "--format", "json", "--limit", "1000"),
        cwd=folder, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return sum(each["type"] == "workflow:small" for each in json.loads(done.stdout)["jobs"])


@contextmanager
def going(folder: Path, *more: str, days: str = f"{_DAYS[0]}..{_DAYS[-1]}") -> Iterator[subprocess.Popen[bytes]]:
    """The same command while it runs, with the days in order; what it says goes into a file."""
    words = command("daily", "backfill", days, "flow.py", "--in-order", *more)
    with (folder / "said").open("wb") as said, subprocess.Popen(words, cwd=folder, stdout=said, stderr=said) as started:
        (folder / "said").rename(folder / f"said-{started.pid}")
        try:
            yield started
        finally:
            if started.poll() is None:
                kill_all(started)


def kill_all(command: subprocess.Popen[bytes]) -> None:
    """Kill a command and its workers at once."""
    workers = psutil.Process(command.pid).children(recursive=True)
    for pid in (command.pid, *(each.pid for each in workers)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    psutil.wait_procs(workers, timeout=30)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / ".clx").mkdir(mode=0o700)
    (tmp_path / "flow.py").write_text(_FLOW)
    return tmp_path


def test_behind_a_day_that_fails_none_is_begun_and_again_goes_on_there(place: Path) -> None:
    (place / "bad-2026-11-03").touch()
    first = backfill(place, "--in-order", code=1)
    assert states(first) == ["done", "done", "failed", "failed", "failed"]
    assert "nothing came in" in first["days"][2]["errors"][""]
    assert f"job {first['days'][2]['job']}, which it waits for, failed" in first["days"][3]["errors"][""]
    assert [each for each in ran(place) if "-04" in each or "-05" in each] == []
    (place / "bad-2026-11-03").unlink()
    again = backfill(place, "--in-order", "--only", "failed,missing")
    assert (states(again), again["left_out"]) == (["done"] * 3, _DAYS[:2])
    assert [each for each in ran(place) if each.startswith("keep")] == [f"keep {day}" for day in _DAYS]
    nothing = backfill(place, "--only", "failed,missing")
    assert (nothing["days"], nothing["left_out"]) == ([], _DAYS)


def test_a_day_that_fails_holds_up_no_other(place: Path) -> None:
    (place / "bad-2026-11-03").touch()
    assert states(backfill(place, code=1)) == ["done", "done", "failed", "done", "done"]
    assert states(backfill(place, "--only", "missing", days="2026-11-03..2026-11-06")) == ["done"]


def test_killed_with_all_its_workers_the_same_command_goes_on(place: Path) -> None:
    """Each day is done once, whoever is killed: the rows are all that there is of a backfill."""
    (place / "hold-2026-11-02").touch()
    with going(place) as started:
        until(lambda: "arrive 2026-11-02" in ran(place))
        kill_all(started)
    (place / "hold-2026-11-02").unlink()
    again = backfill(place, "--in-order", "--only", "failed,missing")
    assert (states(again), again["left_out"]) == (["done"] * 4, _DAYS[:1])
    assert [each["joined"] for each in again["days"]] == [True] * 4
    assert [each for each in ran(place) if each.startswith("keep")] == [f"keep {day}" for day in _DAYS]
    assert Counter(ran(place))["arrive 2026-11-02"] == 2  # the run that was killed, and the one that went on
    assert runs(place) == len(_DAYS)


def test_thirty_days_with_kills_in_between_are_each_done_once(place: Path) -> None:
    """Some were done before, one had failed; whatever is killed while a day's first or last step runs goes on."""
    days, wanted = "2026-11-01..2026-11-30", ("--only", "failed,missing")
    every = [f"2026-11-{number:02}" for number in range(1, 31)]
    (place / "bad-2026-11-04").touch()
    for day, code in (("2026-11-02", 0), ("2026-11-04", 1), ("2026-11-17", 0)):
        backfill(place, days=day, code=code)
    (place / "bad-2026-11-04").unlink()
    before = len(ran(place))
    held = ["2026-11-03", "2026-11-11", "2026-11-24"]
    for day in held:
        (place / f"hold-{day}").touch()
    for day in held:
        with going(place, *wanted, days=days) as started:
            until(lambda day=day: f"arrive {day}" in ran(place))  # type: ignore[misc]
            kill_all(started)
        (place / f"hold-{day}").unlink()
    found = backfill(place, "--in-order", *wanted, days=days)
    assert set(states(found)) == {"done"}
    kept = [each.partition(" ")[2] for each in ran(place) if each.startswith("keep")]
    assert Counter(kept) == dict.fromkeys(every, 1)
    assert kept[2:] == [day for day in every if day not in kept[:2]], "in order"
    begun = Counter(each.partition(" ")[2] for each in ran(place)[before:] if each.startswith("arrive"))
    assert begun == {day: 2 if day in held else 1 for day in every if day not in {"2026-11-02", "2026-11-17"}}
    assert runs(place) == len(every) + 1, "the one that had failed was run again"


def test_whoever_waits_starts_workers_when_those_of_others_have_ended(place: Path) -> None:
    (place / "hold-2026-11-01").touch()
    with going(place) as first:
        until(lambda: "arrive 2026-11-01" in ran(place))
        with going(place) as second:
            until(lambda: "of others serve the table" in (place / f"said-{second.pid}").read_text())
            kill_all(first)
            (place / "hold-2026-11-01").unlink()
            assert second.wait(120) == 0
    assert Counter(each for each in ran(place) if each.startswith("keep")) == {f"keep {day}": 1 for day in _DAYS}


def test_so_many_at_a_time_and_days_that_wait_are_joined(place: Path) -> None:
    put = backfill(place, "--at-most", "1", "--detach")
    assert states(put) == ["queued"] * 5
    assert ran(place) == []
    found = backfill(place, "--workers", "4")
    assert (states(found), [each["joined"] for each in found["days"]]) == (["done"] * 5, [True] * 5)
    noted = ran(place)  # a day is begun when the one before has ended
    assert [each.split()[1] for each in noted] == sorted(_DAYS * 2)


def test_what_is_wrong_is_told(place: Path) -> None:
    for words, days, said in (
        ((), "2026-11-05..2026-11-01", "end before they begin"),
        ((), "1926-11-05..2026-11-01", "more than 3660"),
        ((), "yesterday", "are no days"),
        (("--only", "failed,lost"), "2026-11-01", "is none of"),
        (("--in-order", "--at-most", "2"), "2026-11-01", "Leave --at-most out"),
        (("--detach", "--workers", "2"), "2026-11-01", "Leave --workers out"),
    ):
        assert said in backfill(place, *words, days=days, code=2)
