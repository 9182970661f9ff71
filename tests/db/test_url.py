"""From what a program writes to an open queue: a path, a URL, or memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import SetClock

from clx.db.jobs import NewJob, Queue
from clx.db.url import MEMORY, open_database
from clx.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("jobs.db", "jobs.db"),
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///a%3Fb%20c.db", "a?b c.db"),
        ("sqlite:///jobs.db?journal_mode=delete", "jobs.db"),
        ("./memory:", "memory:"),
    ],
)
def test_a_path_or_a_url_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with open_database(text) as database:
        mode = database.read("PRAGMA journal_mode")[0][0]
    assert (tmp_path / name).is_file()
    assert mode == ("delete" if "delete" in text else "wal")


def test_a_url_with_four_slashes_is_absolute(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/jobs.db").close()
    assert (tmp_path / "jobs.db").is_file()


def test_memory_leaves_no_file_and_takes_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_database(MEMORY).close()
    with pytest.raises(UsageError, match="A queue in memory takes no busy_timeout"):
        open_database(MEMORY, busy_timeout=1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("named", "fact"),
    [
        (":memory:", "is not a database CLX can open"),
        ("memory:x", "is not a database CLX can open"),
        ("sqlite:jobs.db", "is not a database CLX can open"),
        ("file:jobs.db", "is not a database CLX can open"),
        ("mysql://host/db", "is not a database CLX can open"),
        ("postgresql+psycopg://user:secret@host/db", "postgresql+psycopg://user:***@host/db is not a database CLX"),
        ("postgresql://user:se%cret@host/db", "cannot be understood"),
        ("sqlite://host/jobs.db", "is not a database CLX can open"),
        ("sqlite://", "is not a database CLX can open"),
        ("sqlite:///:memory:", "is not a database CLX can open"),
        ("sqlite:///a#b", "what follows # belongs to no file"),
        ("sqlite:///a?mode=ro", "only journal_mode=wal or journal_mode=delete can be set"),
        ("sqlite:///a?journal_mode=off", "only journal_mode=wal or journal_mode=delete can be set"),
        (7, "is not a database CLX can open"),
        (None, "is not a database CLX can open"),
    ],
)
def test_what_names_something_else_is_refused_and_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: object, fact: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_database(named)  # type: ignore[arg-type]
    assert fact in caught.value.fact
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"clok": 3}, "clok is no option of a database."),
        ({"clock": lambda: 1}, "clock="),
        ({"busy_timeout": "x"}, "busy_timeout='x' is not possible."),
        ({"busy_timeout": -1}, "busy_timeout=-1 is not possible."),
        ({"readonly": "yes"}, "readonly='yes' is not possible."),
    ],
)
def test_an_option_that_is_none_is_refused_before_anything_is_made(
    tmp_path: Path, options: dict[str, Any], fact: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Queue.open(tmp_path / "jobs.db", **options)
    assert caught.value.fact.startswith(fact)
    assert list(tmp_path.iterdir()) == []


def test_a_queue_goes_by_the_clock_that_it_is_given(tmp_path: Path) -> None:
    clock = SetClock(5000)
    for place in (tmp_path / "jobs.db", "memory:"):
        with Queue.open(place, clock=clock) as queue:
            job = queue.get(queue.enqueue(NewJob("t")))
            assert job is not None
            assert job.created_at == 5000


@pytest.mark.parametrize(
    ("url", "name", "refused"),
    [("memory:", "journal_mod", "journal_mode"), ("postgresql://localhost/x", "journal_mod", "journal_mode")],
)
def test_nobody_is_led_to_an_option_that_this_kind_of_database_refuses(url: str, name: str, refused: str) -> None:
    with pytest.raises(UsageError, match="is no option") as told:
        open_database(url, **{name: "wal"})
    assert refused not in told.value.next_step
