"""Works withdrawn, updated and tried again on two connections at once, each held up before every statement.

Whatever came of it must be what some order of the two, one after the other, leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.clock import at
from tests.support.interleaving import Scene, in_any_order

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.works.models import Document
from clx.db.works.withdrawing import Asked

RUNNING, WAITING, FAILED, ENDED = "running", "waiting", "failed", "ended"
"""Ids: one that the first worker holds; one that waits; one that has failed, with an attempt left; a success."""
_AGAIN = {"pipeline": "new", "creation": 5.0, "user": "u", "parameters": {"a": 1}}


def _held(**changed: Any) -> Document:
    return {"pipeline": "p", "id": RUNNING, "tags": ["x"], "retries": 2, "attempt": 1, "run": 1, **changed}


def _told(work_id: str, attempt: int, **changed: Any) -> Document:
    """As a client sends it that knows of no runs."""
    return {"pipeline": "p", "id": work_id, "tags": ["y"], "retries": 2, "attempt": attempt, **changed}


_STEPS: dict[str, Callable[[Queue], Any]] = {
    "withdraw": lambda queue: at(queue.works, 50).withdraw(Asked(("p",)), worker=2),
    "withdraw by tag": lambda queue: at(queue.works, 50).withdraw(Asked(("p",), tags=("x",)), worker=2),
    "withdraw understood": lambda queue: at(queue.works, 50).withdraw(
        Asked(("p", "q")), worker=2, accepts=lambda work: "retries" in work
    ),
    "succeed": lambda queue: at(queue.works, 50).update([_held(status="success", results={"held": 1})]),
    "fail": lambda queue: at(queue.works, 50).update([_held(status="failure")]),
    "fail for now": lambda queue: at(queue.works, 50).update([_held(status="failure")], again=False),
    "hand back": lambda queue: at(queue.works, 50).update([_held(status="queued")]),
    "renew": lambda queue: at(queue.works, 50).update([_held(status="running", tags=["x", "z"])]),
    "edit all": lambda queue: at(queue.works, 50).update(
        [
            _told(ENDED, 1, status="success", tags=["n"]),
            _told(RUNNING, 1, status="running"),
            _told(WAITING, 0, status="queued", priority=5),
        ]
    ),
    "end elsewhere": lambda queue: at(queue.works, 50).update([_told(WAITING, 0, status="success")]),
    "retry": lambda queue: at(queue.works, 50).retry([FAILED, RUNNING]),
    "cancel": lambda queue: at(queue.works, 50).cancel([WAITING, RUNNING]),
    "delete": lambda queue: at(queue.works, 50).delete([RUNNING, WAITING, ENDED]),
    "rescue": lambda queue: at(queue, 500).rescue(),
    "audit failed": lambda queue: at(queue.works, 50).audit("failed"),
    "audit expired": lambda queue: at(queue.works, 5_000_000).audit("expired"),
    "move on": lambda queue: at(queue.works, 50).move_on(),
    "results": lambda queue: at(queue.works, 50).enter_results([_told(ENDED, 1, status="success")]),
    "deposit": lambda queue: at(queue.works, 50).deposit([_AGAIN]),
    "deposit two": lambda queue: at(queue.works, 50).deposit([_AGAIN, _AGAIN]),
    "finish": lambda queue: at(queue, 50).finish(1, 1),
}


def _prepare(queue: Queue) -> None:
    from clx.db.workers import register_this_process

    for _ in range(2):
        register_this_process(queue.database, "work:p")
    works = at(queue.works, 1)
    plain = {"pipeline": "p", "retries": 2}
    works.deposit([{**plain, "id": RUNNING, "tags": ["x"], "priority": 5}])
    assert works.withdraw(Asked(("p",)), worker=1, lease=100) is not None
    for work_id, status in ((FAILED, "failure"), (ENDED, "success")):
        works.deposit([{**plain, "id": work_id, "priority": 5}])
        found = works.withdraw(Asked(("p",)), worker=1, lease=10**9)
        assert found is not None
        assert works.update([{**found, "status": status}], again=False) == [True]
    works.deposit([{**plain, "id": WAITING, "tags": ["x"]}])


@pytest.fixture
def scene(postgresql: str) -> Iterator[Scene]:
    with Scene(postgresql, _STEPS, _prepare) as found:
        yield found


_RULES = {
    "labels are not those of the document": """SELECT w.id FROM clx.works w WHERE
      (SELECT string_agg(l.value, ',' ORDER BY l.value) FROM clx.work_labels l
       WHERE l.job_id = w.job_id AND l.kind = 'tag') IS DISTINCT FROM
      (SELECT string_agg(tag, ',' ORDER BY tag) FROM json_array_elements_text(CAST(w.document AS json) -> 'tags')
       AS t (tag))""",
    "a run was no attempt": """SELECT w.id FROM clx.works w JOIN clx.jobs j ON j.id = w.job_id
      WHERE w.attempt < j.run - j.released""",
    "a deposit was made twice": """SELECT max(id) FROM clx.works WHERE pipeline = 'new' HAVING count(*) > 2""",
    "more runs are left than attempts": """SELECT w.id FROM clx.works w JOIN clx.jobs j ON j.id = w.job_id
      WHERE j.state IN ('queued', 'running')
      AND j.max_runs - (j.run - j.released) > greatest(w.retries - w.attempt, 1)""",
}


def _wrong(scene: Scene) -> list[str]:
    """What is not as any order of two steps would leave it."""
    problems = check(scene.one.database)
    return problems + [f"{rule}: {rows}" for rule, query in _RULES.items() if (rows := scene.found(query))]


@pytest.mark.parametrize("first", _STEPS)
def test_any_two_steps_in_any_order(scene: Scene, first: str) -> None:
    in_any_order(scene, _STEPS, first, lambda _second: _wrong(scene), share=5, least=1)


def test_the_same_deposit_at_once_is_one(scene: Scene) -> None:
    for first, second, expected in (("deposit", "deposit", 1), ("deposit two", "deposit", 2)):
        for before in range(2, 9):
            scene.run(first, second, before)
            ((count,),) = scene.found("SELECT count(*) FROM clx.works WHERE pipeline = 'new'")
            assert count in ({expected} if first == second else {2, 3}), (first, before)


def test_two_who_withdraw_at_once_get_different_ones(scene: Scene) -> None:
    for first in ("withdraw", "withdraw by tag", "withdraw understood"):
        for before in range(2, 12):
            scene.run(first, "withdraw by tag", before)
            rows = scene.found(
                f"SELECT run FROM clx.jobs j JOIN clx.works w ON w.job_id = j.id WHERE w.id = '{WAITING}'"
            )
            assert rows == [(1,)]


def test_who_was_given_up_on_changes_nothing_whenever_it_comes(scene: Scene) -> None:
    def lose(queue: Queue) -> None:
        at(queue, 500).rescue()
        found = at(queue.works, 500).withdraw(Asked(("p",), tags=("x",)), worker=2)
        assert found is not None

    _STEPS["lose"] = lose
    try:
        for before in range(1, 12):
            scene.run("succeed", "lose", before)
            state, run, document = scene.found(
                "SELECT j.state, j.run, w.document FROM clx.works w JOIN clx.jobs j ON j.id = w.job_id "
                f"WHERE w.id = '{RUNNING}'"
            )[0]
            assert (state, run) in {("succeeded", 1), ("running", 2)}
            assert ("held" in document) is (state == "succeeded")
    finally:
        del _STEPS["lose"]
