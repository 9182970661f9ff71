"""What cells wrote and showed, as HTML. HTML from cells is the course's own code and is passed through."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import isfinite
from typing import Any

from clx.jobtypes.notebook.ansi import ansi_html
from clx.jobtypes.notebook.execution.widgets import WIDGET_VIEW
from clx.jobtypes.notebook.figures import Figures, inside_script
from clx.jobtypes.notebook.markup import Markup
from clx.jobtypes.notebook.widgets_html import UnknownWidgetError, widget_html

_SVG_PROLOG = re.compile(r"^\s*(?:<\?xml.*?\?>\s*)?(?:<!DOCTYPE.*?>\s*)?", re.DOTALL)
_LONG = 30
"""Lines from which on a text output scrolls on the screen."""
_LONG_TEXT = 10_000
"""Characters from which on it does, whatever its lines."""
_FROM_NETWORK = re.compile(
    r"""<(?:script|link)\b[^>]*?\b(?:src|href)\s*=\s*["']?((?:https?:)?//[^/"'\s>]+)"""
    r"""|["'](https?://(?:cdn|unpkg|esm|cdnjs)\b[^/"'\s]*)/""",
    re.IGNORECASE,
)
_OF_NOTEBOOKS = re.compile(r"\brequire(?:js)?\s*(?:\(\s*\[|\.config\b)|\$\(|\bjQuery\b|\bIPython\.|\bJupyter\.")
"""What a program can only use in a notebook's front end."""
_NAMES = {"r": "require.js", "$": "jQuery", "j": "jQuery"}
_ASKS_FIRST = re.compile(r"typeof\s+(?:require|jQuery|IPython|Jupyter|\$)|window\.(?:require|jQuery|IPython|Jupyter)")
_COLOURS = re.compile(r"\bbackground(?:-color)?\s*:|\bbgcolor\s*=|[\s;\"'{]color\s*:|<font\b[^>]*\bcolor", re.IGNORECASE)
_FOLLOWS = re.compile(r"--jp-|prefers-color-scheme|light-dark\(")
WarnOfOutput = Callable[[str], None]
"""Told of an output that a page cannot show; the text goes on from the words that name its cell."""


class OutputWriter:
    """Writes the outputs of the cells of one page.

    Args:
        markup: renders Markdown and formulas.
        figures: what the page's figures are drawn by.
    """

    def __init__(self, markup: Markup, figures: Figures) -> None:
        self._markup = markup
        self._figures = figures

    def html(self, outputs: Sequence[Mapping[str, Any]], label: str, warn: WarnOfOutput) -> str:
        """The outputs of one cell, as in nbformat 4.

        Args:
            label: says in the page's language what they are.
            warn: told of each that a page cannot show, or not without a network.
        """
        return "".join(self._output(output, label, warn) for output in outputs)

    def _output(self, output: Mapping[str, Any], label: str, warn: WarnOfOutput) -> str:
        kind = output.get("output_type")
        if kind == "stream":
            css = "stderr" if output.get("name") == "stderr" else "stdout"
            return _text(_joined(output.get("text", "")), css)
        if kind == "error":
            lines = output.get("traceback") or [f"{output.get('ename')}: {output.get('evalue')}"]
            return _text("\n".join(lines), "error")
        return self._data(output.get("data", {}), output.get("metadata", {}), label, warn)

    _PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")


def _picture(mime: str, metadata: Mapping[str, Any], label: str) -> Callable[[str], str]:
    size = _size(metadata, mime)
    return lambda data: _image(mime, "".join(data.split()), size, label)


def _svg(text: str, size: str, label: str) -> str:
    """As a picture of its own: ids of several drawings in one page would meet otherwise."""
    data = base64.b64encode(_SVG_PROLOG.sub("", text).encode()).decode("ascii")
    return _image("image/svg+xml", data, size, label)


def _image(mime: str, data: str, size: str, label: str) -> str:
    return f'<img alt="{escape(label)}"{size} src="data:{mime};base64,{escape(data)}">\n'


def _size(metadata: Mapping[str, Any], mime: str) -> str:
    """Width and height that the cell asked for, in CSS pixels."""
    own = metadata.get(mime, {})
    wanted = own if isinstance(own, Mapping) else {}
    sizes = {name: wanted.get(name) for name in ("width", "height")}
    return "".join(
        f' {name}="{int(size)}"' for name, size in sizes.items() if isinstance(size, int | float) and isfinite(size)
    )
