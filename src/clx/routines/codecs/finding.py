"""How a type that was not met before is written, and what a tag is read by: the modules of kinds are loaded here."""

from __future__ import annotations

from collections.abc import Coroutine
from importlib import import_module
from typing import Any

from clx.routines.codecs.canonical import READERS, WRITERS, Reader, Refusal, Writer
from clx.routines.codecs.objects import read_object, registered, writer_of

_BY_MODULE = {
    **dict.fromkeys(("datetime", "decimal", "uuid", "builtins"), "standard"),
    "pathlib": "paths",
    "numpy": "arrays",
    **dict.fromkeys(("pandas", "polars", "pyarrow"), "tables"),
}
"""Where a type is from → the module here that knows types from there."""
_BY_TAG = {
    **dict.fromkeys(("$date", "$time", "$datetime", "$timedelta", "$decimal", "$uuid", "$complex"), "standard"),
    "$path": "paths",
    "$file": "files",
    "$n": "arrays",
}
_ARRAYS = {"npy": "arrays", "arrow": "tables"}
"""First item of ``$a`` → the module that reads it."""


def writer_for(kind: type) -> Writer:
    """How values of the very type *kind* are written.

    Raises:
        Refusal: there is no codec for them.
    """
    writer = writer_of(kind) or _from_module(kind)
    if writer is None:
        raise Refusal(*_why_not(kind))
    WRITERS[kind] = writer
    return writer


def _from_module(kind: type) -> Writer | None:
    if kind.__module__ == "clx.routines.codecs.files":
        return _load("files").writer(kind)  # type: ignore[no-any-return]
    home = _BY_MODULE.get(kind.__module__.partition(".")[0])
    return _load(home).writer(kind) if home else None


def _why_not(kind: type) -> tuple[str, str]:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if registered(kind):
        return (
            f"{name} is another class than the one that is registered under this name.",
            "Make the value by the class as it is now.",
        )
    if issubclass(kind, Coroutine):
        return "a call that was not awaited cannot be sent.", "Write await before it."
    fact = f"{kind.__qualname__} cannot be sent" + (f" ({name})." if name != kind.__qualname__ else ".")
    if hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__struct_fields__") or hasattr(kind, "__members__"):
        return fact, "Name its class in the annotations of the routine, or register it by define.codec."
    return fact, "Register its class by define.codec, or send something else."


def reader_for(tag: str) -> Reader:
    """What reads values with *tag*.

    Raises:
        Refusal: there is no such tag.
    """
    if tag in {"$o", "$e"}:
        READERS[tag] = read_object
    elif tag == "$a":
        READERS[tag] = _read_array
    elif tag in _BY_TAG:
        READERS.update(_load(_BY_TAG[tag]).READ)
    else:
        raise Refusal(f"nothing is written as {tag[:40]!r}.", "Was it written by a newer CLX?")
    return READERS[tag]


def _read_array(data: Any, files: Any, depth: int) -> Any:
    home = _ARRAYS.get(data[0]) if type(data) is list and data else None
    if home is None:
        raise ValueError("no such array")
    return _load(home).read(data, files, depth)


def _load(name: str) -> Any:
    try:
        return import_module(f"clx.routines.codecs.{name}")
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise Refusal(f"{missing} is not installed here.", f"Type: pip install {missing}") from error
