# mypy: ignore-errors
"""``chime-frb-api`` beside what others have deposited; run by its own interpreter (tests/server/wire/test_peers.py)."""

from __future__ import annotations

import os

import pytest
from chime_frb_api.modules.buckets import Buckets
from chime_frb_api.modules.results import Results
from chime_frb_api.workflow import Work

IS_NEW = os.environ["VERSION"].startswith("3")
NEEDED = {"site": "local", "user": "tester"} if IS_NEW else {}


@pytest.fixture
def buckets():
    return Buckets()


def test_the_code_of_the_first_page():
    work = Work(pipeline="sample-pipeline", parameters={"a": 1, "b": 2}, **NEEDED)
    assert work.deposit() is True
    work = Work.withdraw(pipeline="sample-pipeline")
    work.results = {"sum": work.parameters["a"] + work.parameters["b"]}
    work.status = "success"
    assert work.update() is True
    assert work.delete() is True


def row(pipeline, **fields):
    """As ``workflow-core`` deposits it."""
    config = {"archive": {"results": True, "products": "copy", "plots": "bypass", "logs": "move"}, "parent": None}
    return {
        "pipeline": pipeline, "site": "local", "user": "tester", "timeout": 60, "retries": 2, "priority": 3,
        "attempt": 0, "status": "created", "config": config, "notify": {"slack": {}},
    } | fields  # fmt: skip


def test_what_it_cannot_read_is_left_for_others(buckets):
    buckets.deposit([row("mixed", timeout=100_000, priority=5), row("mixed", site="unheard-of", priority=4)])
    assert Work.withdraw(pipeline="mixed") is None
    assert buckets.status("mixed")["queued"] == 2
    if IS_NEW:
        buckets.deposit([row("mixed")])
        found = Work.withdraw(pipeline="mixed")
        assert found.config.archive.plots == "pass"
        found.status = "success"
        assert found.update() is True
        (there,) = buckets.view({"id": found.id}, {"config.archive.plots": True})
        assert there == {"config": {"archive": {"plots": "bypass"}}}
    assert buckets.delete_many("mixed", force=True) is True


def test_results_that_were_locked_stay():
    results = Results()
    work = Work(pipeline="kept", **NEEDED)
    work.id, work.status = "65e4c9b9c5e8320d351c0d7c", "success"
    assert results.deposit([work.payload]) == {"kept": True}
    assert results.view("kept", {"id": work.id}, {"id": True}) == [{"id": work.id}]
    assert results.delete_ids("kept", [work.id]) == {"kept": True}
