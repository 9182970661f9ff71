"""How a build is shown: lines, events, nothing, or live."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live as RichLive

from clx.cli.displays import Json, Plain, Shown, Silent, TerminalWatcher, counted, make, planned_line, summary
from clx.cli.live import Live
from clx.course.display import Progress, TypeProgress
from clx.course.report import FailedOutput, Report
from clx.errors import UsageError

FAILED = FailedOutput(
    "notebook",
    "slides/a.py",
    "execute de",
    {"message": "no", "line": 3, "next_step": "Mend it.", "traceback": "Traceback…"},
    ["/out/old.html"],
)
PROGRESS = Progress(
    {"notebook": TypeProgress("notebook", queued=4, running=1, done=2, failed=1, workers=2, mean_seconds=1.5)}
)


def events(text: str) -> list[dict[str, Any]]:
    """Events without their time."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all(each.pop("at") > 1e9 for each in found)
    return found


# -- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "words"), [(0, "0 decks"), (1, "1 deck"), (2, "2 decks")])
def test_things_are_counted_as_a_person_does(number: int, words: str) -> None:
    assert counted(number, "deck") == words


def test_the_plan_is_one_line() -> None:
    assert planned_line(1, 8, 3) == "1 deck, 8 jobs: 3 up to date, 5 to run."


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            Report(decks=2, files=20, ran=4, reused=3, seconds=1.26),
            "Done in 1.3 s: 2 decks, 20 files, 4 jobs run, 3 reused.",
        ),
        (
            Report(decks=1, files=1, ran=1, removed=["x"], failures=[FAILED]),
            "Done with failures in 0.0 s: 1 deck, 1 file, 1 job run, 0 reused, 1 stale file removed, 1 failed.",
        ),
        (
            Report(dry_run=True, to_run=1, reused=7),
            "Would run 1 job; 7 are up to date. Nothing was written.",
        ),
    ],
)
def test_a_build_is_summed_up_in_one_line(report: Report, line: str) -> None:
    assert summary(report) == line


# -- plain ------------------------------------------------------------------------------------------


def tell(display: Shown) -> None:
    """A build with three jobs, of which one is known and one fails."""
    display.planned(decks=2, jobs=3, reused=1)
    display.started(PROGRESS)
    display.job_started("a", {"job": 1, "type": "notebook", "worker": 4})
    display.job_done("a", {"job": 1, "type": "notebook", "seconds": 0.26})
    display.job_failed(FAILED)
    display.note("a note")
    display.warning("look\x1b[2J")
    display.tick(PROGRESS)


def test_plain_is_a_line_for_each_job_that_ended(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Plain())
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "2 decks, 3 jobs: 1 up to date, 2 to run.",
        "[1/2] notebook: a (0.3 s)",
        "[2/2] notebook: slides/a.py (execute de) FAILED",
        "a note",
    ]
    assert err == "Warning: look\\x1b[2J\n"


def test_plain_tells_numbers_every_five_seconds_when_asked_for_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 100.0, 104.9, 105.0, 105.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    display = Plain(verbose=True)
    for _ in range(3):
        display.tick(PROGRESS)
    line = "notebook: 2 workers, 4 queued, 1 running, 2 done, 1 failed, mean 1.5 s"
    assert capsys.readouterr().out.splitlines() == [line, line]


@pytest.mark.parametrize("verbose", [False, True])
def test_the_end_names_failures_what_to_do_and_where_the_output_is(
    capsys: pytest.CaptureFixture[str], verbose: bool
) -> None:
    report = Report(output="/out", targets=["/out/public"], failures=[FAILED], kept=["/out/mine"], seconds=1)
    Plain(verbose=verbose).finished(report)
    out, err = capsys.readouterr()
    assert out.splitlines() == [summary(report), "Output: /out"]
    assert err.splitlines() == [
        "Failed: slides/a.py, line 3, execute de: no",
        "  1 output file(s) of an earlier build stay, stale.",
        "  Mend it.",
        *(["Traceback…"] if verbose else []),
        "Warning: /out/mine is no longer made, but is not there as CLX wrote it, and stays.",
    ]


def test_reasons_are_shown_by_every_display_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    for display in (Plain(), Silent()):
        display.explain("a", "new")
    assert capsys.readouterr().out == "a: new\n" * 2


def test_silence_is_broken_by_failures_only(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Silent())
    Silent().finished(Report(output="/out", targets=["/out"], kept=["/x"]))
    assert capsys.readouterr() == ("", "")
    Silent().finished(Report(failures=[FAILED]))
    assert "Failed: slides/a.py" in capsys.readouterr().err


# -- JSON -------------------------------------------------------------------------------------------


def test_json_is_one_event_for_each_thing_that_happens(capsys: pytest.CaptureFixture[str]) -> None:
    display = Json()
    tell(display)
    display.explain("a", "new")
    display.line("text")
    out, err = capsys.readouterr()
    assert err == ""
    assert events(out) == [
        {"event": "planned", "decks": 2, "jobs": 3, "reused": 1},
        {"event": "job_started", "label": "a", "job": 1, "type": "notebook", "worker": 4},
        {"event": "job_done", "label": "a", "job": 1, "type": "notebook", "seconds": 0.26},
        {"event": "job_failed", "source": "slides/a.py", "task": "execute de", "error": FAILED.error},
        {"event": "note", "text": "a note"},
        {"event": "warning", "text": "look\x1b[2J"},
        {
            "event": "progress",
            "types": {
                "notebook": {
                    "queued": 4, "running": 1, "done": 2, "failed": 1, "workers": 2, "mean_seconds": 1.5,
                }
            },
            "seconds_left": 3.75,
        },
        {"event": "reason", "job": "a", "reason": "new"},
        {"event": "line", "text": "text"},
    ]  # fmt: skip


def test_the_last_event_is_the_report_or_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(decks=2)
    Json().finished(report)
    Json().error(UsageError("no", "Type it."))
    out, err = capsys.readouterr()
    assert events(out) == [
        {"event": "finished", "report": report.as_dict()},
        {"event": "error", "exit_code": 2, "fact": "no", "next_step": "Type it."},
    ]
    assert err == "Error: no\nType it.\n"


# -- live -------------------------------------------------------------------------------------------


def drawn(width: int, progress: Progress = PROGRESS, latest: str = "") -> str:
    """What the live part looks like."""
    display = Live()
    display._console = Console(width=width, file=io.StringIO())
    display.job_started(latest, {})
    with display._console.capture() as capture:
        display._console.print(display._draw(progress))
    return capture.get()


@pytest.mark.parametrize(("width", "has_workers", "has_bar"), [(60, False, False), (72, True, False), (96, True, True)])
def test_a_narrow_terminal_gets_fewer_columns(width: int, has_workers: bool, has_bar: bool) -> None:
    text = drawn(width, latest="deck")
    assert "notebook" in text
    assert [line.rstrip() for line in text.splitlines()][-1] == "about 4 s left   deck"
    assert ("workers" in text, "━" in text) == (has_workers, has_bar)
    assert max(map(len, text.splitlines())) <= width


def test_without_history_there_is_no_estimate() -> None:
    text = drawn(80, Progress({"notebook": TypeProgress("notebook")}))
    assert "no estimate yet: first build" in text
    assert "–" in text


def test_live_lines_show_markup_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    display = Live()
    display._console = Console(width=100, file=io.StringIO(), force_terminal=False)
    display.line("[red]x[/red] \x1b[2J")
    display.warning("look")
    display.job_failed(FAILED)
    display.planned(decks=1, jobs=1, reused=0)
    display.note("[b]n")
    assert isinstance(display._console.file, io.StringIO)
    assert display._console.file.getvalue().splitlines() == [
        "[red]x[/red] \\x1b[2J",
        "Warning: look",
        "Failed: slides/a.py, line 3, execute de: no",
        "1 deck, 1 job: 0 up to date, 1 to run.",
        "[b]n",
    ]


def test_the_terminal_is_given_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[bool] = []
    display = Live()
    display._console = Console(width=80, file=io.StringIO())
    monkeypatch.setattr(RichLive, "stop", lambda self: stopped.append(True))
    display.started(PROGRESS)
    display.close()
    display.close()
    display.tick(PROGRESS)
    assert stopped == [True]


# -- which, and while watching ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "quiet", "tty", "term", "type_"),
    [
        ("auto", False, True, "xterm", Live),
        ("auto", False, True, "dumb", Plain),
        ("auto", False, False, "xterm", Plain),
        ("rich", False, False, "dumb", Live),
        ("plain", False, True, "xterm", Plain),
        ("json", False, True, "xterm", Json),
        ("json", True, True, "xterm", Silent),
        ("none", False, True, "xterm", Silent),
    ],
)
def test_the_display_is_what_was_asked_for_or_what_the_terminal_can_show(
    monkeypatch: pytest.MonkeyPatch, choice: str, quiet: bool, tty: bool, term: str, type_: type
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: tty)
    monkeypatch.setenv("TERM", term)
    found = make(choice, verbose=True, quiet=quiet)
    assert (type(found), found.verbose) == (type_, True)


def test_while_watching_each_build_is_shown_anew_and_its_end_told(capsys: pytest.CaptureFixture[str]) -> None:
    documents: list[dict[str, Any]] = []
    made: list[Shown] = []

    def display() -> Shown:
        made.append(Plain())
        return made[-1]

    watcher = TerminalWatcher(display, documents.append)
    watcher.close()
    watcher.waiting(Path("/course"))
    assert watcher.begin() is made[0]
    watcher.done(Report(decks=3))
    watcher.waiting(Path("/course"))
    assert watcher.begin() is made[1]
    watcher.failed(UsageError("no", "Type it."))
    assert documents == [Report(decks=3).as_dict(), {"exit_code": 2, "error": "no", "next_step": "Type it."}]
    assert capsys.readouterr() == ("Watching /course for changes. Ctrl-C ends.\n", "Error: no\nType it.\n")
