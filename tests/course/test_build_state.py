"""What is known between builds: files, facts of sources, results, and published files by owner."""

from __future__ import annotations

import pytest

from clx.course.build_state import BuildState, FileStat, Owner, PublishedFile

FACTS = FileStat(1, 2, 3, 4, "d" * 64)
OWNER = Owner("/course.yaml", "/output")
OTHER = Owner("/other.yaml", "/output")


def published(path: str, *, target: str = "/output/public", digest: str = "1", key: str = "k") -> PublishedFile:
    return PublishedFile(target, path, "en/completed/html", "a.py", "execute en", key, digest, 5, 6)


# -- files and sources ------------------------------------------------------------------------------


def test_what_is_remembered_of_a_root_is_known_there_and_nowhere_else(state: BuildState) -> None:
    state.remember("/a", {"x.py": FACTS}, {"x.py": {"titles": {"en": "Ü"}}})
    assert state.files("/a") == {"x.py": FACTS}
    assert state.sources("/a") == {"x.py": {"titles": {"en": "Ü"}}}
    assert (state.files("/b"), state.sources("/b")) == ({}, {})


def test_news_replace_what_was_known_of_the_same_path_only(state: BuildState) -> None:
    state.remember("/a", {"x.py": FACTS, "y.py": FACTS}, {"x.py": 1, "y.py": 2})
    state.remember("/a", {"x.py": FACTS._replace(size=9)}, {"y.py": 3})
    assert {path: facts.size for path, facts in state.files("/a").items()} == {"x.py": 9, "y.py": 1}
    assert state.sources("/a") == {"x.py": 1, "y.py": 3}


def test_a_build_that_learned_nothing_writes_nothing(state: BuildState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.database, "write", lambda *_: pytest.fail("written"))
    state.remember("/a", {}, {})
    state.published(OWNER, [])


# -- published files --------------------------------------------------------------------------------


def test_published_files_are_known_by_owner_target_and_path(state: BuildState) -> None:
    files = [published("a.html"), published("b.html", target="/output/speaker")]
    state.published(OWNER, files)
    assert state.outputs(OWNER) == {"/output/public": {"a.html": files[0]}, "/output/speaker": {"b.html": files[1]}}
    assert sorted(state.targets(OWNER)) == ["/output/public", "/output/speaker"]
    assert state.output_stats(OWNER, "/output/public") == {"a.html": ("a.html", "k", 5, 6)}
    assert (state.outputs(OTHER), state.targets(OTHER), state.output_stats(OTHER, "/output/public")) == ({}, [], {})


def test_a_file_belongs_to_who_wrote_it_last(state: BuildState) -> None:
    state.published(OWNER, [published("a.html")])
    state.published(OTHER, [published("a.html", digest="2")])
    assert state.outputs(OWNER) == {}
    assert state.digest_written("/output/public", "a.html") == "2"
    assert state.digest_written("/output/public", "b.html") is None


def test_nobody_removes_what_is_anothers(state: BuildState) -> None:
    state.published(OWNER, [published("a.html"), published("b.html")])
    state.published(OTHER, [], [("/output/public", "a.html")])
    assert set(state.outputs(OWNER)["/output/public"]) == {"a.html", "b.html"}
    state.published(OWNER, [published("c.html")], [("/output/public", "a.html"), ("/output/public", "never")])
    assert set(state.outputs(OWNER)["/output/public"]) == {"b.html", "c.html"}


def test_what_is_known_of_a_course_goes_along_when_it_moves(state: BuildState) -> None:
    before, now, other = Owner("/a/c.yaml", "/a/out"), Owner("/b/c.yaml", "/b/out"), Owner("/a/d.yaml", "/a/out")
    state.published(before, [published("x", target="/a/out/public"), published("y", target="/far/public")])
    state.published(other, [published("z", target="/a/out/public")])
    state.remember("/a", {"x.py": FACTS}, {"x.py": 1}, ["x.py"])

    state.move(before, now, "/a", "/b")

    assert {target: set(files) for target, files in state.outputs(now).items()} == {
        "/b/out/public": {"x"},
        "/far/public": {"y"},
    }
    assert (state.outputs(before), list(state.outputs(other))) == ({}, ["/a/out/public"])
    assert (state.files("/b"), state.sources("/b")) == ({"x.py": FACTS}, {"x.py": 1})
    assert (state.files("/a"), state.unchecked(now), state.unchecked(before)) == ({}, ["x.py"], [])
