"""Who withdraws gets the first work, in claim order, that is asked for and that he understands; nobody else does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.db.works.conftest import deposit, document, end, nothing, now, withdraw
from tests.support.clock import SetClock

from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked
from clx.errors import QueueError


def test_the_highest_priority_comes_first_then_the_oldest(queue: Queue) -> None:
    made = deposit(queue, document(priority=1), document(), document("q", priority=5), document())
    order = [withdraw(queue, "p", "q")["id"] for _ in range(4)]
    assert order == [made[2], made[1], made[3], made[0]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"site": "aro"}, 1),
        ({"user": "me"}, 2),
        ({"priority": 1}, 3),
        ({"event": (7,)}, 4),
        ({"event": (1, 8)}, 4),
        ({"tags": ("x", "y")}, 5),
        ({"parent": ("pipe",)}, 6),
        ({"parent": ("other", "config")}, 7),
        ({"tags": ("b",), "site": "kko"}, 8),
    ],
)
def test_each_filter_finds_its_own(queue: Queue, asked: dict[str, Any], expected: int) -> None:
    made = deposit(
        queue,
        document(site="far"),
        document(site="aro"),
        document(user="me"),
        document(priority=1),
        document(event=[7, 8]),
        document(tags=["y"]),
        document(parent="pipe"),
        document(config={"parent": "config"}),
        document(tags=["a", "b"], site="kko"),
    )
    assert withdraw(queue, **asked)["id"] == made[expected]
    assert nothing(queue, **{**asked, "site": "nowhere"})


def test_what_is_not_understood_is_left_for_others(queue: Queue) -> None:
    strange = deposit(queue, *[document(config=None) for _ in range(40)])
    (plain,) = deposit(queue, document(config={}))

    def accepts(work: dict[str, Any]) -> bool:
        return work["config"] is not None

    found = queue.works.withdraw(Asked(("p",)), accepts=accepts)
    assert found is not None
    assert found["id"] == plain
    assert queue.works.withdraw(Asked(("p",)), accepts=accepts) is None
    assert now(queue, strange[0])["status"] == "queued"
    assert withdraw(queue)["id"] == strange[0]


def test_a_paused_pipeline_gives_nothing_out(queue: Queue) -> None:
    deposit(queue, document(tags=["x"]))
    queue.pause("work:p")
    assert nothing(queue)
    assert nothing(queue, tags=("x",))
    queue.resume("work:p")
    assert withdraw(queue, tags=("x",))["tags"] == ["x"]


def test_those_who_withdraw_at_once_get_different_ones(open_queue: Callable[[], Queue]) -> None:
    queues = [open_queue() for _ in range(4)]
    deposit(queues[0], *[document(tags=["even" if n % 2 else "odd"]) for n in range(80)])
    taken: list[str] = []

    def take(queue: Queue, asked: Asked) -> None:
        while (found := queue.works.withdraw(asked)) is not None:
            taken.append(found["id"])
            assert end(queue, found)

    wanted = [Asked(("p",)), Asked(("p",), tags=("odd",)), Asked(("p",), tags=("even",)), Asked(("p", "q"))]
    threads = [threading.Thread(target=take, args=each) for each in zip(queues, wanted, strict=True)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert len(taken) == len(set(taken)) == 80
    assert queues[0].works.status()["success"] == 80


def test_a_lease_may_be_another_than_the_timeout(queue: Queue) -> None:
    (work_id,) = deposit(queue)
    queue.works.withdraw(Asked(("p",)), lease=5)
    found = queue.works.get(work_id)
    assert found is not None
    job = queue.get(found.job_id)
    assert job is not None
    assert job.lease_until is not None
    assert job.started_at is not None
    assert job.lease_until - job.started_at == 5000


def test_who_waits_gets_what_is_deposited_meanwhile(open_queue: Callable[[], Queue]) -> None:
    waiting, depositing = open_queue(), open_queue()
    found: list[Any] = []
    asked = Asked(("p",), tags=("x",))
    threads = [threading.Thread(target=lambda: found.append(waiting.works.withdraw(asked, wait=60)))]
    threads[0].start()
    deposit(depositing, document(tags=["y"]))
    (work_id,) = deposit(depositing, document(tags=["x"]))
    threads[0].join(60)
    assert [each["id"] for each in found] == [work_id]


def test_a_wait_ends_without_one(queue: Queue) -> None:
    deposit(queue, document(tags=["y"]))
    assert queue.works.withdraw(Asked(("p",), tags=("x",)), wait=0.01) is None


@pytest.mark.parametrize("asked", [{"wait": "1"}, {"lease": 0}, {"lease": float("nan")}, {"lease": "5"}])
def test_times_are_numbers(queue: Queue, asked: dict[str, Any]) -> None:
    with pytest.raises(QueueError):
        queue.works.withdraw(Asked(("p",)), **asked)


def test_a_lease_is_renewed_by_who_holds_it(queue: Queue) -> None:
    deposit(queue)
    held = queue.works.withdraw(Asked(("p",)), lease=5)
    assert held is not None
    assert queue.works.renew(held["id"], held["run"], 3000)
    found = queue.works.get(held["id"])
    assert found is not None
    job = queue.get(found.job_id)
    assert job is not None
    assert job.lease_until is not None
    assert job.lease_until - queue.database.clock.now() > 2_000_000
    assert not queue.works.renew(held["id"], held["run"] + 1)
    assert not queue.works.renew("none", 1)
    assert end(queue, held)
    assert not queue.works.renew(held["id"], held["run"])


def test_who_renews_hears_of_a_cancel(queue: Queue) -> None:
    deposit(queue)
    held = withdraw(queue)
    queue.works.cancel([held["id"]])
    assert not queue.works.renew(held["id"], held["run"])
    assert end(queue, held, "cancelled")
    assert now(queue, held["id"])["status"] == "cancelled"


def test_works_of_the_silent_do_not_wait_for_a_backlog_to_end(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    made = deposit(queue, document(priority=5), *[document() for _ in range(3)])
    moment = queue.database.clock.now()
    queue.works.withdraw(Asked(("p",)), lease=1)
    withdraw(queue)
    monkeypatch.setattr(queue.database, "clock", SetClock(moment + 2_000))
    monkeypatch.setattr(type(queue), "is_rescue_due", True)
    taken = [withdraw(queue)["id"] for _ in range(2)]
    assert made[0] in taken


def test_what_an_attempt_said_is_kept_bounded(queue: Queue) -> None:
    deposit(queue)
    held = withdraw(queue)
    assert not queue.works.note_run(held["id"], held["run"], stdout="early")
    assert end(queue, held)
    assert queue.works.note_run(held["id"], held["run"], stdout="begin\0", stderr="x" * 100_000 + "end", peak_memory=7)
    (run,) = queue.works.runs(held["id"])
    assert run["stderr"].startswith("begin\ufffd")
    assert run["stderr"].endswith("end")
    assert "characters were left out" in run["stderr"]
    assert len(run["stderr"]) < 70_000
    assert run["peak_memory"] == 7
    assert not queue.works.note_run("none", 1, stdout="x")


def test_an_update_tells_what_its_attempt_said(queue: Queue) -> None:
    deposit(queue, document(retries=1), document(retries=1), document(retries=1))
    for status, said, kept in (
        ("success", {"output": "well", "peak_memory": 5}, ("well", 5)),
        ("failure", {"output": "badly\0"}, ("badly\ufffd", None)),
        ("failure", {"output": {"odd": 1}, "peak_memory": "much"}, (None, None)),
    ):
        held = withdraw(queue)
        assert end(queue, held, status, _said=said, stderr={"of": "others"})
        (run,) = queue.works.runs(held["id"])
        assert (run["stderr"], run["peak_memory"]) == kept
        assert "_said" not in now(queue, held["id"])
        assert now(queue, held["id"])["stderr"] == {"of": "others"}
