"""Lists of a long table of works come page by page, within their time, each work once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.db.works.conftest import deposit, document, end, withdraw

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.db.works import browsing
from clx.db.works.browsing import ORDERS, Filter, browse
from clx.db.works.searching import Search, conditions, place
from clx.errors import QueueError


@pytest.fixture
def filled(queue: Queue) -> Queue:
    """60 works of three pipelines in several states, among jobs that are none."""
    queue.enqueue_many([NewJob("other") for _ in range(40)])
    several = [
        document(
            "abc"[n % 3], user="me" if n % 2 else "you", site=f"s{n % 4}", event=[n // 5], group="g",
            tags=["often", "seldom"] if n % 20 == 0 else ["often"], creation=1000.0 + (n * 37) % 60,
            parameters={"night": f"night-{n // 11}"},
        )
        for n in range(60)
    ]  # fmt: skip
    deposit(queue, *several[:30])
    queue.enqueue_many([NewJob("other") for _ in range(40)])
    deposit(queue, *several[30:])
    queue.cancel(range(30, 52))
    for status in ("success", "failure", "success"):
        end(queue, {**withdraw(queue, "a"), "retries": 1}, status)
    withdraw(queue, "b")
    return queue


def every(queue: Queue, which: Filter, order: str, *, limit: int = 7, seconds: float = 5.0) -> list[str]:
    """The ids on all pages together."""
    found: list[str] = []
    after: str | None = None
    for _ in range(200):
        page = browse(queue.database, which, order=order, after=after, limit=limit, seconds=seconds)
        assert len(page.works) <= limit
        found += [work.id for work in page.works]
        if page.after is None:
            return found
        assert page.after != after
        after = page.after
    raise AssertionError("it has no end")


@pytest.mark.parametrize(
    ("which", "same"),
    [
        (Filter(), {}),
        (Filter(pipeline="a"), {"pipeline": "a"}),
        (Filter(statuses=("failure", "cancelled")), {"status": ["failure", "cancelled"]}),
        (Filter(statuses=("queued", "running")), {"status": ["queued", "running"]}),
        (Filter(statuses=("running",)), {"status": "running"}),
        (Filter(pipeline="b", statuses=("queued",)), {"pipeline": "b", "status": "queued"}),
        (Filter(statuses=("success", "failure")), {"status": ["success", "failure"]}),
        (Filter(user="me", site="s1"), {"user": "me", "site": "s1"}),
        (Filter(tag="seldom"), {"tag": "seldom"}),
        (Filter(tag="often", event="3"), {"tag": "often", "event": 3}),
        (Filter(tag="often", statuses=("cancelled",)), {"tag": "often", "status": "cancelled"}),
        (Filter(since=1010.0, until=1020.0), {"creation": (1010.0, 1020.0)}),
        (Filter(since=1010.0, group="g"), {"creation": (1010.0, None), "group": "g"}),
        (Filter(parent="none"), {"parent": "none"}),
    ],
)
def test_pages_together_have_what_a_search_has(
    filled: Queue, which: Filter, same: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing, "FEW", 10)  # as if what 60 works have were much
    for order, stretch in itertools.product(ORDERS, (2000, 3)):
        monkeypatch.setattr(browsing, "_FIRST", stretch)
        wanted = filled.works.find(Search(conditions(same), order=order, limit=None)).works
        assert every(filled, which, order) == [work.document["id"] for work in wanted], (order, stretch)


def test_pages_of_a_table_on_a_server(postgresql: str) -> None:
    with Queue.open(postgresql) as queue:
        deposit(queue, *(document("ab"[n % 2], tags=["t"], creation=1000.0 + n) for n in range(20)))
        end(queue, withdraw(queue, "a"))
        filters = (Filter(tag="t"), Filter(statuses=("queued",), pipeline="b"), Filter(since=1005, text="a"), Filter())
        for which, order in itertools.product(filters, ORDERS):
            found = every(queue, which, order, limit=3)
            assert len(found) == len(set(found)) > 9, which


def test_what_time_is_over_for_comes_with_the_next_look(filled: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "_FIRST", 10)
    page = browse(filled.database, Filter(text="night-3"), seconds=0.0)
    assert (page.works, page.is_whole) == ([], False)
    assert len(every(filled, Filter(text="night-3"), "-deposit", seconds=0.0)) == 11


def test_a_list_tells_what_a_work_is(filled: Queue) -> None:
    work = browse(filled.database, Filter(event="11", statuses=("queued",))).works[-1]
    assert (work.pipeline, work.user, work.site, work.tags, work.events, work.groups, work.status, work.attempt) == (
        "b", "me", "s3", ["often"], ["11"], ["g"], "queued", 0,
    )  # fmt: skip
    failed = browse(filled.database, Filter(statuses=("failure",))).works[0]
    assert (failed.error or {})["type"] == "WorkFailed"
    assert failed.start is not None
    assert failed.stop is not None
    assert failed.start <= failed.stop


@pytest.mark.parametrize("after", ["x", place("a", 1), place(1, 2**63 - 1), place(2**63 - 1, 1)])
def test_what_is_no_place_is_refused(queue: Queue, after: str) -> None:
    with pytest.raises(QueueError, match="no place"):
        browse(queue.database, Filter(), after=after)
    with pytest.raises(QueueError, match="listed by"):
        browse(queue.database, Filter(), order="priority")
    with pytest.raises(QueueError, match="No work is odd"):
        browse(queue.database, Filter(statuses=("odd",)))
