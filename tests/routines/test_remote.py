"""Routines as jobs: the same results as here, whoever dies, however deep, however many."""

from __future__ import annotations

import asyncio
import linecache
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.routines.staff import Staff

import clx
from clx import Queue, RoutineError, define
from clx.routines import registry, remote, sources

SHOP = """
import asyncio
import logging
import os
import time
from asyncio import gather
from dataclasses import dataclass

import clx
from clx import define


@dataclass
class Model:
    lr: float
    loss: float


@define.task(name="load", version="0.0.1")
def load(path: str) -> list[float]:
    note("load")
    return [1.0, 2.0, 3.0]


@define.task(name="train", version="0.0.1", timeout=600, max_runs=3)
def train(data: list[float], epochs: int, lr: float) -> Model:
    note("train")
    return Model(lr, sum(data) * lr * epochs)


@define.task(name="best", version="0.0.1")
async def best(models: list[Model]) -> Model:
    note("best")
    return min(models, key=lambda model: model.loss)


@define.workflow(name="search")
async def search(path: str) -> Model:
    data = await load(path)
    models = await gather(*(train(data, 100, lr) for lr in (0.1, 0.01, 0.001)))
    return await best(list(models))


@define.task(name="inc", version="1.0.0")
def inc(x: int) -> int:
    note("inc")
    return x + 1


@define.task(name="slow", version="1.0.0-dev")
def slow(seconds: float) -> float:
    note("slow")
    time.sleep(seconds)
    return seconds


@define.task(name="fail", version="1.0.0")
def fail(what: str) -> None:
    note("fail")
    raise ValueError(what)


@define.workflow(name="deep")
async def deep(n: int) -> int:
    return 0 if n == 0 else 1 + await deep(n - 1)


@define.workflow(name="fan")
async def fan(n: int, start: int = 0) -> int:
    return sum(await gather(*(inc(start + i) for i in range(n))))


@define.workflow(name="caught")
async def caught() -> list[str]:
    try:
        await fail("bad")
    except ValueError as error:
        return [type(error).__name__, str(error).splitlines()[0]]
    return []


@define.workflow(name="leaves")
async def leaves() -> str:
    left = asyncio.create_task(slow(600.0))
    await inc(1)
    del left
    return "done"


@define.workflow(name="waits")
async def waits(seconds: float) -> float:
    return await slow(seconds)


@define.workflow(name="chatty")
async def chatty(name: str) -> None:
    for n in range(3):
        print(name, "says", n)
        await slow(0.01)
    logging.getLogger("shop").warning("%s logs", name)
    if name == "second":
        inc(1)
        raise ValueError("enough")


@define.workflow(name="recorded")
async def recorded() -> list[int]:
    first = await define.record("pid", os.getpid)
    await slow(1.5)
    return [first, os.getpid()]


def note(what):
    with open(os.path.join(os.path.dirname(__file__), "runs"), "a") as stream:
        stream.write(what + "\\n")
"""


@pytest.fixture
def staff(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Staff]:
    """Nobody at first; a host and workers with the routines of ``shop.py`` when they are started."""
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.setattr(sources, "_told", set())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shop.py").write_text(SHOP)
    sys.modules.pop("shop", None)
    with Staff(queue, tmp_path, ["shop"]) as found:
        yield found
    sys.modules.pop("shop", None)  # not by monkeypatch, which would put it back


def shop() -> Any:
    import shop  # type: ignore[import-not-found]

    return shop


def runs(folder: Path) -> list[str]:
    path = folder / "runs"
    return path.read_text().split() if path.exists() else []


def until(is_so: Callable[[], Any], seconds: float = 60.0) -> Any:
    ends_at = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    return found


def test_the_sample_runs_here_and_on_workers_with_one_result(staff: Staff, queue: Queue, tmp_path: Path) -> None:
    here = shop().search("x").result()
    staff.start(hosts=1, tasks=1)
    with clx.lifecycle(queue, remote=True):
        there = shop().search("x").result()
        assert (type(there), there) == (type(here), here)
        before = len(runs(tmp_path))
        assert shop().search("x").result() == here
    assert len(runs(tmp_path)) == before  # all of it was known


def test_one_worker_does_a_deep_tree_and_a_wide_one(staff: Staff, queue: Queue) -> None:
    staff.start(hosts=1, tasks=1)
    with clx.lifecycle(queue, remote=True):
        assert shop().deep(50).result() == 50
        assert shop().fan(1000).result() == 500_500


def test_a_second_root_runs_beside_the_first(staff: Staff, queue: Queue) -> None:
    staff.start(hosts=1, tasks=2)

    async def both() -> list[Any]:
        first = asyncio.create_task(shop().waits(3.0))
        second = await shop().fan(3)
        assert not first.done()
        return [await first, second]

    with clx.lifecycle(queue, remote=True):
        assert asyncio.run(both()) == [3.0, 6]


def test_a_failure_is_raised_where_the_routine_is_awaited(staff: Staff, queue: Queue, tmp_path: Path) -> None:
    staff.start(hosts=1, tasks=1)
    with clx.lifecycle(queue, remote=True):
        assert shop().caught().result() == ["ValueError", "task:fail:1.0.0 failed: ValueError: bad"]
        with pytest.raises(ValueError, match="oh") as told:
            shop().fail("oh").result()
    assert isinstance(told.value, RoutineError)
    assert told.value.job_id is not None
    assert "raise ValueError(what)" in told.value.traceback
    assert runs(tmp_path) == ["fail", "fail"]  # an exception is final where nothing else was said


def test_what_a_workflow_leaves_behind_is_cancelled_with_its_end(staff: Staff, queue: Queue) -> None:
    staff.start(hosts=1, tasks=2)
    with clx.lifecycle(queue, remote=True):
        assert shop().leaves().result() == "done"
    until(lambda: queue.stats().get("task:slow:1.0.0-dev") == {"cancelled": 1})


def test_cancelling_a_workflow_cancels_its_tree(staff: Staff, queue: Queue) -> None:
    staff.start(hosts=1, tasks=1)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(shop().waits(600.0), 2.0)

    with clx.lifecycle(queue, remote=True):
        asyncio.run(give_up())
    (parent,) = queue.search(type="workflow:waits")
    queue.cancel([parent.id])
    until(lambda: {job.state for job in queue.search()} == {"cancelled"})


def test_a_host_that_dies_loses_nothing(staff: Staff, queue: Queue, tmp_path: Path) -> None:
    staff.start(hosts=1, tasks=1)

    async def killed() -> Any:
        call = asyncio.create_task(shop().recorded())
        await asyncio.to_thread(until, lambda: "slow" in runs(tmp_path))
        staff.kill("host")
        staff.start(hosts=1)
        return await call

    with clx.lifecycle(queue, remote=True):
        first, second = asyncio.run(killed())
    assert first != second
    assert runs(tmp_path) == ["slow"]


def test_a_program_that_dies_leaves_the_work_to_the_next(staff: Staff, queue: Queue, tmp_path: Path) -> None:
    staff.start(hosts=1, tasks=1)
    pid = os.fork()
    if pid == 0:
        lines = (
            "import clx, shop",
            f"with clx.lifecycle({staff.where!r}, remote=True):",
            "    shop.slow(2.0).result()",
        )
        program = "\n".join(lines)
        os.execv(sys.executable, [sys.executable, "-c", program])
    until(lambda: "slow" in runs(tmp_path))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with clx.lifecycle(queue, remote=True):
        assert shop().slow(2.0).result() == 2.0
    assert runs(tmp_path) == ["slow"]


def test_an_argument_that_cannot_be_said_is_refused_before_anything_is_stored(staff: Staff, queue: Queue) -> None:
    with clx.lifecycle(queue, remote=True), socket.socket() as odd:
        call = shop().inc([odd])
        with pytest.raises(clx.UsageError, match=r"x\[0\]: socket"):
            call.result()
    assert queue.search() == []


def test_routines_of_other_versions_are_left_to_others(staff: Staff, queue: Queue) -> None:
    @define.task(name="inc", version="2.0.0")
    def newer(x: int) -> int:
        return x + 2

    staff.start(hosts=1, tasks=1)

    async def ask() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(newer(1), 1.0)
        assert await shop().inc(1) == 2

    with clx.lifecycle(queue, remote=True):
        asyncio.run(ask())


def test_a_program_without_workers_is_told_once(
    staff: Staff, queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(remote, "_ALONE_FOR", 0.05)

    async def ask() -> list[Any]:
        calls = [asyncio.create_task(shop().inc(x)) for x in (1, 2)]
        await asyncio.to_thread(until, lambda: "No worker is there" in caplog.text)
        staff.start(hosts=1, tasks=1)
        return await asyncio.gather(*calls)

    with clx.lifecycle(queue, remote=True):
        assert asyncio.run(ask()) == [2, 3]
    assert caplog.text.count("No worker is there that runs task:inc:1.0.0") == 1


def test_what_each_workflow_writes_is_kept_with_its_run(staff: Staff, queue: Queue) -> None:
    staff.start(hosts=1, tasks=1)

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(shop().chatty("first"), shop().chatty("second"), return_exceptions=True)

    with clx.lifecycle(queue, remote=True):
        first, second = asyncio.run(both())
    assert first is None
    assert isinstance(second, ValueError)
    said = {}
    for job in queue.search(type="workflow:chatty"):
        (run,) = queue.runs(job.id)
        said[job.payload["arguments"]["name"]] = run["stderr"]
    for name in ("first", "second"):
        lines = said[name].splitlines()
        assert lines[:3] == [f"{name} says {n}" for n in range(3)]
        assert lines[3].endswith(f"WARNING shop: {name} logs")
    assert "task:inc:1.0.0 was called and never awaited" in said["second"]
    assert "never awaited" not in said["first"]


def test_workers_that_run_other_code_are_told_of(staff: Staff, queue: Queue, tmp_path: Path) -> None:
    staff.start(hosts=1, tasks=1)
    with clx.lifecycle(queue, remote=True):
        assert shop().inc(1).result() == 2  # they have imported it
        edited = tmp_path / "shop.py"
        edited.write_text(edited.read_text().replace("return x + 1", "return x + 2"))
        linecache.clearcache()
        inc = registry.known()["task:inc:1.0.0"]
        inc.__dict__.pop("source", None)
        with pytest.warns(UserWarning, match="Workers run other code of task:inc:1.0.0") as told:
            assert inc(5).result() == 6
        assert inc(6).result() == 7  # told once: any other warning is an error here
    assert len(told) == 1
