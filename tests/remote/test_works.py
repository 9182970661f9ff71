"""Works by a server: answers that are lost cost nothing, and what a program holds when it ends waits again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.serving import Listening

from clx.db.jobs import Queue
from clx.db.workers import WorkerTable
from clx.db.works.searching import Condition, Search
from clx.db.works.withdrawing import Asked
from clx.errors import AccessError, QueueError, ServerError, UsageError
from clx.remote.works import RemoteWorks

ASKED = Asked(("p",))
WAIT = 30.0


@pytest.fixture
def works(served: Listening) -> Iterator[RemoteWorks]:
    """The works of the server."""
    made = RemoteWorks(served.url, token=served.secrets["admin"])
    yield made
    made.close()


class Loses:
    """A connection that loses the answers of the next calls of some path, after they were done."""

    def __init__(self, works: RemoteWorks, path: str, times: int = 1) -> None:
        self._call = works._connection.call
        self._path = path
        self.left = times
        works._connection.call = self  # type: ignore[method-assign]

    def __call__(self, method: str, path: str, kind: Any, **more: Any) -> Any:
        found = self._call(method, path, kind, **more)
        if path == self._path and self.left:
            self.left -= 1
            raise ServerError("nobody answers") from ConnectionResetError("lost")
        return found


class Counts:
    """A connection that notes what is called."""

    def __init__(self, works: RemoteWorks) -> None:
        self._call = works._connection.call
        self.paths: list[str] = []
        works._connection.call = self  # type: ignore[method-assign]

    def __call__(self, method: str, path: str, kind: Any, **more: Any) -> Any:
        self.paths.append(path)
        return self._call(method, path, kind, **more)


def test_what_a_store_of_works_does(works: RemoteWorks, queue: Queue) -> None:
    ids = works.deposit([{"pipeline": "p", "event": n, "creation": 5.0} for n in range(3)])
    assert works.find(Search([Condition("event", "=", 1)])) == queue.works.find(Search([Condition("event", "=", 1)]))
    either = Condition("", "any", [[Condition("event", "=", 1)], [Condition("event", "in", {2})]])
    assert works.count(Search([either])) == 2
    assert works.get(ids[0]) == queue.works.get(ids[0])
    assert works.get("none") is None
    assert works.buckets() == works.unattended() == ["p"]
    assert works.status_by_bucket() == queue.works.status_by_bucket() == {"p": works.status("p")}
    assert works.status() == works.status("p") == queue.works.status()
    held = works.withdraw(ASKED, wait=0.001, lease=1000)
    assert held is not None
    assert works.renew(held["id"], held["run"], 50)
    assert not works.renew(held["id"], held["run"] + 1)
    assert works.update([{**held, "status": "success"}]) == [True]
    assert works.note_run(held["id"], held["run"], stdout="a", stderr="b", peak_memory=7)
    (run,) = works.runs(held["id"])
    assert (run["stderr"], run["peak_memory"]) == ("ab", 7)
    assert works.cancel(ids) == ids[1:]
    assert works.retry(ids[1:]) == ids[1:]
    assert works.wait(ids[:1], WAIT) == [queue.works.get(ids[0])]
    assert works.delete(ids[1:], store="results") == []
    assert works.delete(ids) == ids
    assert works.results() == {}
    with pytest.raises(QueueError):
        works.find(Search(order="colour"))


def test_pages_as_large_as_they_are_wanted(works: RemoteWorks, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.remote.works._PAGE", 3)
    monkeypatch.setattr("clx.remote.works._AT_ONCE", 4)
    ids = works.deposit({"pipeline": "p", "event": n} for n in range(10))
    assert len(ids) == 10
    everything = works.find(Search(order="deposit", limit=None, skip=1))
    assert ([each.document["id"] for each in everything.works], everything.after) == (ids[1:], None)
    some = works.find(Search(order="deposit", limit=5))
    assert [each.document["id"] for each in some.works] == ids[:5]
    assert works.find(Search(order="deposit", limit=5, after=some.after)).works == everything.works[4:]


def test_works_that_are_alike_are_as_many_as_there_are_in_however_many_parts_they_are_sent(
    works: RemoteWorks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clx.remote.works._AT_ONCE", 2)
    alike, other = {"pipeline": "p", "creation": 7.0}, {"pipeline": "q", "creation": 7.0}
    ids = works.deposit([alike, other, alike, alike, other])
    assert len(set(ids)) == 5
    assert works.deposit([alike, other, alike, alike, other]) == ids


def test_a_deposit_whose_answer_was_lost_is_made_once(works: RemoteWorks, queue: Queue) -> None:
    works.buckets()  # it has answered: it is worth asking again
    loses = Loses(works, "/works", 2)
    ids = works.deposit([{"pipeline": "p", "creation": 7.0}])
    assert loses.left == 0
    assert [each.document["id"] for each in queue.works.find(Search()).works] == ids
    Loses(works, "/works")
    with pytest.raises(ServerError):
        works.deposit([{"pipeline": "p"}])  # nothing tells it from another


def test_a_withdrawal_whose_answer_was_lost_is_made_once(works: RemoteWorks, queue: Queue) -> None:
    ids = works.deposit([{"pipeline": "p", "event": n} for n in range(3)])
    first = works.withdraw(ASKED)
    Loses(works, "/works/withdraw")
    second = works.withdraw(ASKED)
    assert first is not None
    assert second is not None
    assert [first["id"], second["id"]] == ids[:2]
    assert queue.works.count(Search([Condition("status", "=", "running")])) == 2


@pytest.mark.parametrize("status", ["success", "failure", "queued", "cancelled", "running"])
def test_an_update_whose_answer_was_lost_is_taken(works: RemoteWorks, queue: Queue, status: str) -> None:
    works.deposit([{"pipeline": "p", "retries": 3}])
    held = works.withdraw(ASKED)
    assert held is not None
    Loses(works, "/works/update")
    assert works.update([{**held, "status": status, "results": {"a": 1}}]) == [True]
    found = queue.works.get(held["id"])
    assert found is not None
    assert found.document["results"] == {"a": 1}


def test_who_was_struck_off_withdraws_as_another(works: RemoteWorks, queue: Queue) -> None:
    works.deposit([{"pipeline": "p", "event": n} for n in range(2)])
    assert works.withdraw(ASKED) is not None
    for worker in WorkerTable(queue.database).list():
        WorkerTable(queue.database).end(worker.id, "silent", dead=True)
    assert works.withdraw(ASKED) is not None


def test_who_waits_is_woken_by_a_deposit(works: RemoteWorks, queue: Queue) -> None:
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(works.withdraw(ASKED, wait=WAIT)))
    waiting.start()
    (made,) = queue.works.deposit([{"pipeline": "p"}])
    waiting.join(WAIT)
    assert [each["id"] for each in found] == [made]


def test_threads_have_what_each_withdraws(works: RemoteWorks, queue: Queue) -> None:
    works.deposit({"pipeline": "p", "event": n} for n in range(40))
    found: list[str] = []

    def take() -> None:
        while (held := works.withdraw(ASKED)) is not None:
            assert works.update([{**held, "status": "success"}]) == [True]
            found.append(held["id"])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert len(found) == len(set(found)) == 40
    assert queue.works.status()["success"] == 40


def test_what_is_held_waits_again_when_it_is_closed(served: Listening, queue: Queue) -> None:
    works = RemoteWorks(served.url, token=served.secrets["work"])
    works.deposit([{"pipeline": "p"}])
    assert works.withdraw(ASKED) is not None
    works.close()
    assert queue.works.status()["queued"] == 1
    assert works.withdraw(ASKED) is not None  # it may be used again
    works.close()


def test_what_a_program_holds_when_it_ends_waits_again_at_once(served: Listening, queue: Queue) -> None:
    code = "from clx import Work\nWork('p').deposit(); assert Work.withdraw('p').run == 1\n"
    environment = {**os.environ, "CLX_WORK__URL": served.url, "CLX_WORK__TOKEN": served.secrets["work"]}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert queue.works.status()["queued"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_child_has_connections_of_its_own(works: RemoteWorks, queue: Queue) -> None:
    works.deposit([{"pipeline": "p", "event": n} for n in range(2)])
    mine = works.withdraw(ASKED)
    assert mine is not None
    code = os.EX_OK
    child = os.fork()
    if not child:
        try:
            held = works.withdraw(ASKED)
            assert held is not None
            assert works.update([{**held, "status": "success"}]) == [True]
            works.close()
        except BaseException:
            code = os.EX_SOFTWARE
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert queue.works.status()["running"] == 1  # what the parent holds is not the child's to hand back
    assert works.update([{**mine, "status": "success"}]) == [True]


def test_errors_are_those_of_a_table_and_of_a_server(served: Listening, works: RemoteWorks) -> None:
    with pytest.raises(QueueError, match="priority"):
        works.deposit([{"pipeline": "p", "priority": 9}])
    with pytest.raises(QueueError):
        works.withdraw(ASKED, lease=-1)
    with pytest.raises(AccessError):
        RemoteWorks(served.url, token=served.secrets["read"]).deposit([{"pipeline": "p"}])
    with pytest.raises(UsageError):
        RemoteWorks("http://elsewhere.example:80", token="clx_secret")
    with pytest.raises(ServerError, match="does not answer"):
        RemoteWorks("http://127.0.0.1:9", token="").deposit([{"pipeline": "p", "creation": 1.0}])


def test_an_update_tells_in_its_own_answer_what_has_become_of_it(works: RemoteWorks, queue: Queue) -> None:
    works.deposit([{"pipeline": "p", "creation": 1.0, "retries": 2}])
    held = works.withdraw(Asked(("p",)))
    assert held is not None
    asked = Counts(works)
    found = works.updated({**held, "status": "failure"})
    assert asked.paths == ["/works/update"]
    assert found == queue.works.get(held["id"])
    assert found is not None
    assert (found.document["status"], found.document["attempt"]) == ("queued", 1)
    assert works.updated({**held, "status": "success"}) is None, "it was given up on"


def test_what_became_of_an_update_whose_answer_was_lost_is_asked_for(works: RemoteWorks, queue: Queue) -> None:
    works.deposit([{"pipeline": "p", "creation": 1.0}])
    held = works.withdraw(Asked(("p",)))
    assert held is not None
    Loses(works, "/works/update")
    found = works.updated({**held, "status": "success", "results": {"sum": 3}})
    assert found == queue.works.get(held["id"])
    assert found is not None
    assert found.document["results"] == {"sum": 3}


def test_an_update_and_the_next_withdrawal_are_one_call(works: RemoteWorks, queue: Queue) -> None:
    ids = works.deposit([{"pipeline": "p", "event": n} for n in range(3)])
    first = works.withdraw(ASKED)
    assert first is not None
    counts = Counts(works)
    taken, second = works.exchange({**first, "status": "success"}, ASKED, lease=50)
    assert (taken, counts.paths) == (True, ["/works/exchange"])
    assert second is not None
    assert (first["id"], second["id"]) == (ids[0], ids[1])
    assert queue.works.status()["success"] == 1
    assert works.exchange({**first, "status": "failure"}, Asked(("q",))) == (False, None)
    works.close()  # what it knows that it holds is handed back
    assert queue.works.status()["queued"] == 2


@pytest.mark.parametrize("status", ["success", "failure", "queued", "cancelled"])
def test_an_exchange_whose_answer_was_lost_is_made_once(works: RemoteWorks, queue: Queue, status: str) -> None:
    ids = works.deposit([{"pipeline": "p", "event": n, "retries": 1} for n in range(4)])
    first = works.withdraw(Asked(("p",), event=(0,)))
    other = works.withdraw(Asked(("p",), event=(1,)))
    assert first is not None
    assert other is not None
    loses = Loses(works, "/works/exchange", 2)
    taken, second = works.exchange({**first, "status": status}, Asked(("p",), event=(2, 3)))
    assert (loses.left, taken) == (0, True)
    assert second is not None
    assert second["id"] == ids[2]
    now = queue.works.status()
    assert now["running"] == 2
    assert now[status] == 1 + (status == "queued")


def test_an_exchange_of_a_worker_that_was_struck_off_is_an_update(works: RemoteWorks, queue: Queue) -> None:
    works.deposit([{"pipeline": "p", "event": n} for n in range(2)])
    first = works.withdraw(ASKED)
    assert first is not None
    for each in WorkerTable(queue.database).list():
        WorkerTable(queue.database).end(each.id, "silent", dead=True)
    taken, second = works.exchange({**first, "status": "success"}, ASKED)
    assert (taken, second) == (True, None)
    assert works.withdraw(ASKED) is not None


def test_numbers_of_any_size_are_searched_at_a_server(works: RemoteWorks) -> None:
    numbers = [2**63, 2**64 - 1, 2**64, 2**64 + 1, -(2**63) - 1, 10**30]
    ids = works.deposit([{"pipeline": "p", "parameters": {"n": each}} for each in numbers])
    for work_id, number in zip(ids, numbers, strict=True):
        found = works.find(Search([Condition("parameters.n", "=", number)])).works
        assert [each.document["id"] for each in found] == [work_id]
    assert works.count(Search([Condition("parameters.n", ">", 2**63)])) == 4
