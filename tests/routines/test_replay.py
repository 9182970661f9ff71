"""A workflow that is run again and does not call what it called before."""

from __future__ import annotations

from pathlib import Path

from tests.routines.staff import Staff

from clx.db.calls.models import Call
from clx.db.jobs import NewJob, Queue
from clx.settings.schema import Settings
from clx.workers.pools import artifacts_pool

FICKLE = """
from clx import define


@define.workflow(name="fickle")
async def fickle() -> int:
    return 1
"""


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
