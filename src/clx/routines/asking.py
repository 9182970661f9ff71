"""A call made of texts, as a command line has them: each argument is read by the type that its parameter has."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from clx.errors import UsageError
from clx.routines.routine import Call, Routine
from clx.settings.problems import closest, shortened

_MISSING = object()


def call_from(routine: Routine[..., Any], texts: Mapping[str, str], values: Mapping[str, Any]) -> Call[Any]:
    """A call of *routine*.

    Args:
        texts: argument → text, read by the type that the parameter is annotated with; without one as JSON if it is
            JSON, else as it stands.
        values: argument → what JSON says.

    Raises:
        UsageError: there is no such parameter, one is missing, or a value is none of its type.
    """
    given: dict[str, Any] = {}
    for name, value in values.items():
        given[name] = _converted(routine, name, value)
    for name, text in texts.items():
        given[name] = _read(routine, name, text)
    if (missing := routine.missing(given)) is not None:
        raise UsageError(f"{routine.id} needs {missing}.", f"Give --param {missing}=… : {signature_of(routine)}")
    return routine.call_with(given)


def signature_of(routine: Routine[..., Any]) -> str:
    """How *routine* is called, in one line."""
    return f"{routine.name.name}{str(routine.signature).replace(chr(39), '')}"


def _hint(routine: Routine[..., Any], name: str) -> Any:
    if name not in routine.signature.parameters:
        near = closest(name, routine.signature.parameters)
        step = f"Did you mean {near}?" if near else f"Its parameters: {signature_of(routine)}"
        raise UsageError(f"{routine.id} has no parameter {shortened(name)}.", step)
    return routine.argument_hints.get(name, Any)


def _read(routine: Routine[..., Any], name: str, text: str) -> Any:
    hint = _hint(routine, name)
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = _MISSING
    for kind in _alternatives(hint):
        # a text is what it is, also one that looks like JSON
        for value in (text,) if kind is str else (parsed, text):
            if value is not _MISSING and (found := _as(value, kind, strict=value is not text)) is not _MISSING:
                return found
    raise _none_of(routine, name, text, hint)


def _converted(routine: Routine[..., Any], name: str, value: Any) -> Any:
    hint = _hint(routine, name)
    for kind in _alternatives(hint):
        if (found := _as(value, kind, strict=True)) is not _MISSING:
            return found
    raise _none_of(routine, name, json.dumps(value, ensure_ascii=False), hint)


def _none_of(routine: Routine[..., Any], name: str, text: str, hint: Any) -> UsageError:
    said = hint.__name__ if isinstance(hint, type) else str(hint)
    fact = f"{name}={shortened(text)} is no {said}{_where(text, hint)}."
    return UsageError(fact, f"Its parameters: {signature_of(routine)}")


def _where(text: str, hint: Any) -> str:
    """Which part of a list, mapping or object is none of its type, or that the text is no JSON; else nothing."""
    if get_origin(hint) in {Union, types.UnionType, Annotated} or hint in {int, float, bool}:
        return ""
    try:
        msgspec.convert(json.loads(text), hint, dec_hook=_by_hand)
    except msgspec.ValidationError as error:
        what, at, place = str(error).replace("`", "").rpartition(" - at $")
        return f": {what[0].lower()}{what[1:]}, at {place.lstrip('.')}" if at else ""
    except json.JSONDecodeError:
        return "" if get_origin(hint) is None else ", for it is no JSON"
    except (TypeError, ValueError, NotImplementedError, RecursionError):
        pass
    return ""


def _alternatives(hint: Any) -> list[Any]:
    """The members of a union, text last: whatever else a text can be, it is."""
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        found = [each for member in get_args(hint) for each in _alternatives(member)]
        return sorted(found, key=lambda each: each is str)
    return [hint]


def _as(value: Any, hint: Any, *, strict: bool) -> Any:
    if hint is Any or hint is object:
        return value
    try:
        return msgspec.convert(value, hint, strict=strict, dec_hook=_by_hand)
    except (msgspec.ValidationError, TypeError, ValueError, NotImplementedError):
        return _MISSING


def _by_hand(kind: type, value: Any) -> Any:
    from clx.routines.codecs.files import File

    if isinstance(kind, type) and isinstance(value, str) and issubclass(kind, PurePath | File | complex):
        return kind(value)
    raise NotImplementedError
