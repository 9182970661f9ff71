"""What is known between builds: files, facts of sources, results, and published files by owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clx.db.jobs import NewJob, Queue
from clx.db.ledger import FileFacts, Ledger, Owner, PublishedFile
from clx.errors import QueueError

_DAY = 24 * 3600 * 1000
FACTS = FileFacts(1, 2, 3, 4, "d" * 64)
OWNER = Owner("/course.yaml", "/output")
OTHER = Owner("/other.yaml", "/output")


@pytest.fixture
def queue() -> Iterator[Queue]:
    with Queue.open("memory:") as queue:
        yield queue


@pytest.fixture
def ledger(queue: Queue) -> Ledger:
    return Ledger(queue.database)


def published(path: str, *, target: str = "/output/public", digest: str = "1", key: str = "k") -> PublishedFile:
    return PublishedFile(target, path, "en/completed/html", "a.py", "execute en", key, digest, 5, 6)


# -- files and sources ------------------------------------------------------------------------------


def test_what_is_remembered_of_a_root_is_known_there_and_nowhere_else(ledger: Ledger) -> None:
    ledger.remember("/a", {"x.py": FACTS}, {"x.py": {"titles": {"en": "Ü"}}})
    assert ledger.files("/a") == {"x.py": FACTS}
    assert ledger.sources("/a") == {"x.py": {"titles": {"en": "Ü"}}}
    assert (ledger.files("/b"), ledger.sources("/b")) == ({}, {})


def test_news_replace_what_was_known_of_the_same_path_only(ledger: Ledger) -> None:
    ledger.remember("/a", {"x.py": FACTS, "y.py": FACTS}, {"x.py": 1, "y.py": 2})
    ledger.remember("/a", {"x.py": FACTS._replace(size=9)}, {"y.py": 3})
    assert {path: facts.size for path, facts in ledger.files("/a").items()} == {"x.py": 9, "y.py": 1}
    assert ledger.sources("/a") == {"x.py": 1, "y.py": 3}


def test_a_build_that_learned_nothing_writes_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.database, "write", lambda *_: pytest.fail("written"))
    ledger.remember("/a", {}, {})
    ledger.forget_results([])
    ledger.published(OWNER, [])


# -- results ----------------------------------------------------------------------------------------


def do(queue: Queue, key: str, result: Any, type_: str = "t", now: int = 0) -> None:
    queue.enqueue(NewJob(type_, key=key), now=now)
    job = queue.claim([type_], now=now)[0]
    queue.finish(job.id, job.run, result, now=now)


def used_at(queue: Queue) -> dict[str, int]:
    return dict(queue.database.read("SELECT key, used_at FROM results"))


def test_results_are_found_by_key(queue: Queue, ledger: Ledger) -> None:
    do(queue, "a", {"outputs": [1]})
    do(queue, "b", "text")
    assert ledger.results(["a", "b", "c"], now=0) == {"a": {"outputs": [1]}, "b": "text"}
    assert sorted(ledger.all_results()) == [("a", {"outputs": [1]}), ("b", "text")]


def test_of_one_key_with_results_of_two_types_the_type_must_be_said(queue: Queue, ledger: Ledger) -> None:
    do(queue, "a", 1, "one")
    do(queue, "a", 2, "two")
    with pytest.raises(QueueError, match="Jobs of several types left a result for the key 'a'"):
        ledger.results(["a"], now=0)
    assert ledger.results(["a"], "two", now=0) == {"a": 2}


@pytest.mark.parametrize(("later", "noted"), [(_DAY, False), (_DAY + 1, True)])
def test_that_a_result_was_used_is_noted_once_a_day(queue: Queue, ledger: Ledger, later: int, noted: bool) -> None:
    do(queue, "a", 1)
    do(queue, "b", 1)
    ledger.results(["a"], now=later)
    assert used_at(queue) == {"a": later if noted else 0, "b": 0}


def test_a_forgotten_result_is_gone_and_the_others_stay(queue: Queue, ledger: Ledger) -> None:
    do(queue, "a", 1)
    do(queue, "b", 2)
    ledger.forget_results(["a", "never"])
    assert ledger.results(["a", "b"], now=0) == {"b": 2}


def test_a_result_that_cannot_be_read_is_none(queue: Queue, ledger: Ledger) -> None:
    do(queue, "a", 1)
    queue.database.write("test", lambda connection: connection.execute("UPDATE results SET result = '{broken'"))
    assert ledger.results(["a"], now=0) == {}


# -- published files --------------------------------------------------------------------------------


def test_published_files_are_known_by_owner_target_and_path(ledger: Ledger) -> None:
    files = [published("a.html"), published("b.html", target="/output/speaker")]
    ledger.published(OWNER, files)
    assert ledger.outputs(OWNER) == {"/output/public": {"a.html": files[0]}, "/output/speaker": {"b.html": files[1]}}
    assert sorted(ledger.targets(OWNER)) == ["/output/public", "/output/speaker"]
    assert ledger.stamps(OWNER, "/output/public") == {"a.html": ("a.html", "k", 5, 6)}
    assert (ledger.outputs(OTHER), ledger.targets(OTHER), ledger.stamps(OTHER, "/output/public")) == ({}, [], {})


def test_a_file_belongs_to_who_wrote_it_last(ledger: Ledger) -> None:
    ledger.published(OWNER, [published("a.html")])
    ledger.published(OTHER, [published("a.html", digest="2")])
    assert ledger.outputs(OWNER) == {}
    assert ledger.digest_written("/output/public", "a.html") == "2"
    assert ledger.digest_written("/output/public", "b.html") is None


def test_nobody_removes_what_is_anothers(ledger: Ledger) -> None:
    ledger.published(OWNER, [published("a.html"), published("b.html")])
    ledger.published(OTHER, [], [("/output/public", "a.html")])
    assert set(ledger.outputs(OWNER)["/output/public"]) == {"a.html", "b.html"}
    ledger.published(OWNER, [published("c.html")], [("/output/public", "a.html"), ("/output/public", "never")])
    assert set(ledger.outputs(OWNER)["/output/public"]) == {"b.html", "c.html"}
