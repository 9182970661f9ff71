"""What is known between builds: files, facts of sources, results, and published files by owner."""

from __future__ import annotations

import pytest

from clx.course.build_state import FileFacts, Ledger, Owner, PublishedFile

FACTS = FileFacts(1, 2, 3, 4, "d" * 64)
OWNER = Owner("/course.yaml", "/output")
OTHER = Owner("/other.yaml", "/output")


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
    ledger.published(OWNER, [])


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


def test_what_is_known_of_a_course_goes_along_when_it_moves(ledger: Ledger) -> None:
    before, now, other = Owner("/a/c.yaml", "/a/out"), Owner("/b/c.yaml", "/b/out"), Owner("/a/d.yaml", "/a/out")
    ledger.published(before, [published("x", target="/a/out/public"), published("y", target="/far/public")])
    ledger.published(other, [published("z", target="/a/out/public")])
    ledger.remember("/a", {"x.py": FACTS}, {"x.py": 1}, ["x.py"])

    ledger.move(before, now, "/a", "/b")

    assert {target: set(files) for target, files in ledger.outputs(now).items()} == {
        "/b/out/public": {"x"},
        "/far/public": {"y"},
    }
    assert (ledger.outputs(before), list(ledger.outputs(other))) == ({}, ["/a/out/public"])
    assert (ledger.files("/b"), ledger.sources("/b")) == ({"x.py": FACTS}, {"x.py": 1})
    assert (ledger.files("/a"), ledger.unchecked(now), ledger.unchecked(before)) == ({}, ["x.py"], [])
