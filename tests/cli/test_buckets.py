"""``clx buckets`` and ``clx results``: listed, shown, counted, removed, locked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clx.cli.buckets import remove_ended, set_locked
from clx.cli.main import cli
from clx.work.place import store
from clx.work.work import Work

WHERE = Path(".clx/jobs.db")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CLX_WORK__URL", "CLX_DATABASE__PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ids() -> dict[str, str]:
    """A live work and two that have ended."""
    WHERE.parent.mkdir()
    found: dict[str, str] = {}
    for pipeline, status in (("a", ""), ("a", "success"), ("b", "failure")):
        work = Work(pipeline, retries=1, event=len(found), where=WHERE)
        work.deposit()
        found[status or "live"] = work.id
        if status:
            held = Work.withdraw(pipeline, event=work.event, where=WHERE)
            assert held is not None
            held.results, held.status = {"snr": 9}, status
            held.update()
    return found


def _json(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, [*words, "--format", "json"])
    assert done.exit_code == 0, f"{done.output}{done.exception}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _shown(*words: str) -> set[str]:
    return {each["id"] for each in _json(*words)["works"]}


def test_nothing_is_there_before_there_is_a_database() -> None:
    assert _json("buckets", "list") == {"buckets": {}}
    assert _json("results", "list") == {"results": {}}
    assert _json("results", "count") == {"count": 0}
    assert _json("results", "show") == {"works": [], "after": None}
    assert _json("results", "lock", "--all") == {"locked": [], "left": []}


def test_what_has_ended_is_a_result_whether_it_was_moved_on_or_not(ids: dict[str, str]) -> None:
    for moved in (False, True):
        if moved:
            assert store(WHERE).move_on() == 2  # type: ignore[attr-defined]
        assert _json("results", "list") == {"results": {"a": 1, "b": 1}}
        assert _shown("results", "show", "a") == {ids["success"]}
        assert _shown("results", "show", "--where", "results.snr>=8") == {ids["success"], ids["failure"]}
        assert _json("results", "count", "b", "--status", "failure") == {"count": 1}
    assert _json("buckets", "list")["buckets"] == {
        "a": {"queued": 1, "running": 0, "success": 0, "failure": 0, "cancelled": 0}
    }
    assert _shown("buckets", "show") == {ids["live"]}


def test_a_locked_one_stays_until_it_is_unlocked(ids: dict[str, str]) -> None:
    assert _json("results", "lock", *ids.values())["left"] == [{"id": ids["live"], "reason": "has not ended"}]
    assert _json("results", "rm", "--all", "--yes")["removed"] == []
    assert _json("work", "rm", ids["success"])["left"][0]["reason"].startswith("is locked; unlock it first")
    assert set(_json("results", "unlock", "--all", "--yes")["unlocked"]) == {ids["success"], ids["failure"]}
    assert _json("work", "show", ids["success"])["results"] == {"snr": 9, "locked": False}
    assert _json("results", "unlock", "--all", "--yes")["unlocked"] == []


def test_removing_results_leaves_what_is_live(ids: dict[str, str]) -> None:
    found = _json("results", "rm", ids["live"], ids["failure"])
    assert found == {"removed": [ids["failure"]], "left": [{"id": ids["live"], "reason": "has not ended"}]}
    assert _json("results", "rm", "--all", "--yes")["removed"] == [ids["success"]]
    assert _shown("work", "search") == {ids["live"]}


def test_removing_from_a_bucket_leaves_results(ids: dict[str, str]) -> None:
    store(WHERE).move_on()  # type: ignore[attr-defined]
    assert _json("buckets", "rm", "--all", "--yes")["removed"] == [ids["live"]]
    assert _shown("work", "search") == {ids["success"], ids["failure"]}


def test_what_is_no_mapping_is_kept_where_it_is_locked(ids: dict[str, str]) -> None:
    works = store(WHERE)
    found = works.get(ids["success"])
    works.update([{**found.document, "results": [1]}])
    assert set_locked(works, [ids["success"], ids["live"]], locked=True) == [ids["success"]]
    assert works.get(ids["success"]).document["results"] == {"result": [1], "locked": True}
    assert remove_ended(works, [ids["success"], ids["live"]]) == []
