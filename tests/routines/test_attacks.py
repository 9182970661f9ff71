"""What routines, programs and others do that they should not: told clearly, and harmful to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.routines.staff import Staff
from tests.support.postgresql import Server
from tests.support.scene import until

import clx
from clx import Queue, RoutineError
from clx.commands import SERVED
from clx.db.jobs import NewJob
from clx.db.workers import WorkerTable
from clx.routines import registry
from clx.settings.schema import PythonSettings, Settings
from clx.workers.pools import artifacts_pool
from clx.workers.supervision import restart_policy
from clx.workers.supervision.routine_workers import routines_workers

HERE = Path(__file__).parent


@pytest.fixture
def staff(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Staff]:
    """Nobody at first; a host and workers with the routines of ``rough.py`` when they are started."""
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copy(HERE / "rough.py", tmp_path)
    sys.modules.pop("rough", None)
    with Staff(queue, tmp_path, ["rough"]) as found:
        yield found
    sys.modules.pop("rough", None)  # not by monkeypatch, which would put it back


def rough() -> Any:
    import rough  # type: ignore[import-not-found]

    return rough


def lines(folder: Path) -> list[str]:
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def notes(folder: Path) -> list[str]:
    return [line.rpartition(" ")[0] for line in lines(folder)]


def is_served(staff: Staff) -> bool:
    return staff.where.endswith(SERVED)


def row(queue: Queue, type_: str, arguments: Any, **options: Any) -> NewJob:
    """A job as a program without these routines would put it in."""
    pool = artifacts_pool(queue.database.path, Settings())
    return NewJob(type_, {"arguments": arguments}, pool, **{"max_runs": 3, **options})


def failure(call: Any) -> RoutineError:
    with pytest.raises(RoutineError) as told:
        call.result()
    return told.value


@pytest.mark.parametrize("kind", ["raises", "flow_raises"])
@pytest.mark.parametrize(
    ("how", "type_", "words"),
    [
        ("surrogate", "ValueError", "lone one"), ("nul", "ValueError", "byte"), ("mute", "Mute", "cannot say"),
        ("long", "ValueError", "xxx"), ("surrogate result", "RoutineValueError", "result"),
        ("deep result", "RoutineValueError", "result"),
    ],
)  # fmt: skip
def test_the_oddest_failures_are_told(staff: Staff, how: str, type_: str, words: str, kind: str) -> None:
    staff.start(hosts=1, tasks=1)
    with clx.lifecycle(staff.queue, remote=True):
        error = failure(getattr(rough(), kind)(how))
        assert (error.type, words in error.message) == (type_, True), error.message[:200]
        assert rough().work("still").result() == "STILL"
    assert {job.run for job in staff.queue.search()} == {1}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit", "SystemExit"), ("exit below", "SystemExit"), ("interrupt below", "KeyboardInterrupt"),
        ("cancel", "CancelledError"), ("generator", "GeneratorExit"), ("task", "a \0 byte"), ("progress", "progress"),
    ],
)  # fmt: skip
def test_a_workflow_that_ends_in_an_odd_way_ends_no_host(staff: Staff, how: str, words: str) -> None:
    staff.start(hosts=1, tasks=1)

    async def both() -> RoutineError:
        beside = asyncio.create_task(rough().waits("beside", 1.0))
        await asyncio.to_thread(until, lambda: "begun beside" in notes(staff.folder))
        with pytest.raises(RoutineError) as told:
            await rough().flow_raises(how)
        assert await beside == "BESIDE"
        return told.value

    with clx.lifecycle(staff.queue, remote=True):
        assert words in str(asyncio.run(both()))
    assert staff.processes["host"][0].poll() is None
    assert {job.run for job in staff.queue.search()} == {1}


def test_a_workflow_that_fails_for_a_database_of_its_own_has_failed(staff: Staff) -> None:
    staff.start(hosts=1)
    with clx.lifecycle(staff.queue, remote=True):
        assert failure(rough().flow_raises("database")).type == "DatabaseError"


def test_memory_that_is_not_there_and_a_lock_that_is_never_let_go_end_one_run(staff: Staff) -> None:
    staff.start(tasks=1)
    queue = staff.queue
    hungry, deaf = (
        queue.enqueue(row(queue, "task:raises:1.0.0", {"how": how}, timeout=timeout))
        for how, timeout in (("memory", 30_000), ("gil", 1000))
    )
    with clx.lifecycle(queue, remote=True):
        assert rough().work("after").result() == "AFTER"
    ended = {job.id: job for job in queue.wait([hungry, deaf], timeout=60)}
    assert [(ended[each].state, ended[each].run) for each in (hungry, deaf)] == [("failed", 1)] * 2
    assert [(ended[each].error or {})["type"] for each in (hungry, deaf)] == ["MemoryError", "Timeout"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"tag": "x", "seconds": 0.0, "more": 1}, {"tag": {"$o": ["os.system", 1, {"command": "true"}]}, "seconds": 0.0},
        {"tag": {"$large": ["0" * 64, 70_000]}, "seconds": 0.0},
        {"tag": {"$large": ["../../notes", 3]}, "seconds": 0.0},
        {"tag": {"$a": ["npy", "|O", [1], "0" * 64]}, "seconds": 0.0}, {"seconds": 0.0}, [],
    ],
)  # fmt: skip
@pytest.mark.parametrize("type_", ["task:work:1.0.0", "workflow:waits"])
def test_a_forged_row_is_refused_by_name_and_nothing_of_it_runs(staff: Staff, type_: str, arguments: Any) -> None:
    staff.start(hosts=1, tasks=1)
    job = staff.queue.enqueue(row(staff.queue, type_, arguments))
    (ended,) = staff.queue.wait([job], timeout=60)
    assert (ended.state, ended.run) == ("failed", 1)
    assert (ended.error or {})["type"] in {"RoutineValueError", "UsageError", "ArtifactMissingError"}
    assert (ended.error or {})["routine"] == type_
    assert notes(staff.folder) == []


def test_a_workflow_that_blocks_its_host_for_longer_than_a_lease_keeps_it(staff: Staff) -> None:
    staff.jobs = {"lease": 2.0, "heartbeat": 0.5}
    staff.start(hosts=1, tasks=1)

    async def both() -> list[str]:
        beside = asyncio.create_task(rough().waits("beside", 0.1))
        blocking = asyncio.create_task(rough().blocks(7.0))
        return [await beside, await blocking, await rough().waits("later", 0.0)]

    with clx.lifecycle(staff.queue, remote=True):
        assert asyncio.run(both()) == ["BESIDE", "AFTER BLOCKING", "LATER"]
    assert {(job.type, job.run, job.state) for job in staff.queue.search()} == {
        (type_, 1, "succeeded") for type_ in ("workflow:blocks", "workflow:waits", "task:work:1.0.0")
    }


def test_a_host_that_is_told_to_end_hands_a_hundred_workflows_back_uncounted(staff: Staff) -> None:
    go = staff.folder / "go"
    staff.start(hosts=1, tasks=1)
    ids = staff.queue.enqueue_many(
        [row(staff.queue, "workflow:gate", {"tag": f"t{n}", "go": str(go)}) for n in range(100)]
    )
    until(lambda: len(notes(staff.folder)) == 100)
    (host,) = staff.processes["host"]
    began = time.monotonic()
    host.terminate()
    assert host.wait(20) == 0
    assert time.monotonic() - began < 5
    assert {(job.state, job.run, job.released) for job in staff.queue.get_many(ids)} == {("queued", 1, 1)}
    staff.processes["host"].clear()
    go.touch()
    staff.start(hosts=1)
    ended = staff.queue.wait(ids, timeout=60)
    assert {(job.state, job.run, job.released) for job in ended} == {("succeeded", 2, 1)}
    assert sorted(job.result["value"] for job in ended) == sorted(f"T{n}" for n in range(100))


def test_what_a_workflow_does_not_ask_for_again_is_told_in_its_result(staff: Staff) -> None:
    go = staff.folder / "go"
    staff.start(hosts=1, tasks=1)
    job = staff.queue.enqueue(row(staff.queue, "workflow:fickle", {"go": str(go)}))
    until(lambda: staff.queue.stats().get("task:work:1.0.0", {}).get("succeeded") == 1)
    staff.kill("host")
    staff.queue.rescue_worker(staff.queue.get_many([job])[0].worker_id or 0, {"kind": "gone"})
    go.touch()
    staff.start(hosts=1)
    (ended,) = staff.queue.wait([job], timeout=60)
    (_, second) = sorted(staff.queue.search(type="task:work:1.0.0"), key=lambda each: each.id)
    assert ended.result["value"] == second.result["value"]
    assert ended.result["unused"] == 1


def test_a_workflow_that_is_the_end_of_its_host_has_failed_in_the_end_and_the_others_have_not(
    staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called by another one at that, with others begun beside it each time."""
    monkeypatch.setattr(restart_policy, "pause", lambda *_: 0.05)
    queue, go = staff.queue, staff.folder / "go"
    told = msgspec.structs.replace(Settings(), python=PythonSettings(modules=("rough",), path=(str(staff.folder),)))
    group = routines_workers(queue.database, told, lambda _: None, ["rough"], 1, path=[str(staff.folder)])
    poison = queue.enqueue(row(queue, "workflow:calls_poison", {}, max_runs=2))
    alone = queue.enqueue(row(queue, "workflow:flow_raises", {"how": "kill"}, max_runs=2))
    others = queue.enqueue_many(
        [row(queue, "workflow:gate", {"tag": f"t{n}", "go": str(go)}, max_runs=2) for n in range(5)]
    )
    ends_at = time.monotonic() + 120
    try:
        while {job.state for job in queue.get_many([poison, alone])} != {"failed"}:
            assert time.monotonic() < ends_at, queue.search()
            group.tend()
            group.reconcile()
            time.sleep(0.05)
        go.touch()
        while {job.state for job in queue.get_many(others)} != {"succeeded"}:
            assert time.monotonic() < ends_at, queue.search()
            group.tend()
            group.reconcile()
            time.sleep(0.05)
        assert not group.given_up
    finally:
        group.stop(grace=5.0)
    errors = [job.error or {} for job in queue.get_many([poison, alone])]
    assert [error["type"] for error in errors] == ["WorkerKilled", "WorkerKilled"]


@pytest.mark.parametrize("queue", ["postgresql"], indirect=True)
def test_a_workflow_is_not_told_that_the_database_was_away(staff: Staff, server: Server) -> None:
    """It would take that for a failure of what it had called. A file is not away."""
    staff.jobs, staff.database = {"lease": 5.0, "heartbeat": 0.5}, {"busy_timeout": 0.5}
    go = staff.folder / "go"
    staff.start(hosts=1, tasks=1)
    job = staff.queue.enqueue(row(staff.queue, "workflow:stubborn", {"tag": "s", "go": str(go)}))
    until(lambda: "begun" in notes(staff.folder))
    server.stop()
    go.touch()
    try:
        until(lambda: "goes on later" in (staff.folder / "host.log").read_text())
    finally:
        server.start()
    (ended,) = until(lambda: patiently(lambda: staff.queue.wait([job], timeout=60)))
    assert (ended.state, ended.result["value"]) == ("succeeded", ["S0", "S1", "S2"])
    assert sorted(each for each in notes(staff.folder) if each != "begun") == ["s0", "s1", "s2"]


def patiently(ask: Callable[[], Any]) -> Any:
    """What *ask* gives; None while nobody answers."""
    try:
        return ask()
    except clx.DatabaseError:
        return None


def wanted(queue: Queue) -> int:
    return int(queue.sql("SELECT count(*) AS n FROM wants")[0]["n"])


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.005, 0.02, 0.3])
def test_a_program_that_asks_and_thinks_better_of_it_leaves_no_mark(staff: Staff, seconds: float) -> None:
    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(rough().work(f"{n}") for n in range(20))), seconds)

    with clx.lifecycle(staff.queue, remote=True):
        asyncio.run(ask())
    until(lambda: wanted(staff.queue) == 0)
    assert {job.state for job in staff.queue.search()} <= {"cancelled"}


CROWD = """
import json, os, signal, sys
import clx, rough
where, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
go, start = os.pipe()
children = []
for number in range(count):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(start)
        os.read(go, 1)  # until all are there
        with clx.lifecycle(where, remote=True):
            os.write(writing, getattr(rough, kind)("question", go=sys.argv[4]).result().encode())
        os._exit(0)
    os.close(writing)
    children.append((pid, reading))
print("asked", flush=True)
os.close(go)
os.close(start)
sys.stdin.readline()
os.kill(children[0][0], signal.SIGKILL)  # maybe the first, maybe not
answers = []
for pid, reading in children:
    answers.append(os.read(reading, 100).decode())
    os.waitpid(pid, 0)
print(json.dumps(answers))
"""


@pytest.mark.parametrize("kind", ["work", "draft"])
def test_a_hundred_programs_ask_at_once_and_it_runs_once(staff: Staff, kind: str) -> None:
    """One of them is killed while it waits."""
    count = 20 if is_served(staff) else 100  # a server has so many connections and no more
    staff.start(tasks=2)
    program = subprocess.Popen(
        [sys.executable, "-c", CROWD, staff.where, kind, str(count), str(staff.folder / "go")],
        cwd=staff.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: notes(staff.folder) and wanted(staff.queue) == count)
        threading.Timer(0.5, (staff.folder / "go").touch).start()
        said, _ = program.communicate("go\n", timeout=100)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
    answers = json.loads(said.splitlines()[-1])
    assert sorted(answers)[1:] == ["QUESTION"] * (count - 1)
    assert notes(staff.folder) == ["question"]
    assert len(staff.queue.search()) == 1


def test_a_run_goes_on_while_anybody_waits_for_it(staff: Staff) -> None:
    staff.start(tasks=1)

    async def both() -> str:
        first = asyncio.create_task(rough().draft("asked", 1.5))
        await asyncio.to_thread(until, lambda: notes(staff.folder))
        second = asyncio.create_task(rough().draft("asked", 1.5))
        await asyncio.to_thread(until, lambda: wanted(staff.queue) == 2)
        first.cancel()
        found: str = await second
        last = asyncio.create_task(rough().draft("not any more", 600.0))
        await asyncio.to_thread(until, lambda: len(notes(staff.folder)) == 2)
        last.cancel()
        return found

    with clx.lifecycle(staff.queue, remote=True):
        assert asyncio.run(both()) == "ASKED"
    until(lambda: [job.state for job in staff.queue.search()] == ["cancelled", "succeeded"])
    assert notes(staff.folder) == ["asked", "not any more"]


@pytest.mark.slow
def test_a_workflow_with_a_thousand_ended_calls_goes_on_at_once_elsewhere(staff: Staff) -> None:
    go, queue = staff.folder / "go", staff.queue
    staff.start(hosts=1, tasks=2)
    job = queue.enqueue(row(queue, "workflow:many", {"tag": "m", "n": 1000, "go": str(go)}))
    until(lambda: "all are done" in notes(staff.folder), 120)
    staff.start(hosts=1)
    hosts = staff.processes["host"]
    until(lambda: len([each for each in WorkerTable(queue.database).list() if each.type == "workflow"]) == 2)
    hosts[0].kill()
    hosts.pop(0).wait()
    go.touch()
    began = time.time()
    queue.rescue_worker(queue.get_many([job])[0].worker_id or 0, {"kind": "gone"})
    (ended,) = queue.wait([job], timeout=60)
    assert ended.state == "succeeded"
    begun = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines(staff.folder)}
    took = begun["m new"] - began
    print(f"resumed within {took:.3f} s, replayed within {begun['replayed'] - began:.3f} s")
    assert took < 3.0  # a quiet machine takes a tenth of it
    assert len(notes(staff.folder)) == 1000 + 4
