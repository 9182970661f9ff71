"""Types of users: dataclasses, structs, attrs classes, named tuples and enums, and those with a codec of their own.

They cross by a registered name only: a class is registered when it stands in an annotation of a routine, or by
:func:`codec`. A name in a row is looked up among them; nothing is imported by it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, Flag
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

from clx.errors import UsageError
from clx.routines.codecs.canonical import (
    WRITERS,
    Files,
    Refusal,
    Sink,
    Writer,
    as_type,
    object_of,
    object_text,
    text_of,
    value_of,
)

T = TypeVar("T")
Upgrade = Callable[[int, Any], Any]
"""From the number of a version, and what was written under it, to what the next version would have written."""


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """How values of one class are written and read.

    Attributes:
        name: what rows call the class.
        version: of what is written; raised when its form changes.
        encode: from a value to one that can be sent; of ``has_fields``, to a dict of its fields.
        decode: back again.
        upgrade: reads what earlier versions wrote; None: it is refused.
    """

    type: type[T]
    name: str
    version: int
    encode: Callable[[T], Any]
    decode: Callable[[Any], T]
    upgrade: Upgrade | None = None
    has_fields: bool = False


_BY_TYPE: dict[type, Codec[Any]] = {}
_BY_NAME: dict[str, Codec[Any]] = {}
_SEEN: set[Any] = set()
"""Annotations that were looked through."""


def codec(
    type: type[T],  # noqa: A002
    name: str,
    version: int,
    encode: Callable[[T], Any],
    decode: Callable[[Any], T],
    *,
    upgrade: Upgrade | None = None,
) -> None:
    """Let values of a class be arguments and results of routines.

    Args:
        type: the class itself; its subclasses are others.
        name: what rows call it; unique, and the same wherever its values are read.
        version: of what *encode* makes, from 1 on; raise it when that changes, and give *upgrade*.
        encode: from a value to one that can be sent; equal values to equal ones.
        decode: back again.
        upgrade: ``upgrade(n, data)`` makes of what version *n* wrote what version *n* + 1 would have written.

    Raises:
        UsageError: the name is none, another class has it, or the version is no whole number from 1 on.
    """
    if not name or not name.isprintable() or '"' in name or "\\" in name:
        raise UsageError(f"A codec cannot be called {name!r}.", "Give a name like shop.Order.")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise UsageError(f"The codec {name} cannot have the version {version!r}.", "Count versions from 1 on.")
    taken = _BY_NAME.get(name)
    if taken is not None and _full_name(taken.type) != _full_name(type):
        raise UsageError(f"{_full_name(taken.type)} has the codec {name} already.", "Choose another name.")
    _register(Codec(type, name, version, encode, decode, upgrade))


def _register(found: Codec[Any]) -> None:
    """The last of a name counts: a module that is loaded again makes its classes anew."""
    earlier = _BY_TYPE.pop(found.type, None)
    for old in (earlier, _BY_NAME.get(found.name)):
        if old is not None:
            _BY_NAME.pop(old.name, None)
            _BY_TYPE.pop(old.type, None)
            WRITERS.pop(old.type, None)
    _BY_TYPE[found.type] = _BY_NAME[found.name] = found


def _full_name(kind: type) -> str:
    """Module and name. A program that runs as ``__main__`` is the module that others would import it as."""
    module = kind.__module__
    if module in {"__main__", "__mp_main__"}:
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        if spec is not None:
            module = spec.name.removesuffix(".__main__")
        elif file is not None:
            module = file.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    return f"{module}.{kind.__qualname__}"


def registered(kind: type) -> bool:
    """Whether a class of this name is registered, be it this one or another."""
    return kind in _BY_TYPE or _full_name(kind) in _BY_NAME


# -- by annotations -----------------------------------------------------------------------------------


def register_hint(hint: Any) -> None:
    """Register every class in an annotation, and those in the annotations of their fields.

    What cannot be resolved (a name that only type checkers import) is passed over: its values are refused when sent.
    """
    try:
        if hint in _SEEN:
            return
        _SEEN.add(hint)
    except TypeError:  # Annotated[int, []]
        pass
    if isinstance(hint, type) and get_origin(hint) is None:
        _register_class(hint)
        return
    for each in (get_origin(hint), *get_args(hint), *_behind(hint)):
        for inner in each if isinstance(each, list) else (each,):
            if isinstance(inner, Enum):  # Literal[Colour.RED]
                _register_class(type(inner))
            elif inner is not None and not isinstance(inner, str | bytes | int):
                register_hint(inner)


def _behind(hint: Any) -> Iterable[Any]:
    """What a NewType, or a ``type`` statement, is another name of."""
    found = (getattr(hint, name, None) for name in ("__supertype__", "__value__", "__bound__"))
    return [each for each in (*found, *getattr(hint, "__constraints__", ())) if each is not None]


def _register_class(kind: type) -> None:
    made = _BY_TYPE.get(kind)
    if made is None and (found := _codec_of(kind)) is not None:
        _register(made := found)
    if is_typeddict(kind) or (made is not None and made.has_fields):
        try:
            hints: Iterable[Any] = get_type_hints(kind, include_extras=True).values()
        except (NameError, TypeError, AttributeError):
            hints = getattr(kind, "__annotations__", {}).values()
        for each in hints:
            if not isinstance(each, str):
                register_hint(each)


def _codec_of(kind: type) -> Codec[Any] | None:
    """The codec of a class of a known kind; None for all others."""
    if kind.__module__ in {"builtins", "enum", "typing"}:
        return None
    if issubclass(kind, Enum):
        return _enum_codec(kind)
    shape = _shape_of(kind)
    if shape is None:
        return None
    name, version = _full_name(kind), getattr(kind, "__clx_version__", 1)
    return Codec(kind, name, version, shape.encode, shape.decode, getattr(kind, "__clx_upgrade__", None), True)


def _enum_codec(kind: type[Enum]) -> Codec[Any]:
    encode: Callable[[Any], Any] = lambda value: value._value_ if issubclass(kind, Flag) else value._name_  # noqa: E731
    decode: Callable[[Any], Any] = kind if issubclass(kind, Flag) else lambda name: kind.__members__[name]
    version = getattr(kind, "__clx_version__", 1)
    return Codec(kind, _full_name(kind), version, encode, decode, getattr(kind, "__clx_upgrade__", None))


class _Shape(NamedTuple):
    encode: Callable[[Any], dict[str, Any]]
    decode: Callable[[dict[str, Any]], Any]


def _shape_of(kind: Any) -> _Shape | None:
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        if not isinstance(names, tuple):
            return None
        return _Shape(lambda value: dict(zip(names, value, strict=True)), _Builder(names, kind._make).by_order)
    if hasattr(kind, "__struct_fields__"):
        return _struct(kind)
    if hasattr(kind, "__attrs_attrs__"):
        given = {each.name: each.alias for each in kind.__attrs_attrs__ if each.init}
        return _fields(kind, tuple(each.name for each in kind.__attrs_attrs__), given)
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields

        if any(repr(each._field_type) == "_FIELD_INITVAR" for each in kind.__dataclass_fields__.values()):
            return None  # nobody has kept what __init__ was given
        return _fields(
            kind, tuple(each.name for each in fields(kind)), {e.name: e.name for e in fields(kind) if e.init}
        )
    return None


def _struct(kind: Any) -> _Shape:
    from msgspec.structs import force_setattr

    names: tuple[str, ...] = kind.__struct_fields__
    return _fields(kind, names, dict(zip(names, names, strict=True)), force_setattr)


def _fields(
    kind: type, names: tuple[str, ...], given: Mapping[str, str], put: Callable[..., None] = object.__setattr__
) -> _Shape:
    """By attributes: ``__init__`` checks what comes; then every field is what it was, whatever was made of it."""
    return _Shape(
        lambda value: {name: getattr(value, name) for name in names}, _Builder(names, kind, given, put).by_name
    )


class _Builder:
    """Makes objects of their fields, none of which may be missing and none be more."""

    def __init__(
        self,
        names: tuple[str, ...],
        make: Callable[..., Any],
        given: Mapping[str, str] | None = None,
        put: Callable[..., None] = object.__setattr__,
    ) -> None:
        self.names, self.make, self.given, self.put = names, make, given or {}, put

    def _check(self, fields: dict[str, Any]) -> None:
        if fields.keys() != set(self.names):
            missing, unknown = set(self.names) - fields.keys(), fields.keys() - set(self.names)
            told = [
                f"{what} {', '.join(sorted(each))}" for what, each in (("without", missing), ("with", unknown)) if each
            ]
            raise Refusal(
                f"fields {' and '.join(told)}: it was written by another version of the class.",
                "Raise __clx_version__, and give __clx_upgrade__ to read what earlier versions wrote.",
            )

    def by_order(self, fields: dict[str, Any]) -> Any:
        self._check(fields)
        return self.make(fields[name] for name in self.names)

    def by_name(self, fields: dict[str, Any]) -> Any:
        self._check(fields)
        made = self.make(**{argument: fields[name] for name, argument in self.given.items()})
        for name, value in fields.items():
            if getattr(made, name, self) is not value:
                self.put(made, name, value)
        return made


# -- writing and reading ------------------------------------------------------------------------------


def writer_of(kind: type) -> Writer | None:
    """How values of a registered class are written."""
    found = _BY_TYPE.get(kind)
    if found is None:
        return None
    head = f'["{found.name}",{found.version},'
    tag, encode = ("$e" if issubclass(kind, Enum) else "$o"), found.encode
    inner = object_text if found.has_fields else text_of

    def write(value: Any, files: Sink | None, depth: int) -> str:
        return f'{{"{tag}":{head}{inner(encode(value), files, depth)}]}}'

    return write


def read_object(data: Any, files: Files | None, depth: int) -> Any:
    """What reads ``$o`` and ``$e``.

    Raises:
        Refusal: no class of that name is registered, or it is of a version that cannot be read.
    """
    name, version, inner = as_type(list, data, 3)
    found = _BY_NAME.get(name)
    if found is None:
        raise Refusal(
            f"no class is registered as {str(name)[:100]!r}.",
            "Name it in the annotations of the routine, or register it by define.codec.",
        )
    fields = (object_of if found.has_fields else value_of)(inner, files, depth)
    if as_type(int, version) != found.version:
        fields = _upgraded(found, version, fields)
    try:
        return found.decode(fields)
    except Refusal as refusal:
        refusal.what = f"{found.name}: {refusal.what}" if not refusal.steps else refusal.what
        raise
    except Exception as error:  # whatever a user's class raises at what it does not like
        raise Refusal(f"{found.name} does not take it: {type(error).__name__}: {error}"[:500]) from error


def _upgraded(found: Codec[Any], version: int, fields: Any) -> Any:
    if version > found.version or version < 1 or found.upgrade is None:
        raise Refusal(
            f"{found.name} was written with version {version}; here it has version {found.version}.",
            "Run it where that version is, or give the class a way to upgrade.",
        )
    try:
        for step in range(version, found.version):
            fields = found.upgrade(step, fields)
    except Exception as error:
        raise Refusal(f"{found.name} cannot be upgraded: {type(error).__name__}: {error}"[:500]) from error
    return fields
