"""A workflow that is run again and does not call what it called before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.json import encode
from tests.routines.staff import Staff

from clx import define
from clx.db.calls.models import Call
from clx.db.jobs import NewJob, Queue
from clx.remote.stores import open_store
from clx.routines.context import ENGINE, name_of
from clx.routines.performing import arguments_of, asked_of, perform
from clx.routines.remote import Dispatcher, RemoteEngine
from clx.settings.schema import Settings
from clx.workers.pools import artifacts_pool

FICKLE = """
from clx import define


@define.workflow(name="fickle")
async def fickle() -> int:
    return 1
"""


@define.task(name="double-again", version="1.0.0")
def double(n: int) -> int:
    return 2 * n


def test_what_a_replay_has_not_asked_for_again_is_told(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "fickle.py").write_text(FICKLE, encoding="utf-8")
    pool = artifacts_pool(queue.database.path, Settings())
    job = queue.enqueue(NewJob("workflow:fickle", {"arguments": {}}, pool, max_runs=100))
    (begun,) = queue.claim(["workflow:fickle"], 1, pool=pool)
    never = Call("a" * 64, 0, NewJob("task:never:1.0.0", {"arguments": {}}), cache=False)
    queue.calls.enter((job, begun.run), [never])
    queue.release(job, begun.run)  # its host was stopped
    with Staff(queue, tmp_path, ["fickle"]) as staff:
        staff.start(hosts=1)
        result = queue.result(job, timeout=60)
    assert (result["value"], result["unused"]) == (1, 1)
    (left,) = queue.search(type="task:never:1.0.0")
    assert left.state == "cancelled"


def test_what_had_succeeded_is_answered_from_the_record_and_not_waited_for(queue: Queue, tmp_path: Path) -> None:
    files = open_store(tmp_path / "artifacts", Settings().artifacts)
    dispatcher = Dispatcher(queue, files, "", threads=1)
    job = queue.enqueue(NewJob("workflow:caller", {"arguments": {}}, max_runs=100))
    (begun,) = queue.claim(["workflow:caller"])
    done, waiting = (_called(queue, (job, begun.run), call, files) for call in (double(21), double(0)))
    (child,) = queue.claim([double.id], worker=begun.worker_id)
    queue.finish(done, child.run, Raw(perform(double, encode(child.payload), files)))

    async def replay(n: int) -> int:
        ENGINE.set(RemoteEngine(dispatcher, (job, begun.run), queue.calls.of(job), done=queue.get_many([done])))
        async with asyncio.timeout(0.5):
            return await double(n)

    async def both() -> int:
        with pytest.raises(TimeoutError):  # it is waited for: it has not ended
            await replay(0)
        dispatcher.table.ended = None  # type: ignore[method-assign, assignment]  # whoever waits now fails
        found = await replay(21)
        await dispatcher.close()
        return found

    assert asyncio.run(both()) == 42
    assert waiting != done


def _called(queue: Queue, parent: tuple[int, int], call: Any, files: Any) -> int:
    arguments = arguments_of(call, files)
    asked = asked_of(double, arguments, "", name_of(double.id, arguments), 0, nested=True)
    call.close()
    (entered,) = queue.calls.enter(parent, [asked])
    assert entered.job_id is not None
    return entered.job_id
