"""Works on the page: found by what the address says, told in full, and changed by those who may."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from tests.server.conftest import Served

from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked
from clx.server.views.bulk import in_slices

BROWSER = {"accept": "text/html"}
ROW = re.compile(r'<tr id="work-(\d+)"')


@pytest.fixture
def ids(queue: Queue) -> list[str]:
    """Works of two pipelines: 0 has failed, 1 runs, the others wait."""
    found = queue.works.deposit(
        [
            {"pipeline": "ab"[n // 6], "user": "ada" if n % 2 else "bob", "site": "kko", "tags": ["night", f"t{n}"],
             "event": [n], "group": "g", "creation": 1_700_000_000.0 + n * 86400, "retries": 1,
             "parameters": {"dm": n, "deep": {"a": [1]}}}
            for n in range(9)
        ]
    )  # fmt: skip
    first = queue.works.withdraw(Asked(("a",)))
    assert first is not None
    error = {"type": "ValueError", "message": "no header", "traceback": "Traceback\n line 7"}
    queue.works.update([{**first, "status": "failure", "error": error, "results": {"snr": 7.5}}])
    queue.works.withdraw(Asked(("a",)))
    return found


def rows(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [int(each) for each in ROW.findall(answer.text)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ("order=deposit&pipeline=a", [1, 2, 3, 4, 5, 6]),
        ("status=failure", [1]),
        ("status=failure&status=running", [2, 1]),
        ("store=buckets&pipeline=a", [6, 5, 4, 3, 2]),
        ("store=results", [1]),
        ("store=results&status=queued", []),
        ("user=ada&site=kko&group=g&pipeline=b", [8]),
        ("tag=t3", [4]),
        ("event=4", [5]),
        ("text=NIGHT+bob&pipeline=b", [9, 7]),
        ("from=2023-11-17T00:00&until=2023-11-20T00:00", [6, 5, 4]),
        ("from=2023-11-17T00:00&until=2023-11-20T00:00&order=creation", [4, 5, 6]),
        ("from=2023-11-21T00:00%2B01:00", [9, 8]),
    ],
)
def test_works_are_found_by_what_the_address_says(
    served: Served, ids: list[str], query: str, expected: list[int]
) -> None:
    assert rows(served.get(f"/works?{query}", role="read")) == expected


@pytest.mark.parametrize(
    "query",
    [
        "status=odd",
        "store=x",
        "order=priority",
        "from=yesterday",
        "until=0001-01-01T00:00",
        "after=x",
        f"tag={'x' * 501}",
    ],
)
def test_what_cannot_be_asked_is_refused(served: Served, query: str) -> None:
    answer = served.get(f"/works?{query}", headers=BROWSER)
    assert answer.status_code == 422
    assert "<main" in answer.text


def test_lists_go_on_where_they_ended(served: Served, queue: Queue) -> None:
    queue.works.deposit([{"pipeline": "p", "tags": ["t"], "creation": 1000.0 + n % 7} for n in range(120)])
    for query in ("tag=t", "order=creation", "pipeline=p&order=deposit"):
        seen: list[int] = []
        address = f"/works?{query}"
        while address:
            answer = served.get(address)
            seen += rows(answer)
            found = re.search(r'href="([^"]+)" rel="next"', answer.text)
            address = found[1].replace("&amp;", "&") if found else ""
        assert sorted(seen) == list(range(1, 121)), query


def test_works_are_counted_by_pipeline_and_columns_are_chosen(served: Served, ids: list[str]) -> None:
    text = served.get("/works").text
    assert '<a href="/works?pipeline=a&amp;status=queued">4</a>' in text
    assert '<a href="/works?pipeline=a&amp;status=failure">1</a>' in text
    assert '<a href="/works?pipeline=b&amp;status=queued">3</a>' in text
    heads = re.findall(r"<th scope=\"col\"[^>]*>([^<]+)</th>", served.get("/works?columns=why&columns=site").text)
    assert heads[-3:] == ["Work", "Site", "Why"]


def test_one_work_tells_all_of_itself(served: Served, ids: list[str], queue: Queue) -> None:
    child = queue.works.deposit([{"pipeline": "c", "parent": ids[0]}])[0]
    text = served.get(f"/works/{ids[0]}", role="read").text
    for part in (
        "ValueError: no header", "Traceback\n line 7", '<a href="/works?event=0">0</a>',
        '<a href="/works?tag=t0">t0</a>', '<a href="/works?user=bob">bob</a>', "1 of 1",
        '<th scope="row">snr</th><td>7.5</td>', '<a href="/jobs/1">',
        '<th scope="row">dm</th><td>0</td>', f'href="/works/{child}"', "Run 1",
    ):  # fmt: skip
        assert part in text, part
    assert f'<a href="/works/{ids[0]}">{ids[0]}</a>' in served.get(f"/works/{child}").text
    assert f'<a href="/works/{ids[0]}">{ids[0]}</a>' in served.get("/jobs/1").text
    queue.works.deposit([{"pipeline": "p", "id": "with/slash & more"}])
    address = "/works/one?id=with%2Fslash%20%26%20more"
    assert address in served.get("/works?pipeline=p").text
    assert "with/slash &amp; more" in served.get(address).text
    for gone in ("/works/none", "/works/one?id=x", "/works/one"):
        assert served.get(gone, headers=BROWSER).status_code == 404, gone


def test_all_that_fit_are_changed_and_no_others(served: Served, queue: Queue) -> None:
    queue.works.deposit([{"pipeline": "a", "event": n} for n in range(450)])
    locked, _ = queue.works.deposit([{"pipeline": "b", "tags": ["x"]}, {"pipeline": "b", "tags": ["needle"]}])
    body: dict[str, Any] = {"action": "cancel", "pipeline": "a", "before": None}
    changed = 0
    while True:
        told = served.post("/works/bulk", body).json()
        changed += told["changed"]
        if told["before"] is None:
            break
        body["before"] = told["before"]
    assert changed == 450
    assert queue.works.status() | {"running": 0} == {
        "queued": 2, "running": 0, "success": 0, "failure": 0, "cancelled": 450,
    }  # fmt: skip
    assert served.post("/works/bulk", {"action": "retry", "event": "7"}).json()["changed"] == 1
    assert served.post("/works/bulk", {"action": "cancel", "text": "NEEDLE"}).json()["changed"] == 1
    assert served.post("/works/bulk", {"action": "retry", "statuses": ["success"]}).json()["changed"] == 0
    assert served.post("/works/bulk", {"action": "delete", "statuses": []}).json()["changed"] == 0
    found = queue.works.get(locked)
    assert found is not None
    queue.works.update([{**found.document, "results": {"locked": True}}])
    told = served.post("/works/bulk", {"action": "delete", "pipeline": "b"}).json()
    assert (told["changed"], told["left"]) == (1, 1)
    assert served.post("/works/bulk", {"action": "delete", "ids": [1, 1, 2, 9999]}).json()["changed"] == 2
    assert sum(queue.works.status().values()) == 449


def test_changes_are_for_those_who_may(served: Served, ids: list[str]) -> None:
    for role in ("read", "work"):
        assert served.post("/works/bulk", {"action": "delete"}, role=role).status_code == 403
        for address in ("/works?pipeline=a", f"/works/{ids[0]}"):
            assert re.search(r"data-(post|bulk|chosen)|class=\"choose\"", served.get(address, role=role).text) is None
    text = served.get("/works?pipeline=a").text
    assert "Delete all that fit" in text
    assert "Delete all that fit" not in served.get("/works").text, "all works of all pipelines are not one click away"
    odd: list[dict[str, Any]] = [
        {"action": "drop"}, {"action": "cancel", "else": 1}, {"action": "cancel", "ids": [0]},
        {"action": "delete", "before": "x"}, {"action": "delete", "since": -1}, {"action": "delete", "statuses": ["x"]},
    ]  # fmt: skip
    for body in odd:
        assert served.post("/works/bulk", body).status_code == 422, body


def test_a_slow_database_is_not_held_longer_than_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("clx.server.views.bulk.time.monotonic", lambda: clock[0])
    rows = list(range(1000))

    def told(each: float) -> tuple[list[int], Any]:
        """How many are changed at once where each takes so long, and how long one call of the page takes."""
        clock[0] = 0.0
        widths: list[int] = []

        def look(before: int | None, width: int) -> tuple[list[int], int | None]:
            begin = before or 0
            widths.append(width)
            return rows[begin : begin + width], begin + width if begin + width < len(rows) else None

        def change(ids: list[int]) -> int:
            clock[0] += each * len(ids)
            return len(ids)

        assert in_slices(None, look, change).changed == min(sum(widths), len(rows))
        return widths, clock[0]

    assert told(0.0001) == ([20, 200, 200, 200, 200, 200], pytest.approx(0.1))
    widths, seconds = told(0.005)
    assert max(widths) <= 200
    assert seconds == pytest.approx(0.5, abs=0.11)
    widths, seconds = told(0.02)
    assert widths[0] == 20
    assert seconds == pytest.approx(0.5, abs=0.11)
