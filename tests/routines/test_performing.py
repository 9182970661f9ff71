"""From a call to a row and back: what is stored, and what is refused of what was stored by others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clx import define
from clx.artifacts.store import ArtifactStore
from clx.errors import ArtifactMissingError, RoutineError, RoutineValueError, UsageError
from clx.routines import registry
from clx.routines.context import TELL, progress
from clx.routines.define import task
from clx.routines.failures import described, raised, wrapped
from clx.routines.lifecycle import lifecycle
from clx.routines.local import LOCAL, KeptEngine
from clx.routines.names import RoutineId
from clx.routines.performing import arguments_of, call_of, job_of, perform, value_of
from clx.routines.routine import Call, Options, Routine


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_known", {})


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def made(function: Any, **options: Any) -> Routine[..., Any]:
    return Routine(function, RoutineId("task", "a", "1.0.0"), Options(**options))


def payload(**arguments: Any) -> bytes:
    return msgspec.json.encode({"arguments": arguments})


def pair(x: int, *more: int, y: tuple[int, ...] = (), **others: set[int]) -> Any:
    return x, more, y, others


def test_arguments_go_and_come_back_as_they_were(store: ArtifactStore) -> None:
    routine = made(pair)
    call = routine(1, 2, 3, y=(4,), z={5})
    text = arguments_of(call, store)
    back = call_of(routine, json.loads(f'{{"arguments":{text}}}'), store)
    call.close()
    assert back.bound.arguments == {"x": 1, "more": (2, 3), "y": (4,), "others": {"z": {5}}}
    assert (back.bound.args, back.bound.kwargs) == ((1, 2, 3), {"y": (4,), "z": {5}})


def test_a_job_says_how_it_is_run(store: ArtifactStore) -> None:
    routine = made(pair, timeout=1500, priority=5)
    one, other = (job_of(routine, f'{{"x":{x}}}', "p") for x in (1, 2))
    assert (one.type, one.pool, one.timeout, one.priority, one.max_runs) == ("task:a:1.0.0", "p", 1500, 5, 3)
    assert one.key is not None
    assert one.key != other.key
    assert job_of(made(pair, cache=False), "{}", "").key is None
    flow: Routine[..., Any] = Routine(pair, RoutineId("workflow", "w", ""), Options())
    assert [job_of(flow, "{}", "p", nested=nested).pool for nested in (False, True)] == ["p", "pnested"]


def test_what_a_task_returns_is_stored_with_its_source(store: ArtifactStore) -> None:
    routine = made(lambda x: (x, x))
    stored = json.loads(perform(routine, payload(x=1), store))
    assert stored == {"value": {"$t": [1, 1]}, "source": routine.source}
    assert value_of(routine, stored, store) == (1, 1)


def test_what_a_result_names_is_shared_before_it_is_reported(tmp_path: Path) -> None:
    shared: list[str] = []

    class Shared(ArtifactStore):
        def share(self, digests: Iterable[str]) -> None:
            shared.extend(digests)

    stored = json.loads(perform(made(lambda: "x" * 100_000), payload(), Shared(tmp_path / "artifacts")))
    assert shared == [stored["value"]["$large"][0]]


@pytest.mark.parametrize(
    "told",
    [
        {}, {"arguments": None}, {"arguments": [1]}, {"arguments": {}}, {"arguments": {"x": 1, "q": 2}},
        {"arguments": {"x": {"$o": ["os.system", 1, {}]}}}, {"arguments": {"x": {"$what": 1}}}, [], None,
        {"arguments": {"x": {"$large": ["../../etc/passwd", 3]}}},
        {"arguments": {"x": {"$a": ["npy", "|O", [1], "0" * 64]}}},
    ],
)  # fmt: skip
def test_a_forged_payload_is_refused_and_nothing_runs(told: Any, store: ArtifactStore) -> None:
    ran: list[int] = []

    def note(x: int) -> None:
        ran.append(x)

    routine = made(note)
    with pytest.raises(UsageError):
        perform(routine, msgspec.json.encode(told), store)
    assert ran == []


def test_a_forged_artifact_is_refused_by_name(store: ArtifactStore) -> None:
    routine = made(lambda x: x)
    with pytest.raises(ArtifactMissingError):
        perform(routine, payload(x={"$large": ["0" * 64, 100]}), store)
    digest = store.put_bytes(b"no json at all")
    with pytest.raises(RoutineValueError, match="x:"):
        perform(routine, payload(x={"$large": [digest, 14]}), store)


def test_a_result_that_is_none_is_refused(store: ArtifactStore) -> None:
    for odd in (None, 3, {}, {"values": 1}):
        with pytest.raises(UsageError, match="no result"):
            value_of(made(pair), odd, store)


def test_an_error_is_told_and_raised_again_as_what_it_was() -> None:
    told = described(KeyError("k"), "task:a:1.0.0")
    assert (told["type"], told["message"], told["routine"]) == ("KeyError", "'k'", "task:a:1.0.0")
    again = raised("task:a:1.0.0", told, 7)
    assert isinstance(again, KeyError)
    assert isinstance(again, RoutineError)
    assert str(again).splitlines() == ["task:a:1.0.0 failed: KeyError: 'k'", "See `clx jobs show 7`."]
    outer = described(again, "workflow:w")
    assert (outer["type"], outer["cause"]) == ("KeyError", {"kind": "routine", "routine": "task:a:1.0.0", "job": 7})


@pytest.mark.parametrize(
    "name", ["os.system", "", "NoSuchError", "SystemExit", "KeyboardInterrupt", "Exception.__doc__"]
)
def test_an_error_of_a_name_that_is_no_exception_is_a_routine_error(name: str) -> None:
    for module in ("builtins", "os", "nowhere"):
        assert type(raised("task:a:1.0.0", {"type": name, "module": module, "message": "m"}, 1)) is RoutineError


def test_an_error_that_cannot_say_itself_is_told_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "cannot say" in described(Mute(), "task:a:1.0.0")["message"]
    assert wrapped(Mute(), "task:a:1.0.0").type.endswith("Mute")


def test_progress_goes_to_whoever_listens() -> None:
    progress(1)
    told: list[dict[str, Any]] = []
    token = TELL.set(told.append)
    progress(1, 2, "half")
    TELL.reset(token)
    assert told == [{"done": 1, "total": 2, "text": "half"}]


def test_public_names_are_these() -> None:
    import clx

    assert (clx.lifecycle, clx.progress, clx.define) == (lifecycle, progress, define)
    assert task is define.task
    assert LOCAL == "local"
    assert {KeptEngine.__name__, Call.__name__} == {"KeptEngine", "Call"}
