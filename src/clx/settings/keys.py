"""The settings as a flat list of dotted keys, and the check of one value."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from clx.settings.problems import closest, quoted
from clx.settings.schema import Settings
from clx.settings.section import Reach, Section

_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


class Key(msgspec.Struct, frozen=True):
    """One setting."""

    name: str
    """Dotted, e.g. ``workers.notebook.count``."""
    type: Any
    """Its annotation without ``| None``: unset is the absence of a value, which no layer can write."""
    default: Any
    reach: Reach | None = None
    """What it makes the machine do outside of the project that wrote it; None: nothing."""
    is_secret: bool = False
    """Whether its value is never shown."""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "CLX_" + self.name.upper().replace(".", "__")

    def check(self, value: object, *, text: bool = False) -> Any:
        """The value as the schema has it.

        Args:
            value: as some layer has it.
            text: whether numbers and truth values may be spelled as text, as variables have to.

        Raises:
            InvalidValueError: the value is not one this setting can have.
        """
        bare = get_args(self.type)[0] if get_origin(self.type) is Annotated else self.type
        spelled = text and isinstance(value, str)
        converted = value
        if spelled and bare is bool:
            converted = _boolean(str(value))
        elif spelled and get_origin(bare) is tuple:
            converted = _several(str(value))
        try:
            return msgspec.convert(converted, self.type, strict=not (spelled and bare in (int, float)))
        except msgspec.ValidationError:
            near = closest(value, get_args(bare)) if isinstance(value, str) and _is_literal(bare) else None
            raise InvalidValueError(
                f"{quoted(value)} is not {type_text(self.type)}", f'Did you mean "{near}"?' if near else ""
            ) from None


def _several(text: str) -> list[Any]:
    """Values with commas between them, or a list as JSON and TOML write it."""
    if text.lstrip().startswith("["):
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError:
            pass
        else:
            if isinstance(found, list):
                return found
    return [part.strip() for part in text.split(",") if part.strip()]


class InvalidValueError(ValueError):
    """A value that a setting cannot have; *next_step* may name the one that was probably meant."""

    def __init__(self, fact: str, next_step: str = "") -> None:
        super().__init__(fact)
        self.fact = fact
        self.next_step = next_step


@functools.cache
def all_keys() -> dict[str, Key]:
    """Every setting by its dotted name, in the order of the schema."""
    return {key.name: key for key in _keys(Settings, "")}


def _keys(section: type[Section], prefix: str) -> Iterator[Key]:
    for field in msgspec.structs.fields(section):
        name = prefix + field.name
        if isinstance(field.type, type) and issubclass(field.type, Section):
            yield from _keys(field.type, f"{name}.")
        else:
            type_ = _without_none(field.type)
            marks = _marks_of(type_)
            yield Key(name, _unmarked(type_), field.default, marks.get("reach"), marks.get("secret", False))


def _marks_of(annotation: Any) -> dict[str, Any]:
    extra = get_args(annotation)[1].extra if get_origin(annotation) is Annotated else None
    return extra or {}


def _unmarked(annotation: Any) -> Any:
    """The annotation without a mark that says only what it reaches."""
    if get_origin(annotation) is Annotated:
        bare, meta = get_args(annotation)
        if meta == Meta(extra=meta.extra):
            return bare
    return annotation


def type_text(annotation: Any) -> str:
    """What a value may be, in words that fit after "must be"."""
    if get_origin(annotation) is Annotated:
        bare, meta = get_args(annotation)
        return _constrained(bare, meta)
    if _is_literal(annotation):
        return " or ".join(quoted(choice) for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "a list of texts"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names[annotation]


def _constrained(bare: Any, meta: Meta) -> str:
    if bare is str:
        return "a size like 512m or 2g" if meta.pattern else "a text of at least one character"
    lower = f"above {meta.gt}" if meta.gt is not None else f"from {meta.ge}"
    upper = f"{'up ' if meta.gt is not None else ''}to {meta.le}"
    return f"{type_text(bare)} {lower} {upper}"


def _is_literal(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


def _without_none(annotation: Any) -> Any:
    members = [member for member in get_args(annotation) if member is not type(None)]
    if get_origin(annotation) in (Union, type(int | None)) and len(members) == 1:
        return members[0]
    return annotation


def _boolean(text: str) -> object:
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else text
