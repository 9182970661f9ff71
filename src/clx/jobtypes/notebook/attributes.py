"""What the attributes of a cell's marker mean that other tools write: jupytext, RISE, Jupyter, Quarto, R Markdown.

They are read as tags, so that one table says what becomes of a cell: ``slideshow={"slide_type": "notes"}`` is the tag
``notes``, ``jupyter={"source_hidden": true}`` is ``hide-input``, ``eval=false`` is ``skip-execution``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clx.errors import ConversionError

_SLIDE_TYPES = {
    "slide": "slide",
    "subslide": "subslide",
    "fragment": "fragment",
    "notes": "notes",
    "skip": "del",
    "-": "",
    "": "",
}
"""Jupyter's slide types, each with the tag that it is."""
_OFF = {"eval": "skip-execution", "echo": "remove-input", "include": "remove-cell", "output": "remove-output"}
"""Options of Quarto and R Markdown that take something away when they are false, each with its tag."""
_ON = {"code-fold": "hide-input", "collapsed": "hide-output", "source_hidden": "hide-input"}
_ON |= {"outputs_hidden": "hide-output"}
"""Attributes that hide something when they are true, each with its tag."""
_READ = frozenset({"tags", "lang", "language", "magic_args", "active", "clx-attached"})
"""Attributes that are read elsewhere."""
_HARMLESS = frozenset(
    {"name", "id", "title", "cell_type", "region_name", "editable", "deletable", "scrolled", "autoscroll", "trusted"}
    | {"execution", "execution_count", "pycharm", "vscode", "colab", "colab_type", "label", "fig-cap", "fig-alt"}
    | {"hidePrompt", "papermill", "raw_mimetype", "format", "code_folding", "jp-MarkdownHeadingCollapsed", "eslint"}
    | {"outputId", "base_uri", "cell_id", "lines_to_next_cell", "lines_to_end_of_cell_marker", "attachments"}
)
"""Attributes that a reader of the output misses nothing of."""
_NO_COMMA = re.compile(r"""["']\s*["'](?!\s*[,\]])""")
_OPTION = re.compile(r"\s*(?:#|//)[ \t]?\|\s*([\w-]+)\s*:\s*(.*?)\s*$")
_FALSE, _TRUE = ("false", "no", "off", "f"), ("true", "yes", "on", "t")
_SLIDE_STEP = 'Write slideshow={"slide_type": "slide"}, or the tag: tags=["slide"].'


@dataclass(frozen=True, slots=True)
class Meant:
    """What attributes mean.

    Attributes:
        tags: the tags that they are.
        unread: names of those that mean nothing here.
    """

    tags: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def meaning_of(attributes: Mapping[str, Any], line: int) -> Meant:
    """What the attributes of a marker mean besides ``tags``, ``lang`` and what else is read for itself.

    Args:
        attributes: values, or texts as they stand in the marker.

    Raises:
        ConversionError: a slide type cannot be understood: it might hide the cell.
    """
    tags: list[str] = []
    unread: list[str] = []
    for name, value in attributes.items():
        if name == "slideshow":
            tags.append(_slide_tag(value, line))
        elif name == "jupyter":
            inner = _mapping(value)
            tags += [tag for key, tag in _ON.items() if _is(inner.get(key), _TRUE)]
            unread += [f"jupyter.{key}" for key in inner if key not in _ON]
        elif name in _OFF or name in _ON:
            tags += _switched(name, value)
        elif name == "results":
            tags += ["remove-output"] if str(_value(value)) in ("hide", "hidden") else []
        elif value is not None and name not in _READ | _HARMLESS:
            unread.append(name)
    return Meant(tuple(dict.fromkeys(filter(None, tags))), tuple(unread))


def slide_type_of(value: Any) -> str | None:
    """The tag that an attribute ``slideshow`` is; ``None`` when it cannot be understood."""
    found = _mapping(value)
    slide_type = found.get("slide_type", "")
    return _SLIDE_TYPES.get(slide_type.strip().lower()) if isinstance(slide_type, str) else None


def _slide_tag(value: Any, line: int) -> str:
    tag = slide_type_of(value)
    if tag is None or (not _mapping(value) and _value(value) not in ({}, "", None)):
        raise ConversionError("the cell's slide type cannot be read", _SLIDE_STEP, line=line)
    return tag


def options_of(source: str) -> dict[str, str]:
    """Quarto's options at the top of a code cell: ``#| eval: false``."""
    found: dict[str, str] = {}
    for line in source.split("\n"):
        option = _OPTION.match(line)
        if option is None:
            break
        found[option[1]] = option[2]
    return found


def option_tags(source: str) -> tuple[str, ...]:
    """The tags that Quarto's options at the top of a code cell are."""
    if "|" not in source.partition("\n")[0]:
        return ()
    return tuple(tag for name, value in options_of(source).items() for tag in _switched(name, value))


def without_options(source: str) -> str:
    """Code without Quarto's options at its top, which are for tools and not for readers."""
    lines = source.split("\n")
    shown = next((index for index, line in enumerate(lines) if not _OPTION.match(line)), len(lines))
    return "\n".join(lines[shown:]).lstrip("\n") if shown else source


def _switched(name: str, value: Any) -> list[str]:
    if name in _OFF and _is(value, _FALSE):
        return [_OFF[name]]
    return [_ON[name]] if name in _ON and _is(value, _TRUE) else []


def _is(value: Any, words: Iterable[str]) -> bool:
    return str(_value(value)).strip().lower() in words


def _value(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = literal(value)
    return value if isinstance(found, Unreadable) else found


def _mapping(value: Any) -> dict[str, Any]:
    found = _value(value)
    return found if isinstance(found, dict) else {}


def literal(text: str) -> Any:
    """A JSON or Python literal; a bare word stands for itself; anything else is what nobody accepts."""
    if re.fullmatch(r"[\w-]+", text):
        return text
    if _NO_COMMA.search(text):
        return Unreadable()  # Python would make one tag of two
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return Unreadable()


class Unreadable:
    """What a value is that cannot be read."""
