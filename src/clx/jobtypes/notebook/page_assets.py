"""The style sheets and scripts of all pages: cheap to ask for, imports nothing that reads or renders decks."""

from __future__ import annotations

import functools
from pathlib import Path

from markupsafe import Markup as SafeText

from clx.jobtypes.notebook.theme import in_both_modes

_ASSETS = Path(__file__).with_name("assets")
_STYLES = (
    *("page.css", "formulas.css", "folds.css", "boxes.css", "mermaid.css", "controls.css", "outputs.css"),
    "slides.css",
)
"""The style sheets of every page, in order."""
_SCRIPTS: tuple[str, ...] = ("controls.js", "slides.js")
"""The scripts of every page, in order."""


@functools.cache
def page_css() -> SafeText:
    """The style sheets of pages, without their comments and indentation."""
    return SafeText(in_both_modes(_lines("/*", *_STYLES)) + "\n")  # noqa: S704 - CLX's own files


@functools.cache
def page_script() -> SafeText:
    """What runs once a page is there."""
    return SafeText(_lines("//", *_SCRIPTS))  # noqa: S704 - CLX's own files


@functools.cache
def early_script() -> SafeText:
    """What runs before anything of a page is shown: it chooses light or dark colours."""
    return SafeText(_lines("//", "early.js"))  # noqa: S704 - CLX's own files


@functools.cache
def controls_script() -> SafeText:
    """What makes the buttons of a page work."""
    return SafeText(_lines("//", "controls.js"))  # noqa: S704 - CLX's own files


def _lines(comment: str, *names: str) -> str:
    return "\n".join(squeezed(asset(name), comment) for name in names)


def squeezed(text: str, comment: str = "/*") -> str:
    """A file without indentation, empty lines, and those of comments; no text in it goes over lines."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(comment))


def asset(name: str) -> str:
    """The text of a file that pages are made with."""
    return (_ASSETS / name).read_text(encoding="utf-8")
