"""Who ends the last work of a stage puts in those of the next one, with the same transaction, on every backend."""

from __future__ import annotations

from collections.abc import Callable

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
from tests.support.clock import at

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition
from clx.db.works.searching import Search, conditions
from clx.errors import QueueError


def test_stages_follow_one_another_and_steps_of_one_wait_side_by_side(queue: Queue) -> None:
    it = deploy(queue, step("late", 3), step("a", 1), step("b", 1), step("next", 2))
    assert waiting(queue) == ["a", "b"]
    assert (now(queue, it)["status"], now(queue, it)["current_stage"]) == ("running", 1)

    do(queue, "b")
    assert steps(queue, it) == {"late": "created", "a": "queued", "b": "success", "next": "created"}
    assert waiting(queue) == ["a"]

    do(queue, "a")
    assert waiting(queue) == ["next"]
    assert now(queue, it)["current_stage"] == 2

    assert do_all(queue) == ["next", "late"]
    assert now(queue, it)["status"] == "success"
    assert set(steps(queue, it).values()) == {"success"}
    assert check(queue.database) == []


def test_a_work_knows_its_pipeline_in_both_ways_clients_ask(queue: Queue) -> None:
    (made,) = queue.pipelines.deploy(config(
        StepDefinition("s", 1, works=({"pipeline": "s", "config": {"archive": {"logs": "copy"}}, "id": "taken"},))
    )).pipelines  # fmt: skip
    (found,) = queue.works.find(Search(conditions({"parent": made}))).works
    assert found.document["parent"] == made
    assert found.document["config"] == {"archive": {"logs": "copy"}, "parent": made}
    assert found.document["id"] != "taken"
    assert now(queue, made)["steps"][0]["work_id"] == [found.document["id"]]
    assert [each["execution"] for each in now(queue, made)["history"].values()] == [[found.document["id"]]]


def test_a_step_with_several_works_ends_with_the_last(queue: Queue) -> None:
    it = deploy(queue, step("many", 1, 3), step("then", 2))
    do(queue, "many", "many")
    assert steps(queue, it) == {"many": "running", "then": "created"}
    do(queue, "many")
    assert waiting(queue) == ["then"]
    assert now(queue, it)["steps"][0]["counts"]["success"] == 3


def test_a_failed_stage_ends_the_pipeline_with_the_reason(queue: Queue) -> None:
    it = deploy(queue, step("a", 1), step("b", 1), step("then", 2), step("last"))
    do(queue, "a", status="failure")
    assert steps(queue, it)["a"] == "failure"
    assert now(queue, it)["status"] == "running"  # b is still to be done
    do(queue, "b")

    assert waiting(queue) == []
    assert steps(queue, it) == {"a": "failure", "b": "success", "then": "cancelled", "last": "cancelled"}
    assert reasons(queue, it) == {
        "a": "1 of 1 works did not succeed", "then": "step a failed", "last": "step a failed",
    }  # fmt: skip
    found = now(queue, it)
    assert (found["status"], found["reason"]) == ("failure", "step a failed")
    assert found["stop"] is not None


def test_a_work_that_fails_and_has_attempts_left_fails_no_step(queue: Queue) -> None:
    made = StepDefinition("s", 1, works=({"pipeline": "s", "retries": 2},))
    it = deploy(queue, made, step("then", 2))
    do(queue, "s", status="failure")
    assert steps(queue, it)["s"] == "queued"
    do(queue, "s")
    assert waiting(queue) == ["then"]


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (False, {"ok": "success", "bad": "cancelled", "any": "success"}),
        (True, {"ok": "cancelled", "bad": "success", "any": "success"}),
    ],
)
def test_steps_without_a_stage_come_last_as_their_conditions_say(
    queue: Queue, fails: bool, expected: dict[str, str]
) -> None:
    it = deploy(
        queue,
        step("ok", condition="success"), step("bad", condition="failure"), step("any", condition="always"),
        step("first", 1),
    )  # fmt: skip
    assert waiting(queue) == ["first"]
    do(queue, "first", status="failure" if fails else "success")
    do_all(queue)
    assert {name: status for name, status in steps(queue, it).items() if name != "first"} == expected
    assert now(queue, it)["status"] == ("failure" if fails else "success")


def test_a_step_of_a_later_stage_may_be_asked_for_after_a_failure(queue: Queue) -> None:
    it = deploy(queue, step("a", 1), step("usual", 2), step("mend", 2, condition="failure"), step("after", 3))
    do(queue, "a", status="failure")
    assert do_all(queue) == ["mend"]
    assert steps(queue, it) == {"a": "failure", "usual": "cancelled", "mend": "success", "after": "cancelled"}


@pytest.mark.parametrize(
    ("threshold", "status"), [(0.5, "success"), (0.75, "success"), (0.76, "failure"), (0, "success")]
)
def test_the_threshold_is_the_share_that_must_succeed(queue: Queue, threshold: float, status: str) -> None:
    it = deploy(queue, step("many", 1, 4, threshold=threshold), step("then", 2))
    do_all(queue, lambda work: work["event"] == [2])
    assert steps(queue, it)["many"] == status
    assert steps(queue, it)["then"] == ("success" if status == "success" else "cancelled")


def test_steps_without_works_succeed_and_the_next_stage_begins(queue: Queue) -> None:
    it = deploy(queue, step("none", 1, 0), step("nothing", 2, 0), step("then", 3))
    assert steps(queue, it) == {"none": "success", "nothing": "success", "then": "queued"}
    assert waiting(queue) == ["then"]


def test_a_pipeline_of_empty_steps_has_ended_when_it_is_deployed(queue: Queue) -> None:
    assert now(queue, deploy(queue, step("none", 1, 0)))["status"] == "success"


def test_a_work_that_cannot_be_deposited_fails_its_step_with_the_reason(queue: Queue) -> None:
    bad = StepDefinition("bad", 2, works=({"pipeline": "bad", "priority": 9},))
    it = deploy(queue, step("a", 1), bad, step("beside", 2))
    do(queue, "a")
    assert steps(queue, it) == {"a": "success", "bad": "failure", "beside": "queued"}
    assert "priority 9" in reasons(queue, it)["bad"]
    do(queue, "beside")
    assert now(queue, it)["status"] == "failure"


def test_all_pipelines_of_a_config_begin_or_none(queue: Queue) -> None:
    pipelines = [PipelineDefinition({"n": n}, (step("a", 1),)) for n in (1, 2)]
    two = ConfigDefinition("c", "", tuple(pipelines))
    made = queue.pipelines.deploy(two)
    assert [now(queue, each)["matrix"] for each in made.pipelines] == [{"n": 1}, {"n": 2}]
    (found,) = queue.pipelines.configs(ids=[made.config])
    assert (found["pipelines"], found["version"]) == (made.pipelines, "2")
    with pytest.raises(QueueError, match="no pipeline"):
        queue.pipelines.deploy(ConfigDefinition("empty", "", ()))
    odd = ConfigDefinition("odd", "", (pipelines[0], PipelineDefinition({"n": object()}, ())))
    with pytest.raises(QueueError):
        queue.pipelines.deploy(odd)
    assert queue.pipelines.counts() == {"c": 2}
    assert len(waiting(queue)) == 2


def test_a_work_that_is_cancelled_or_removed_has_not_succeeded(queue: Queue) -> None:
    it = deploy(queue, step("a", 1, 2), step("then", 2))
    first, second = now(queue, it)["steps"][0]["work_id"]
    queue.works.cancel([first])
    assert steps(queue, it)["a"] == "running"
    assert queue.works.delete([second]) == [second]
    assert steps(queue, it) == {"a": "failure", "then": "cancelled"}


def test_a_runner_that_dies_for_good_fails_the_step(open_queue: Callable[[], Queue]) -> None:
    queue = open_queue()
    it = deploy(queue, step("a", 1), step("last", condition="always"))
    withdraw(queue, "a")
    at(queue, 10**14).rescue()
    assert steps(queue, it) == {"a": "failure", "last": "queued"}


def test_the_results_of_the_last_work_are_there_when_the_next_stage_begins(queue: Queue) -> None:
    """The document is stored in the transaction before what follows is looked for."""
    it = deploy(queue, step("a", 1), step("then", 2))
    found = withdraw(queue, "a")
    end(queue, found, results={"n": 1})
    assert waiting(queue) == ["then"]
    assert now(queue, it)["status"] == "running"


@pytest.mark.parametrize("matrix", [{}, {"n": [1]}])
def test_results_are_a_list_where_a_step_has_a_matrix_also_of_one(queue: Queue, matrix: dict[str, list[int]]) -> None:
    fields = {"parameters": {"found": "${{ pipeline.a.work.results }}"}}
    deploy(
        queue, step("a", 1, matrix=matrix), StepDefinition("b", 2, works=None, work={"pipeline": "b"}, fields=fields)
    )
    do(queue, "a", results={"n": 7})
    assert withdraw(queue, "b")["parameters"] == {"found": [{"n": 7}] if matrix else {"n": 7}}


@pytest.mark.parametrize(
    ("name", "results", "expected"),
    [
        ("priority", 9, "The priority of a work cannot be 9. It is a whole number from 1 to 5."),
        ("site", {"a": 1}, "The site of a work cannot be {'a': 1}. It is a text that is not empty, without NUL."),
        ("timeout", -1, "The timeout of a work cannot be -1. It is a whole number from 1 to 259200."),
    ],
)
def test_a_field_that_cannot_be_what_results_say_fails_its_step(
    queue: Queue, name: str, results: object, expected: str
) -> None:
    fields = {name: "${{ pipeline.a.work.results.it }}"}
    it = deploy(queue, step("a", 1), StepDefinition("b", 2, works=None, work={"pipeline": "b"}, fields=fields))
    do(queue, "a", results={"it": results})
    assert reasons(queue, it) == {"b": expected}
    assert now(queue, it)["status"] == "failure"


def test_many_works_of_several_pipelines_may_end_in_one_transaction(queue: Queue) -> None:
    made = [deploy(queue, step("a", 1, 2), step("then", 2)) for _ in range(5)]
    held = [withdraw(queue, "a") for _ in range(10)]
    assert queue.works.update([{**each, "status": "success"} for each in reversed(held)]) == [True] * 10
    assert waiting(queue) == ["then"] * 5
    do_all(queue)
    assert {now(queue, each)["status"] for each in made} == {"success"}


def test_who_waits_for_a_pipeline_gets_how_it_has_ended(queue: Queue) -> None:
    it = deploy(queue, step("a", 1))
    (found,) = queue.pipelines.wait([it], timeout=0)
    assert found["status"] == "running"
    do(queue, "a")
    (found,) = queue.pipelines.wait([it])
    assert found["status"] == "success"
