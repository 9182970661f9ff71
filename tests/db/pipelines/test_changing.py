"""Pipelines are paused, resumed, stopped, tried again and removed, on every backend."""

from __future__ import annotations

import pytest
from tests.db.pipelines.conftest import (
    config,
    deploy,
    do,
    do_all,
    end,
    now,
    reasons,
    step,
    steps,
    waiting,
    withdraw,
)  # fmt: skip

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked
from clx.errors import QueueError


def test_nothing_of_a_paused_pipeline_is_given_out_until_it_is_resumed(queue: Queue) -> None:
    it = deploy(queue, step("a", 1, 2), step("then", 2))
    running = withdraw(queue, "a")
    assert queue.pipelines.pause([it]) == [it]
    assert queue.pipelines.pause([it]) == []
    assert now(queue, it)["status"] == "paused"
    assert queue.works.withdraw(Asked(("a",))) is None
    end(queue, running)  # what runs goes on

    assert queue.pipelines.resume([it]) == [it]
    assert queue.pipelines.resume([it]) == []
    assert do_all(queue) == ["a", "then"]
    assert now(queue, it)["status"] == "success"


def test_no_stage_begins_while_it_is_paused(queue: Queue) -> None:
    it = deploy(queue, step("a", 1), step("then", 2))
    running = withdraw(queue, "a")
    queue.pipelines.pause([it])
    end(queue, running)
    assert waiting(queue) == []
    assert steps(queue, it) == {"a": "success", "then": "created"}
    queue.pipelines.resume([it])
    assert waiting(queue) == ["then"]


def test_a_work_that_fails_while_it_is_paused_waits_for_it_too(queue: Queue) -> None:
    (it,) = queue.pipelines.deploy(config(step("a", 1))).pipelines
    running = withdraw(queue, "a")
    queue.pipelines.pause([it])
    end(queue, running, "queued")  # handed back
    assert queue.works.withdraw(Asked(("a",))) is None
    queue.pipelines.resume([it])
    assert do_all(queue) == ["a"]


def test_a_work_that_is_tried_again_while_it_is_paused_waits_for_it_too(queue: Queue) -> None:
    it = deploy(queue, step("a", 1))
    queue.pipelines.pause([it])
    work = now(queue, it)["steps"][0]["work_id"]
    queue.works.cancel(work)
    assert queue.works.retry(work) == work
    assert queue.works.withdraw(Asked(("a",))) is None
    queue.pipelines.resume([it])
    queue.pipelines.retry([it])
    assert do_all(queue) == ["a"]


def test_a_stopped_pipeline_has_no_work_left(queue: Queue) -> None:
    it = deploy(
        queue, step("done", 1), step("a", 2, 2), step("b", 2), step("then", 3), step("last", condition="always")
    )
    do(queue, "done")
    running = withdraw(queue, "a")
    assert queue.pipelines.stop([it]) == [it]
    assert queue.pipelines.stop([it]) == []

    found = now(queue, it)
    assert (found["status"], found["reason"]) == ("cancelled", "the pipeline was stopped")
    assert steps(queue, it) == {"done": "success"} | dict.fromkeys(["a", "b", "then", "last"], "cancelled")
    assert waiting(queue) == []
    assert queue.works.update([{**running, "status": "queued"}]) == [True]  # its runner hands it back, as it was asked
    assert queue.works.update([{**running, "status": "success"}]) == [False]
    assert waiting(queue) == []
    assert check(queue.database) == []


def test_a_failed_pipeline_is_tried_again_from_the_step_that_failed(queue: Queue) -> None:
    it = deploy(
        queue, step("first", 1), step("a", 2, 3), step("b", 2), step("then", 3), step("mend", condition="failure")
    )
    do_all(queue, lambda work: work["pipeline"] == "a" and work["event"] == [1])
    assert steps(queue, it) == {
        "first": "success", "a": "failure", "b": "success", "then": "cancelled", "mend": "success",
    }  # fmt: skip
    assert queue.pipelines.retry([it]) == [it]
    assert queue.pipelines.retry([it]) == []

    assert steps(queue, it) == {
        "first": "success", "a": "running", "b": "success", "then": "created", "mend": "created",
    }  # fmt: skip
    assert (now(queue, it)["status"], now(queue, it)["reason"], now(queue, it)["stop"]) == ("running", None, None)
    assert do_all(queue) == ["a", "then"]  # only what had not succeeded
    assert now(queue, it)["status"] == "success"
    assert steps(queue, it)["mend"] == "cancelled"


def test_it_may_fail_again_and_be_tried_again(queue: Queue) -> None:
    it = deploy(queue, step("a", 1), step("mend", condition="failure"))
    for _ in range(2):
        do_all(queue, lambda work: work["pipeline"] == "a")
        assert steps(queue, it) == {"a": "failure", "mend": "success"}
        queue.pipelines.retry([it])
    do_all(queue)
    assert now(queue, it)["status"] == "success"
    assert check(queue.database) == []


def test_a_stopped_pipeline_goes_on_where_it_was(queue: Queue) -> None:
    it = deploy(queue, step("a", 1), step("b", 2, 2), step("then", 3))
    do(queue, "a", "b")
    queue.pipelines.stop([it])
    queue.pipelines.retry([it])
    assert steps(queue, it) == {"a": "success", "b": "running", "then": "created"}
    assert do_all(queue) == ["b", "then"]
    assert now(queue, it)["status"] == "success"


def test_a_paused_pipeline_that_is_stopped_and_tried_again_gives_its_works_out(queue: Queue) -> None:
    it = deploy(queue, step("a", 1))
    queue.pipelines.pause([it])
    queue.pipelines.stop([it])
    queue.pipelines.retry([it])
    assert do_all(queue) == ["a"]


def test_a_step_whose_works_are_gone_begins_anew(queue: Queue) -> None:
    it = deploy(queue, step("a", 1))
    (work,) = now(queue, it)["steps"][0]["work_id"]
    do(queue, "a", status="failure")
    queue.works.delete([work])
    queue.pipelines.retry([it])
    assert do_all(queue) == ["a"]
    assert now(queue, it)["status"] == "success"


def test_works_that_were_tried_again_one_by_one_are_not_done_again(queue: Queue) -> None:
    it = deploy(queue, step("a", 1, 3), step("b", 2))
    do_all(queue, lambda work: work["event"] == [1])
    queue.works.retry(now(queue, it)["steps"][0]["work_id"][1:2])
    do_all(queue)
    assert steps(queue, it) == {"a": "failure", "b": "cancelled"}
    assert queue.pipelines.retry([it]) == [it]
    assert steps(queue, it) == {"a": "success", "b": "queued"}
    assert waiting(queue) == ["b"]


def test_works_of_later_stages_that_wait_again_are_not_done_twice(queue: Queue) -> None:
    it = deploy(queue, step("a", 1), step("mend", condition="always"))
    do_all(queue, lambda _: True)
    queue.works.retry(now(queue, it)["steps"][1]["work_id"])
    assert waiting(queue) == ["mend"]
    queue.pipelines.retry([it])
    assert do_all(queue) == ["a", "mend"]


def test_what_succeeded_after_the_pipeline_was_stopped_is_not_done_again(queue: Queue) -> None:
    it = deploy(queue, step("a", 1), step("b", 2))
    running = withdraw(queue, "a")
    queue.pipelines.stop([it])
    end(queue, running)
    assert queue.pipelines.retry([it]) == [it]
    assert do_all(queue) == ["b"]
    assert now(queue, it)["status"] == "success"


def test_one_that_was_stopped_when_all_of_it_was_done_ends_as_its_steps_have(queue: Queue) -> None:
    it = deploy(queue, step("a", 1))
    running = withdraw(queue, "a")
    queue.pipelines.pause([it])
    end(queue, running)
    queue.pipelines.stop([it])
    assert now(queue, it)["status"] == "cancelled"
    assert queue.pipelines.retry([it]) == [it]
    assert (now(queue, it)["status"], waiting(queue)) == ("success", [])


def test_what_succeeded_or_runs_is_not_tried_again(queue: Queue) -> None:
    it = deploy(queue, step("a", 1))
    assert queue.pipelines.retry([it]) == []
    do(queue, "a")
    assert queue.pipelines.retry([it]) == []
    assert reasons(queue, it) == {}


def test_only_what_has_ended_is_removed_and_its_works_stay(queue: Queue) -> None:
    made = queue.pipelines.deploy(config(step("a", 1)))
    (it,) = made.pipelines
    assert queue.pipelines.remove([it]) == []
    assert queue.pipelines.remove([made.config]) == []
    do(queue, "a")
    assert queue.pipelines.remove([made.config]) == [made.config]
    assert (queue.pipelines.find(), queue.pipelines.configs()) == ([], [])
    assert queue.works.status("a")["success"] == 1
    with pytest.raises(QueueError, match=it):
        queue.pipelines.pause([it])


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "retry", "remove"])
def test_where_one_is_not_there_nothing_is_changed(queue: Queue, verb: str) -> None:
    made = queue.pipelines.deploy(config(step("a", 1)))
    timed = queue.pipelines.deploy(config(step("a", 1), cron="0 6 * * *"))
    before = queue.pipelines.find(), queue.pipelines.configs()
    for ids in (["none"], [timed.config, *made.pipelines, "none"]):
        with pytest.raises(QueueError, match="no pipeline or config none"):
            getattr(queue.pipelines, verb)(iter(ids))
    assert (queue.pipelines.find(), queue.pipelines.configs()) == before
    assert not queue.schedules.list()[0].paused


def test_a_config_stands_for_all_its_pipelines(queue: Queue) -> None:
    made = queue.pipelines.deploy(config(step("a", 1)))
    assert queue.pipelines.pause([made.config]) == made.pipelines
    assert queue.pipelines.stop([made.config, *made.pipelines]) == made.pipelines
    assert queue.pipelines.remove(made.pipelines) == made.pipelines
    assert queue.pipelines.configs(ids=[made.config])[0]["pipelines"] == []
