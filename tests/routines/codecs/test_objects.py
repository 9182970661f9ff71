"""Classes of users cross by registered names: by annotations, or by a codec of their own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar

import attrs
import msgspec
import pytest

from clx.errors import RoutineValueError, UsageError
from clx.routines.codecs import canonical, objects, restore, restore_text
from clx.routines.codecs.objects import codec, register_hint


class Colour(Enum):
    RED = 1
    BLUE = 2
    AZURE = 2  # noqa: PIE796  (another name of BLUE)


class Access(Flag):
    READ = 1
    WRITE = 2


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    A = "a"


class Pair(NamedTuple):
    first: int
    second: str = "x"


@dataclass
class Row:
    x: Any
    y: float = 0.0


@dataclass(frozen=True)
class Data:
    rows: list[Row]
    colour: Colour = Colour.RED
    count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", len(self.rows) * 10)


@dataclass(frozen=True, slots=True)
class Slotted:
    a: int


class Struct(msgspec.Struct, frozen=True, tag="s"):
    a: int
    b: Access | None = None


def copied(items: list[int]) -> list[int]:
    return [*items]


@attrs.define
class Attrs:
    _private: int
    items: list[int] = attrs.field(factory=list, converter=copied)


@dataclass
class Doubled:
    """Its ``__init__`` changes what it is given."""

    size: int

    def __post_init__(self) -> None:
        self.size *= 2


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    content: T


class Keyed(TypedDict):
    pair: Pair


_UNKNOWN: Any = list.__class_getitem__("Unknown")
Renamed = NewType("Renamed", Pair)
ALL: Any = Slotted | Data | Struct | Attrs | Doubled | Level | Word | Box[Pair] | Access


pytestmark = pytest.mark.usefixtures("fresh_registry")

VALUES: list[Any] = [
    *(Colour.RED, Colour.BLUE, Access.READ, Access.READ | Access.WRITE, Access(0), Level.LOW, Word.A),
    *(Pair(1), Pair(1, "y"), Row([1]), Row(1), Row(1.0), Row((1,)), Struct(1), Struct(1, Access.READ)),
    *(Attrs(1), Attrs(1, [2])),
    *(Data([]), Data([Row(1)], Colour.BLUE), Doubled(2), Doubled(4), Box(Pair(1)), Slotted(1), [Pair(1)]),
    *({"p": Pair(1)}, ("x", 1), {"first": 1, "second": "x"}, 1, "a", [1, "x"]),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_objects_come_back_as_they_went(value: Any) -> None:
    back = restore_text(canonical(value, ALL), ALL)
    assert type(back) is type(value)
    assert back == value


def test_objects_of_different_classes_or_fields_have_different_texts() -> None:
    assert len({canonical(value, ALL) for value in VALUES}) == len(VALUES)


def test_a_changed_default_makes_another_value() -> None:
    """Fields that are as by default are written, too: an old result is not taken for the new default's."""
    assert canonical(Row(1), Row) == f'{{"$o":["{__name__}.Row",1,{{"x":1,"y":0.0}}]}}'


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Optional[Row], Row(1)),  # noqa: UP045
        (list[dict[str, Row | None]], Row(1)),
        (Annotated[Row, []], Row(1)),
        (Annotated[list[Row], "x"], Row(1)),
        (Literal[Colour.RED], Colour.RED),
        (Renamed, Pair(1)),
        (Keyed, Pair(1)),
        (Box[Row], Row(1)),
        (Callable[[Row], Colour], Row(1)),
        (TypeVar("B", bound=Row), Row(1)),
        (type[Row], Row(1)),
        (Data, Colour.RED),
    ],
)  # fmt: skip
def test_classes_are_registered_wherever_they_stand_in_an_annotation(hint: Any, value: Any) -> None:
    with pytest.raises(RoutineValueError, match="cannot be sent"):
        canonical(value)
    register_hint(hint)
    assert restore_text(canonical(value)) == value


@pytest.mark.parametrize("hint", [Any, None, "Unknown", _UNKNOWN, int, object, ..., Literal["a", 1]])
def test_annotations_that_name_no_class_are_passed_over(hint: Any) -> None:
    register_hint(hint)
    assert objects._BY_NAME == {}


def test_what_has_no_codec_is_refused_by_its_place() -> None:
    with socket.socket() as open_socket, pytest.raises(RoutineValueError) as caught:
        canonical(Data([Row(1), Row(2), Row(3), Row(open_socket)]), Data, "data")
    assert caught.value.fact.startswith("data.rows[3].x: socket")
    with pytest.raises(RoutineValueError, match=r"^pair: Pair cannot be sent"):
        canonical(Pair(1), path="pair")


def test_a_class_that_forgets_what_it_was_given_is_refused() -> None:
    from dataclasses import InitVar

    kind = make_dataclass("Forgetful", [("a", int), ("b", InitVar[int])])
    with pytest.raises(RoutineValueError, match="cannot be sent"):
        canonical(kind(1, 2), kind)


@pytest.mark.parametrize(
    "data",
    [
        {"$o": ["os.system", 1, {}]},
        {"$o": [f"{__name__}.Row", 1, {"x": 1}]},
        {"$o": [f"{__name__}.Row", 1, {"x": 1, "y": 2.0, "z": 3}]},
        {"$o": [f"{__name__}.Row", 1, [1, 2.0]]},
        {"$o": [f"{__name__}.Row", 2, {"x": 1, "y": 2.0}]},
        {"$o": [f"{__name__}.Row", "1", {"x": 1, "y": 2.0}]},
        {"$o": [f"{__name__}.Attrs", 1, {"_private": 1, "items": 5}]},
        {"$o": [["x"], 1, {}]},
        {"$e": [f"{__name__}.Colour", 1, "mro"]},
        {"$e": [f"{__name__}.Colour", 1, {"a": 1}]},
        {"$e": [f"{__name__}.Access", 1, 64]},
    ],
    ids=str,
)  # fmt: skip
def test_forged_objects_are_refused(data: Any) -> None:
    register_hint(ALL)
    with pytest.raises(RoutineValueError):
        restore(data)


def test_nothing_is_imported_by_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with pytest.raises(RoutineValueError, match=r"no class is registered as 'this\.s'"):
        restore({"$o": ["this.s", 1, {}]})
    assert "this" not in sys.modules


# -- codecs of one's own, versions ----------------------------------------------------------------------


def made(name: str, fields: list[tuple[str, Any]], module: str = __name__, **more: Any) -> Any:
    kind = make_dataclass(name, fields, **more)
    kind.__module__ = module
    return kind


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Celsius) and other.degrees == self.degrees

    __hash__ = None  # type: ignore[assignment]


def test_a_codec_is_two_functions_a_name_and_a_version() -> None:
    codec(Celsius, "shop.Celsius", 1, lambda value: value.degrees, Celsius)
    assert canonical([Celsius(1.5)]) == '[{"$o":["shop.Celsius",1,1.5]}]'
    assert restore_text(canonical((Celsius(1.5), {Celsius: 1}[Celsius]))) == (Celsius(1.5), 1)


def test_a_codec_goes_before_what_an_annotation_registers() -> None:
    codec(Row, "row", 1, lambda row: [row.x, row.y], lambda data: Row(*data))
    assert canonical(Row(1), Row) == '{"$o":["row",1,[1,0.0]]}'


def test_a_codec_that_fails_at_what_it_reads_is_a_refusal() -> None:
    codec(Celsius, "shop.Celsius", 1, lambda value: value.degrees, lambda data: Celsius(data["x"]))
    with pytest.raises(RoutineValueError, match=r"shop\.Celsius does not take it: TypeError"):
        restore_text(canonical(Celsius(1.5)))


@pytest.mark.parametrize(("name", "version"), [("", 1), ('a"b', 1), ("a\nb", 1), ("a", 0), ("a", True), ("a", "1")])
def test_codecs_have_a_name_and_a_version(name: str, version: Any) -> None:
    with pytest.raises(UsageError):
        codec(Celsius, name, version, lambda value: value.degrees, Celsius)


def test_two_classes_cannot_have_one_name() -> None:
    codec(Celsius, "shop.Row", 1, lambda value: value.degrees, Celsius)
    with pytest.raises(UsageError, match="already"):
        codec(Row, "shop.Row", 1, lambda row: row.x, Row)


def test_a_class_that_is_made_anew_takes_the_place_of_the_old_one() -> None:
    old, new = (made("Again", [("a", int)]) for _ in range(2))
    text = canonical(old(1), old)
    assert canonical(new(1), new) == text
    assert type(restore_text(text)) is new
    with pytest.raises(RoutineValueError, match="another class"):
        canonical(old(1))


def test_what_earlier_versions_wrote_is_upgraded_step_by_step() -> None:
    def upgrade(version: int, fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "b": 1} if version == 1 else {**fields, "c": fields["b"] + 1}

    fields = [("a", int), ("b", int), ("c", int)]
    namespace = {"__clx_version__": 3, "__clx_upgrade__": staticmethod(upgrade)}
    kind = made("Grown", fields, namespace=namespace)
    register_hint(kind)
    assert restore({"$o": [f"{__name__}.Grown", 1, {"a": 0}]}) == kind(0, 1, 2)
    assert restore({"$o": [f"{__name__}.Grown", 2, {"a": 0, "b": 5}]}) == kind(0, 5, 6)
    assert canonical(kind(1, 2, 3)).startswith(f'{{"$o":["{__name__}.Grown",3,')
    for version in (4, 0, -1):
        with pytest.raises(RoutineValueError, match="here it has version 3"):
            restore({"$o": [f"{__name__}.Grown", version, {"a": 0}]})
    with pytest.raises(RoutineValueError, match="cannot be upgraded: KeyError"):
        restore({"$o": [f"{__name__}.Grown", 2, {"a": 0}]})


def test_a_program_and_who_imports_it_call_its_classes_by_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    main = type(sys)("__main__")
    main.__file__ = str(Path("somewhere") / "shop.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    kind = made("Order", [("a", int)], "__main__")
    assert canonical(kind(1), kind) == '{"$o":["shop.Order",1,{"a":1}]}'
