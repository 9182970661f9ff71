"""Writing the pages of a course as a whole, and the scripts that pages draw the way and the search from."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from jinja2 import Environment, Template
from markupsafe import Markup as SafeText

from clx.course.pages.page_text import FORM, Section
from clx.jobtypes.notebook.labels import direction
from clx.jobtypes.notebook.page_assets import controls_script, early_script, page_css, squeezed
from clx.jobtypes.notebook.theme import Theme

_ASSETS = Path(__file__).with_name("assets")
_SEARCH_HEAD = f"/* CLX {FORM} */ clxSearch("
_TAIL = ");\n"
_IN_SCRIPT = ("previous", "next", "way", "search", "found", "nothing", "unsearchable", "new", "changed")
_encode = msgspec.json.encode

_Data = TypeVar("_Data")

Found = Mapping[str, tuple[str, Sequence[Section] | msgspec.Raw]]
"""By link to a page: the digest of its bytes, and what can be found on it."""


def index_page(lang: str, heading: str, words: Mapping[str, str], theme: Theme, **parts: Any) -> bytes:
    """One page of links; what it shows is named by its template, and what is left out is not there."""
    shown = {
        "course": heading,
        "kind": "",
        "tables": (),
        "sections": (),
        "courses": (),
        "editions": (),
        "author": "",
        **parts,
    }
    text = _template().render(
        lang=lang,
        heading=heading,
        words=words,
        theme=theme,
        direction=direction(lang),
        css=_css() + SafeText(theme.css),  # noqa: S704 - the course's own, see theme.py of pages
        early=early_script() if theme.mode == "auto" else "",
        script=controls_script(),
        **shown,
    )
    return text.encode("utf-8", "replace")


def navigation_script(
    words: Mapping[str, str], course: str, decks: Sequence[Sequence[str]], sections: Sequence[str]
) -> bytes:
    """The script beside an index.

    Args:
        decks: section (as text of a number), link, label and a digest of what each says.
    """
    data = {"course": course, "sections": sections, "decks": decks, "words": {name: words[name] for name in _IN_SCRIPT}}
    return navigation_of(data)


def navigation_of(data: Mapping[str, Any]) -> bytes:
    """The script that hands *data* over to what draws the way."""
    return f"{_navigation_head()}{_text(data)}{_TAIL}".encode("utf-8", "replace")


def read_navigation(script: bytes) -> dict[str, Any]:
    """What an earlier build has handed over.

    Raises:
        LookupError: it is of another form.
    """
    return _handed_over(script, _navigation_head(), dict[str, Any])


@functools.cache
def _navigation_head() -> str:
    code = _asset("course.js").replace('"@style@"', _encode(squeezed(_asset("course.css"))).decode())
    return f"{code.rstrip()}("


def search_script(found: Found) -> bytes:
    """What is searched, as a script that hands it over."""
    return f"{_SEARCH_HEAD}{_text(found)}{_TAIL}".encode("utf-8", "replace")


def read_search_script(script: bytes) -> dict[str, tuple[str, list[Section]]]:
    """What an earlier build has found; nothing if it is of another form."""
    try:
        return _handed_over(script, _SEARCH_HEAD, dict[str, tuple[str, list[Section]]])
    except LookupError:
        return {}


def read_pieces(script: bytes) -> dict[str, tuple[str, msgspec.Raw]]:
    """As :func:`read_search_script`, each page's text as it is written there.

    Raises:
        LookupError: it is of another form.
    """
    return _handed_over(script, _SEARCH_HEAD, dict[str, tuple[str, msgspec.Raw]])


def _handed_over(script: bytes, head: str, type_: type[_Data]) -> _Data:
    first, last = head.encode(), _TAIL.encode()
    if not script.startswith(first) or not script.endswith(last):
        raise LookupError("a script of another form")
    try:
        return msgspec.json.decode(script[len(first) : -len(last)], type=type_)
    except msgspec.MsgspecError as error:
        raise LookupError("a script of another form") from error


def _text(data: Any) -> str:
    return _encode(data).decode("utf-8", "replace")


def get_ready() -> None:
    """Do now what the first page would wait for."""
    _template()
    _css()


@functools.cache
def _template() -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("index.html.j2"))


@functools.cache
def _css() -> SafeText:
    return SafeText(f"{page_css()}\n{squeezed(_asset('index.css'))}")  # noqa: S704 - CLX's own files


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
