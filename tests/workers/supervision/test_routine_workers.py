"""Workers for tasks that a program starts for itself: they serve, are replaced, and end with it."""

from __future__ import annotations

from pathlib import Path

import psutil
from tests.support.scene import until

from clx.db.jobs import NewJob, Queue
from clx.settings.schema import Settings
from clx.workers.supervision.restart_policy import RestartingGroup
from clx.workers.supervision.routine_workers import routines_workers


def tended(group: RestartingGroup) -> bool:
    group.tend()
    group.reconcile()
    return all(each.worker_id is not None for each in group.members) and len(group.members) == sum(
        each.count for each in group.wanted.values()
    )


def test_a_group_serves_and_replaces_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        'from clx import define\n\n@define.task(name="add", version="1.0.0", cache=False)\n'
        "def add(a: int) -> int:\n    return a + 1\n"
    )
    said: list[str] = []
    with Queue.open(tmp_path / "jobs.db") as queue:
        group = routines_workers(queue.database, Settings(), said.append, ["shop"], 2, hosts=0, path=[str(tmp_path)])
        until(lambda: tended(group))
        job = queue.enqueue(NewJob("task:add:1.0.0", {"arguments": {"a": 1}}, max_runs=3))
        (done,) = queue.wait([job], timeout=60)
        assert done.result["value"] == 2
        victim = group.members[0]
        psutil.Process(group.table.get(victim.worker_id or 0).pid).kill()  # type: ignore[union-attr]
        until(lambda: tended(group) and victim not in group.members)
        assert said == ["A python worker died (SIGKILL); it had no job."]
        pids = [row.pid for row in group.table.list()]
        group.stop(grace=5.0)
        assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_what_cannot_be_imported_is_given_up_at_once(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("1 / 0\n")
    with Queue.open(tmp_path / "jobs.db") as queue:
        group = routines_workers(queue.database, Settings(), print, ["shop"], 1, hosts=0, path=[str(tmp_path)])
        until(lambda: tended(group) or group.given_up)
        ((fact, next_step),) = group.given_up.values()
        assert fact == f"shop cannot be imported: ZeroDivisionError: division by zero ({tmp_path}/shop.py, line 1)."
        assert next_step == f"Correct {tmp_path}/shop.py, line 1."
        group.stop(grace=1.0)
