"""What can be a routine, what it is called, and what calling one gives."""

from __future__ import annotations

import asyncio
import warnings
from datetime import date, timedelta
from typing import Any

import pytest

from clx import define
from clx.errors import QueueError, RoutineError, RoutineValueError, UsageError
from clx.routines import registry
from clx.routines.codecs import canonical
from clx.routines.names import RoutineId, parse
from clx.routines.performing import key_in


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})


# -- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["task:train:0.0.1", "task:a.b-c_D:10.0.3-dev", "workflow:search", "workflow:x.y"])
def test_a_routine_id_is_read_as_it_is_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "train", "task:train", "task:train:1.0", "task:train:1.0.0-beta", "task:train:01.0.0", "task:1a:1.0.0",
        "workflow:search:1.0.0", "workflow:", "workflow:ä",
        "Task:train:1.0.0", "task:train:1.0.0 ", "task:train:1.0.0\n",
        "workflow:a b", "task::1.0.0", "workflow:a:",
    ],
)  # fmt: skip
def test_what_is_no_routine_id_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no routine"):
        parse(text)


def test_on_the_command_line_a_name_is_enough() -> None:
    ids = [
        "task:train:0.0.9",
        "task:train:0.0.10",
        "task:train:1.0.0-dev",
        "workflow:search",
        "task:both:1.0.0",
        "workflow:both",
    ]
    assert registry.find("train", ids) == "task:train:0.0.10"
    assert registry.find("train:0.0.9", ids) == "task:train:0.0.9"
    assert registry.find("train:1.0.0-dev", ids) == "task:train:1.0.0-dev"
    assert registry.find("search", ids) == "workflow:search"
    assert registry.find("workflow:both", ids) == "workflow:both"
    with pytest.raises(UsageError, match="a task and a workflow"):
        registry.find("both", ids)
    with pytest.raises(UsageError) as told:
        registry.find("trian", ids)
    assert told.value.next_step == "Did you mean train?"


@pytest.mark.parametrize(
    "options",
    [
        {"name": "1a", "version": "1.0.0"}, {"name": "a", "version": "1.0"},
        {"name": "a", "version": "1.0.0", "timeout": 0},
        {"name": "a", "version": "1.0.0", "max_runs": 0}, {"name": "a", "version": "1.0.0", "priority": 6},
        {"name": "a", "version": "1.0.0", "max_runs": True}, {"name": "a", "version": "1.0.0", "ttl": -1},
        {"name": "a", "version": "1.0.0", "backoff": 0},
        {"name": "a", "version": "1.0.0", "timeout": float("nan")}, {"name": "a", "version": 1},
    ],
)  # fmt: skip
def test_options_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as told:
        define.task(**options)(lambda: None)
    assert told.value.next_step


def test_times_are_seconds_or_a_timedelta() -> None:
    @define.task(name="a", version="1.0.0", timeout=1.5, ttl=timedelta(minutes=2))
    def a() -> None: ...

    assert (a.options.timeout, a.options.ttl) == (1500, 120_000)


def test_one_name_and_version_is_one_function() -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> None: ...

    @define.task(name="a", version="1.0.1")
    def newer() -> None: ...

    with pytest.raises(UsageError, match="defined twice"):

        @define.task(name="a", version="1.0.0")
        def other() -> None: ...

    assert set(registry.known()) == {"task:a:1.0.0", "task:a:1.0.1"}


def test_a_workflow_is_a_coroutine_function() -> None:
    with pytest.raises(UsageError, match="no coroutine function"):
        define.workflow(name="w")(lambda: None)


def test_a_key_names_arguments_and_a_pool_is_a_name() -> None:
    @define.workflow(name="keyed", key="{day}/{n}")
    async def keyed(day: date, n: int = 1) -> None: ...

    assert key_in(keyed.options.key, '{"day":{"$date":"2026-11-27"},"n":2}') == "2026-11-27/2"
    assert key_in(keyed.options.key, '{"n":2}') == "{day}/2"
    assert key_in("", "{}") is None
    with pytest.raises(UsageError, match="names other, which is no argument"):
        define.workflow(name="odd", key="{other}")(keyed.function)
    with pytest.raises(UsageError, match="pool='a b' is not possible"):
        define.task(name="odd", version="1.0.0", pool="a b")


def test_a_version_for_development_is_not_cached() -> None:
    make = define.task(name="a", version="1.0.0-dev")
    assert not make(lambda: None).is_cached
    assert RoutineId("task", "a", "1.0.0-dev") == parse("task:a:1.0.0-dev")


# -- calls --------------------------------------------------------------------------------------------


def test_a_call_takes_what_the_function_takes() -> None:
    @define.task(name="a", version="1.0.0")
    def a(x: int, *, y: int = 2) -> int:
        return x + y

    assert a(1).result() == 3
    assert a(1, y=5).result() == 6
    assert a.local(1) == 3
    with pytest.raises(TypeError, match=r"^a: missing a required argument"):
        a()  # type: ignore[call-arg]


def test_a_call_is_no_value() -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> None: ...

    call = a()
    with pytest.raises(RoutineValueError, match="result: a call that was not awaited") as refused:
        canonical(call, path="result")
    assert refused.value.next_step == "Write await before it."
    call.close()


def test_a_failure_has_no_cause_in_how_it_was_waited_for() -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> None:
        raise ValueError

    with pytest.raises(ValueError) as failed:
        a().result()
    seen: list[type] = []
    error: BaseException | None = failed.value
    while error is not None:
        seen.append(type(error))
        error = error.__cause__ or error.__context__
    assert RuntimeError not in seen


def test_a_call_that_nobody_awaits_is_told() -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> None: ...

    with pytest.warns(RuntimeWarning, match="task:a:1.0.0 was called and never awaited"):
        a()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a().result()


def test_a_call_is_a_coroutine_to_asyncio() -> None:
    @define.task(name="a", version="1.0.0")
    async def a(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> list[int]:
        made = asyncio.create_task(a(3))
        return [await asyncio.wait_for(a(1), 5), *await asyncio.gather(a(2), made)]

    assert asyncio.run(main()) == [1, 2, 3]
    assert asyncio.run(a(4)) == 4


def test_where_an_event_loop_runs_a_call_is_awaited() -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> None: ...

    async def main() -> None:
        a().result()

    with pytest.raises(UsageError) as told:
        asyncio.run(main())
    assert told.value.next_step == "Write: await a(…)"


def test_a_task_calls_no_other_routine() -> None:
    @define.task(name="leaf", version="1.0.0")
    def leaf() -> int:
        return 1

    @define.task(name="outer", version="1.0.0")
    async def outer() -> int:
        return await leaf()

    with pytest.raises(RoutineError) as told:
        outer().result()
    assert told.value.message == "task:outer:1.0.0 called task:leaf:1.0.0: a task calls no other routine."
    assert "leaf.local(…)" in told.value.next_step


def test_a_failure_is_a_routine_error_of_the_original_type() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one, two)

    @define.task(name="a", version="1.0.0")
    def a(what: str) -> None:
        raise {"value": ValueError("bad"), "key": KeyError("k"), "os": FileNotFoundError(2, "gone"), "odd": Odd(1, 2)}[
            what
        ]

    @define.workflow(name="w")
    async def w(what: str) -> None:
        await a(what)

    with pytest.raises(ValueError, match="bad") as told:
        w("value").result()
    error = told.value
    assert isinstance(error, RoutineError)
    assert (error.type, error.message, error.routine) == ("ValueError", "bad", "workflow:w")
    assert error.cause == {"kind": "routine", "routine": "task:a:1.0.0", "job": None}
    assert 'raise {"value"' in error.traceback
    for what, kind in (("key", KeyError), ("os", FileNotFoundError), ("odd", RoutineError)):
        with pytest.raises(kind):
            w(what).result()


def test_a_workflow_reads_the_world_by_a_record() -> None:
    @define.workflow(name="w")
    async def w() -> list[int]:
        async def later() -> int:
            return 2

        return [await define.record("one", lambda: 1), await define.record("two", later)]

    assert w().result() == [1, 2]

    async def outside() -> None:
        await define.record("x", lambda: 1)

    with pytest.raises(UsageError, match="for workflows"):
        asyncio.run(outside())


def test_triggers_and_schedules_stand_above_or_below_the_name() -> None:
    @define.task(name="first", version="1.0.0")
    def first() -> int:
        return 1

    @define.trigger(after=first)
    @define.schedule("0 6 * * *", tz="Europe/Berlin")
    @define.workflow(name="above")
    async def above(found: int) -> None: ...

    @define.workflow(name="below")
    @define.trigger(after="task:first:1.0.0", on="always")
    @define.schedule("@daily")
    async def below(found: dict[str, Any]) -> None: ...

    assert (above.trigger, below.trigger) == (("task:first:1.0.0", "success"), ("task:first:1.0.0", "always"))
    assert [each["timezone"] for each in above.schedules + below.schedules] == ["Europe/Berlin", "UTC"]
    with pytest.raises(UsageError, match="on='done'"):
        define.trigger(after=first, on="done")  # type: ignore[arg-type]


@pytest.mark.parametrize("after", ["first", "first:1.0.0", "task:first", None])
def test_a_trigger_after_what_is_no_routine_is_refused_where_it_stands(after: Any) -> None:
    with pytest.raises(UsageError, match=r"^after=.* is no routine") as refused:
        define.trigger(after=after)
    assert refused.value.next_step == "Give the function, or its id: task:NAME:VERSION or workflow:NAME."


def test_a_trigger_whose_target_takes_nothing_is_refused_where_it_stands() -> None:
    with pytest.raises(UsageError, match=r"mourn has no argument for how task:first:1\.0\.0 has ended") as refused:

        @define.trigger(after="task:first:1.0.0", on="failure")
        @define.task(name="mourn", version="1.0.0")
        def mourn() -> None: ...

    assert refused.value.next_step == "Give it one: def mourn(ended): …"


@pytest.mark.parametrize("bare", ["task", "workflow", "trigger"])
def test_a_decorator_without_parentheses_says_how_it_is_written(bare: str) -> None:
    with pytest.raises(UsageError) as refused:
        getattr(define, bare)(len)
    assert refused.value.next_step.startswith(f"Write: @define.{bare}(")


@pytest.mark.parametrize(("cron", "tz"), [("99 * * * *", "UTC"), ("0 6 31 2 *", "UTC"), ("0 6 * * *", "Europe/Berln")])
def test_a_schedule_that_cannot_be_is_refused_where_it_stands(cron: str, tz: str) -> None:
    with pytest.raises(QueueError):
        define.schedule(cron, tz=tz)


def test_the_code_is_known_whatever_line_it_stands_on() -> None:
    @define.task(name="a", version="1.0.0")
    def a() -> int:
        return 1

    @define.task(name="b", version="1.0.0")
    def b() -> int:
        return 2

    assert len(a.source) == 16
    assert a.source != b.source
