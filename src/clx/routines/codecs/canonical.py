"""Values as canonical JSON: one text for equal values, whatever their order, identity, process or version of Python.

``text_of`` writes, ``value_of`` reads what was parsed. What JSON has no word for is an object with one key that begins
with ``$``, its *tag*; a user's dict with such a key is written as pairs, so the two are never taken for each other.
Kinds of values beyond JSON's register how they are written by their type and read by their tag, and are loaded when
the first of them is met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring as _quote
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from clx.errors import ArtifactMissingError, RoutineValueError

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

DEEPEST = 200
"""How deep lists, dicts and objects may lie in each other."""
INLINE_BYTES = 4096
"""``bytes`` up to this long stand in the text, longer ones are artifacts."""
_EXACT = 1 << 53
_LONGEST_INT = 1 << 20
"""Bits of the largest int: reading its decimal digits takes time by their square."""


class Sink(Protocol):
    """Takes large values; returns digests, and sizes in bytes."""

    def put_bytes(self, data: bytes) -> str: ...
    def put_file(self, source: Path, digest: str | None = None) -> tuple[str, int]: ...
    def put_written(self, write: Callable[[Any], None]) -> tuple[str, int]: ...
    def holds(self, digest: str, size: int) -> bool: ...


class Files(Sink, Protocol):
    """Where large values lie: an ``ArtifactStore``, or one in front of a server's."""

    def share(self, digests: Iterable[str]) -> None: ...
    def bring(self, digest: str) -> Path: ...
    def reader(self, digest: str) -> BufferedReader: ...
    def get_bytes(self, digest: str) -> bytes: ...
    def require_whole(self, digest: str) -> None: ...


class NoFiles:
    """Takes everything and keeps nothing: a value is gone through by it, before any of its parts is stored.

    Attributes:
        was_asked: whether the value has parts that are artifacts.
    """

    was_asked = False

    def put_bytes(self, data: bytes) -> str:  # noqa: ARG002
        self.was_asked = True
        return "0" * 64

    def put_file(self, source: Path, digest: str | None = None) -> tuple[str, int]:  # noqa: ARG002
        self.was_asked = True
        source.stat()
        return "0" * 64, 0

    def put_written(self, write: Callable[[Any], None]) -> tuple[str, int]:  # noqa: ARG002
        self.was_asked = True
        return "0" * 64, 0

    def holds(self, digest: str, size: int) -> bool:  # noqa: ARG002
        self.was_asked = True
        return True


class Refusal(Exception):
    """A value that cannot be written or read.

    Attributes:
        steps: the way to it from the outermost value, the last step first.
    """

    def __init__(self, what: str, next_step: str = "") -> None:
        super().__init__(what)
        self.what, self.next_step = what, next_step
        self.steps: list[str] = []

    def error(self, path: str) -> RoutineValueError:
        """What the user is told; *path* is the name of the outermost value."""
        way = path + "".join(reversed(self.steps))
        way = way if len(way) <= 200 else f"{way[:100]}…{way[-100:]}"
        return RoutineValueError(f"{way}: {self.what}", self.next_step)


Writer = Callable[[Any, "Sink | None", int], str]
Reader = Callable[[Any, "Files | None", int], Any]
WRITERS: dict[type, Writer] = {}
"""By the exact type of a value: a subclass is another type, and would come back as one."""
READERS: dict[str, Reader] = {}
"""By tag."""


def alone(function: Callable[[Any], Any]) -> Callable[[Any, Any, int], Any]:
    """A writer or a reader of what holds no other values."""
    return lambda value, files, depth: function(value)  # noqa: ARG005


F = TypeVar("F", bound=Sink)


def need(files: F | None) -> F:
    """The store.

    Raises:
        Refusal: there is none.
    """
    if files is None:
        raise Refusal("it travels as an artifact, and there is no store for them.", "Open a lifecycle with a queue.")
    return files


# -- writing ------------------------------------------------------------------------------------------


def text_of(value: Any, files: Sink | None, depth: int = 0) -> str:
    """*value* as canonical JSON.

    Raises:
        Refusal: something in it has no codec.
    """
    kind = type(value)
    if kind is str:
        return quoted(value)
    if kind is int:
        return int.__repr__(value) if -_EXACT <= value <= _EXACT else _large_int(value)
    if kind is float:
        return float_text(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if depth >= DEEPEST:
        raise Refusal(f"it lies deeper than {DEEPEST} levels.", "Is it in itself? Else send it flatter.")
    writer = WRITERS.get(kind)
    if writer is None:
        from clx.routines.codecs.finding import writer_for

        writer = writer_for(kind)
    return writer(value, files, depth + 1)


def quoted(value: str) -> str:
    """A text in quotes, its characters as they are: no normal form is made of them."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refusal("str with half a surrogate pair, which is no text.", "Send it as bytes.") from None
    return _quote(value)


def float_text(value: float) -> str:
    """The shortest digits that give *value* again, always with a point or an exponent."""
    text = float.__repr__(value)
    return f'{{"$f":"{text}"}}' if text[-1] in "nf" else text


def _large_int(value: int) -> str:
    if value.bit_length() > _LONGEST_INT:
        raise Refusal(f"int of {value.bit_length():,} bits.", "Send it as bytes: int.to_bytes.")
    if value.bit_length() < 10_000:
        return f'{{"$i":"{int.__repr__(value)}"}}'
    from decimal import Decimal  # str() of an int refuses so many digits

    return f'{{"$i":"{Decimal(value)}"}}'


def list_text(values: Iterable[Any], files: Sink | None, depth: int) -> str:
    """A list, or what is written as one."""
    texts: list[str] = []
    try:
        for each in values:
            texts.append(text_of(each, files, depth))  # no comprehension: it would be a frame more at each level
    except Refusal as refusal:
        refusal.steps.append(f"[{len(texts)}]")
        raise
    return f"[{','.join(texts)}]"


def _tuple(value: tuple[Any, ...], files: Sink | None, depth: int) -> str:
    return f'{{"$t":{list_text(value, files, depth)}}}'


def _dict(value: dict[Any, Any], files: Sink | None, depth: int) -> str:
    for key in value:
        if type(key) is not str or key[:1] == "$":
            return _pairs(value, files, depth)
    return object_text(value, files, depth, '["{}"]')


def object_text(value: Mapping[str, Any], files: Sink | None, depth: int, step: str = ".{}") -> str:
    """An object of JSON; *step* is how the way to one of its values is written."""
    texts: list[str] = []
    key = ""
    try:
        for key in sorted(value):
            texts.append(f"{quoted(key)}:{text_of(value[key], files, depth)}")
    except Refusal as refusal:
        refusal.steps.append(step.format(key))
        raise
    return f"{{{','.join(texts)}}}"


def _pairs(value: dict[Any, Any], files: Sink | None, depth: int) -> str:
    pairs: list[tuple[str, str]] = []
    key: Any = None
    try:
        for key, each in value.items():
            pairs.append((text_of(key, files, depth), text_of(each, files, depth)))
    except Refusal as refusal:
        refusal.steps.append(f"[{_named(key)}]")
        raise
    return f'{{"$m":[{",".join(f"[{key},{each}]" for key, each in sorted(pairs))}]}}'


def _named(key: Any) -> str:
    text = repr(key) if type(key) in {str, int, float, bool, tuple, type(None)} else type(key).__qualname__
    return text if len(text) <= 40 else f"{text[:40]}…"


def _set(tag: str) -> Writer:
    def write(value: Iterable[Any], files: Sink | None, depth: int) -> str:
        texts = []
        try:
            for each in value:
                texts.append(text_of(each, files, depth))
        except Refusal as refusal:
            refusal.steps.append("{…}")
            raise
        return f'{{"{tag}":[{",".join(sorted(texts))}]}}'

    return write


def _bytes(value: bytes, files: Sink | None, depth: int) -> str:  # noqa: ARG001
    if len(value) > INLINE_BYTES:
        return f'{{"$bytes":["{need(files).put_bytes(value)}",{len(value)}]}}'
    from binascii import b2a_base64

    return f'{{"$b":"{b2a_base64(value, newline=False).decode()}"}}'


WRITERS |= {
    list: list_text, tuple: _tuple, dict: _dict, set: _set("$s"), frozenset: _set("$fs"), bytes: _bytes
}  # fmt: skip


# -- reading ------------------------------------------------------------------------------------------


def value_of(data: Any, files: Files | None, depth: int = 0) -> Any:
    """The value that parsed canonical JSON stands for.

    Raises:
        Refusal: it stands for none.
        ArtifactError: an artifact that it names is missing or damaged.
    """
    kind = type(data)
    if kind is list:
        check_depth(depth)
        return values_of(data, files, depth + 1)
    if kind is dict:
        check_depth(depth)
        if len(data) == 1:
            [(tag, inner)] = data.items()
            if tag[:1] == "$":
                return _tagged(tag, inner, files, depth + 1)
        return object_of(data, files, depth + 1, '["{}"]')
    if data is None or kind in (str, int, float, bool):
        return data
    raise Refusal(f"{kind.__qualname__} is nothing that JSON has.")


def check_depth(depth: int) -> None:
    if depth >= DEEPEST:
        raise Refusal(f"it lies deeper than {DEEPEST} levels.")


def _tagged(tag: str, inner: Any, files: Files | None, depth: int) -> Any:
    reader = READERS.get(tag)
    if reader is None:
        from clx.routines.codecs.finding import reader_for

        reader = reader_for(tag)
    try:
        return reader(inner, files, depth)
    except (ValueError, TypeError, OverflowError, ArithmeticError, KeyError) as error:
        raise Refusal(f"{tag} holds no value: {str(error)[:100] or type(error).__name__}") from error


def values_of(data: list[Any], files: Files | None, depth: int) -> list[Any]:
    """The values in a list."""
    values: list[Any] = []
    try:
        for each in data:
            values.append(value_of(each, files, depth))
    except Refusal as refusal:
        refusal.steps.append(f"[{len(values)}]")
        raise
    return values


def object_of(data: Any, files: Files | None, depth: int, step: str = ".{}") -> dict[str, Any]:
    """The values in an object, by their names."""
    values: dict[str, Any] = {}
    key = ""
    try:
        for key, each in as_type(dict, data).items():
            values[key] = value_of(each, files, depth) if key[:1] != "$" else _refuse_key()
    except Refusal as refusal:
        refusal.steps.append(step.format(key))
        raise
    return values


def _refuse_key() -> NoReturn:
    raise Refusal("no key that begins with $ is beside others.")


def as_type(kind: type[Any], data: Any, length: int | None = None) -> Any:
    """*data*, which has to be of this very type; a list, where *length* is given, of so many items.

    Raises:
        TypeError: it is not.
    """
    if type(data) is not kind or (length is not None and len(data) != length):
        raise TypeError(f"{kind.__name__}{f' of {length}' if length is not None else ''} expected")
    return data


def _read_int(data: Any) -> int:
    if len(as_type(str, data)) < 3000:
        return int(data)
    if len(data) > _LONGEST_INT // 3:
        raise ValueError("too many digits")
    from decimal import Decimal

    return int(Decimal(data))


def _read_float(data: Any) -> float:
    return {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}[data]


def _read_pairs(data: Any, files: Files | None, depth: int) -> dict[Any, Any]:
    read: dict[Any, Any] = {}
    for pair in as_type(list, data):
        key, each = as_type(list, pair, 2)
        found = value_of(key, files, depth)
        try:
            read[found] = value_of(each, files, depth)
        except Refusal as refusal:
            refusal.steps.append(f"[{_named(found)}]")
            raise
    return read


def _read_bytes(data: Any) -> bytes:
    from binascii import a2b_base64

    return a2b_base64(as_type(str, data), strict_mode=True)


def _read_large_bytes(data: Any, files: Files | None, depth: int) -> bytes:  # noqa: ARG001
    digest, size = as_type(list, data, 2)
    find_object(need(files), digest, size)
    return need(files).get_bytes(digest)


def find_object(files: Files, digest: Any, size: Any) -> Path:
    """Where an artifact lies that a row names.

    Raises:
        Refusal: it is another than the row says, or no artifact can be called so.
        ArtifactError: it is missing.
    """
    if type(digest) is not str or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise Refusal(f"{str(digest)[:80]!r} is not the name of an artifact.")
    path = files.bring(digest)
    try:
        found = path.lstat().st_size
    except OSError as error:
        raise ArtifactMissingError(f"Artifact {digest[:12]} is not in the store.", "Run again what made it.") from error
    if type(size) is not int or found != size:
        raise Refusal(f"artifact {digest[:12]} has {found} bytes, not {str(size)[:40]}.")
    return path


READERS |= {
    "$i": alone(_read_int),
    "$f": alone(_read_float),
    "$b": alone(_read_bytes),
    "$bytes": _read_large_bytes,
    "$t": lambda data, files, depth: tuple(values_of(as_type(list, data), files, depth)),
    "$s": lambda data, files, depth: set(values_of(as_type(list, data), files, depth)),
    "$fs": lambda data, files, depth: frozenset(values_of(as_type(list, data), files, depth)),
    "$m": _read_pairs,
}
