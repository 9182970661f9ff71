"""The local engine with a job table: what is known is looked up, what is not runs here, once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import clx
from clx import NewJob, Queue, define
from clx.errors import RoutineError, UsageError
from clx.routines import registry, sources

RUNS: list[object] = []


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.setattr(sources, "_told", set())
    RUNS.clear()


def test_a_known_call_does_not_run_again(queue: Queue) -> None:
    @define.task(name="double", version="1.0.0")
    def double(x: int, times: int = 2) -> tuple[int, ...]:
        RUNS.append(x)
        return (x * times,)

    with clx.lifecycle(queue):
        assert double(3).result() == (6,)
        assert double(3, times=2).result() == (6,)
        assert double(x=3).result() == (6,)
        assert RUNS == [3]
        assert double(3, times=3).result() == (9,)
        assert double(3.0).result() == (6.0,)  # type: ignore[arg-type]
    assert RUNS == [3, 3, 3.0]
    assert [(each.state, each.pool) for each in queue.search()] == [("succeeded", "local")] * 3
    assert double(3).result() == (6,)
    assert len(RUNS) == 4  # with no lifecycle nothing is looked up


@pytest.mark.parametrize("remote", [True, False])
def test_a_known_call_needs_no_event_loop(
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    remote: bool,
) -> None:
    @define.task(name="triple", version="1.0.0")
    def triple(x: int) -> int:
        return 3 * x

    with clx.lifecycle(queue):
        assert triple(3).result() == 9
    monkeypatch.delattr(asyncio, "run")
    with clx.lifecycle(queue, remote=remote):
        assert triple(3).result() == 9


@pytest.mark.parametrize(
    ("args", "named"), [((1, 2), {}), ((1,), {"b": 2}), ((), {"b": 2, "a": 1}), ((1, 2, 3), {}), ((1, 2), {"k": 4})]
)
def test_arguments_are_bound_as_python_binds_them(args: tuple[int, ...], named: dict[str, int]) -> None:
    @define.task(name="bound", version="1.0.0")
    def bound(a: int, b: int, c: int = 3, *, k: int = 4) -> None: ...

    told = bound.signature.bind(*args, **named)
    told.apply_defaults()
    call = bound(*args, **named)
    call.close()
    assert (call.bound.args, call.bound.kwargs) == (told.args, told.kwargs)


@pytest.mark.parametrize(
    ("args", "named"), [((1,), {}), ((1, 2, 3, 4), {}), ((1, 2), {"a": 1}), ((1, 2), {"z": 1}), ((), {})]
)
def test_arguments_that_do_not_fit_are_refused(args: tuple[int, ...], named: dict[str, int]) -> None:
    @define.task(name="unbound", version="1.0.0")
    def unbound(a: int, b: int, c: int = 3) -> None: ...

    with pytest.raises(TypeError):
        unbound(*args, **named)


def test_any_number_of_arguments_is_bound() -> None:
    @define.task(name="open", version="1.0.0")
    def open_(a: int, *more: int, **named: int) -> None: ...

    call = open_(1, 2, 3, z=4)
    call.close()
    assert (call.bound.args, call.bound.kwargs) == ((1, 2, 3), {"z": 4})
    other = open_(1)
    other.close()
    assert (other.bound.args, other.bound.kwargs) == ((1,), {})


def test_a_workflow_runs_here_and_its_tasks_are_kept(queue: Queue) -> None:
    @define.task(name="square", version="1.0.0")
    async def square(x: int) -> int:
        await asyncio.sleep(0)
        RUNS.append(x)
        return x * x

    @define.workflow(name="sum")
    async def total(n: int) -> int:
        return sum(await asyncio.gather(*(square(x) for x in range(n))))

    with clx.lifecycle(queue):
        assert total(4).result() == 14
        assert total(5).result() == 30
    assert sorted(RUNS) == [0, 1, 2, 3, 4]  # type: ignore[type-var]


def test_what_is_not_to_be_cached_runs_each_time(queue: Queue) -> None:
    @define.task(name="a", version="1.0.0", cache=False)
    def a() -> None:
        RUNS.append("a")

    @define.task(name="b", version="1.0.0-dev")
    def b() -> None:
        RUNS.append("b")

    with clx.lifecycle(queue):
        for call in (a, b, a, b):
            call().result()
    assert RUNS == ["a", "b", "a", "b"]


def test_a_failure_is_not_kept(queue: Queue) -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> int:
        RUNS.append(1)
        if len(RUNS) == 1:
            raise ValueError("first")
        return 7

    with clx.lifecycle(queue):
        with pytest.raises(ValueError, match="first") as told:
            a().result()
        assert isinstance(told.value, RoutineError)
        assert a().result() == 7
    failed, succeeded = sorted(queue.search(), key=lambda job: job.id)
    assert failed.error is not None
    assert (failed.state, failed.error["type"], succeeded.state) == ("failed", "ValueError", "succeeded")


def test_a_result_too_old_is_made_again(queue: Queue) -> None:
    @define.task(name="a", version="1.0.0", ttl=0.001)
    def a() -> int:
        RUNS.append(1)
        return len(RUNS)

    with clx.lifecycle(queue):
        assert a().result() == 1
        queue.sql("SELECT 1")
        asyncio.run(asyncio.sleep(0.01))
        assert a().result() == 2


def test_other_code_under_the_same_version_is_told_once(queue: Queue) -> None:
    def make(function: object) -> None:
        registry._known.clear()
        define.task(name="a", version="1.0.0")(function)  # type: ignore[call-overload]

    with clx.lifecycle(queue):
        make(lambda: 1)
        registry.known()["task:a:1.0.0"]().result()
        make(lambda: 2)
        changed = registry.known()["task:a:1.0.0"]
        with pytest.warns(sources.OtherSourceWarning, match="a 1.0.0 was cached with other code"):
            assert changed().result() == 1
        assert changed().result() == 1  # any warning is an error here


def test_a_result_whose_artifact_is_gone_is_made_again(queue: Queue) -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> str:
        RUNS.append(1)
        return "x" * 100_000

    with clx.lifecycle(queue):
        a().result()
        store = queue.database.state.shared / "artifacts"
        for path in [each for each in store.rglob("*") if each.is_file()]:
            path.unlink()
        assert a().result() == "x" * 100_000
    assert len(RUNS) == 2


def test_what_a_killed_program_had_begun_is_done_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        textwrap.dedent("""
        import os, sys
        import clx
        from clx import define

        @define.task(name="a", version="1.0.0", max_runs=5)
        def a():
            if "die" in sys.argv:
                os.kill(os.getpid(), 9)
            return 5

        if __name__ == "__main__":
            with clx.lifecycle("jobs.db"):
                print(a().result())
        """)
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "shop.py", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert run("die").returncode == -9
    done = run()
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_programs_that_ask_the_same_at_once_run_it_once(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        textwrap.dedent("""
        import time
        import clx
        from clx import define

        @define.task(name="a", version="1.0.0")
        def a():
            with open("runs", "a") as stream:
                stream.write("x")
            time.sleep(0.5)
            return 5

        with clx.lifecycle("jobs.db"):
            print(a().result())
        """)
    )
    Queue.open(tmp_path / "jobs.db").close()
    crowd = [
        subprocess.Popen([sys.executable, "shop.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    assert [each.communicate(timeout=60)[0] for each in crowd] == ["5\n"] * 6
    assert (tmp_path / "runs").read_text() == "x"


def test_a_job_of_another_pool_is_left_alone(queue: Queue) -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> int:
        return 5

    other = queue.enqueue(NewJob("task:a:1.0.0", {"arguments": {}}))
    with clx.lifecycle(queue):
        assert a().result() == 5
    assert queue.get_many([other])[0].state == "queued"


def test_a_program_does_not_wait_for_workers_of_a_table_that_is_not_there(tmp_path: Path) -> None:
    mistyped = tmp_path / "jbos.db"
    with pytest.raises(UsageError, match="no job table") as refused, clx.lifecycle(mistyped, remote=True):
        pass
    assert refused.value.next_step == f"Start some, which make it: clx routines work --db-path {mistyped}"
    assert not mistyped.exists()
