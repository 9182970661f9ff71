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
from clx.jobtypes.notebook.stable_ids import StableIds
from clx.jobtypes.notebook.widgets_html import UnknownWidgetError, widget_html

_SVG_PROLOG = re.compile(r"^\s*(?:<\?xml.*?\?>\s*)?(?:<!DOCTYPE.*?>\s*)?", re.DOTALL)
_LONG = 30
"""Lines from which on a text output scrolls on the screen."""
_LONG_TEXT = 10_000
"""Characters from which on it does, whatever its lines."""
_FROM_NETWORK = re.compile(
    r"""<(?:script|link)\b[^>]*?\b(?:src|href)\s*=\s*["']?((?:https?:)?//[^/"'\s>]+)(?!\S*mathjax)"""
    r"""|["'](https?://(?:cdn|unpkg|esm|cdnjs)\b[^/"'\s]*)/(?![^"'\s]*mathjax)""",
    re.IGNORECASE,
)
"""Of MathJax, which plotly asks for, figures need nothing."""
_OF_NOTEBOOKS = re.compile(r"\brequire(?:js)?\s*(?:\(\s*\[|\.config\b)|\$\(|\bjQuery\b|\bIPython\.|\bJupyter\.")
"""What a program can only use in a notebook's front end."""
_BRINGS_ITS_OWN = 500_000
"""Characters from which on HTML has its libraries in itself; they name addresses that they never load."""
_NAMES = {"r": "require.js", "$": "jQuery", "j": "jQuery"}
_ASKS_FIRST = re.compile(r"typeof\s+(?:require|jQuery|IPython|Jupyter|\$)|window\.(?:require|jQuery|IPython|Jupyter)")
_COLOURS = re.compile(
    r"""(?:\bstyle\s*=\s*(?:"[^"]*|'[^']*)|<style\b[^<]*)(?<![\w-])(?:background(?:-color|-image)?|color)\s*:"""
    r"""|<[^<>]*\sbgcolor\s*=|<font\b[^<>]*\scolor\s*=""",
    re.IGNORECASE,
)
_LOOKED_AT = 200_000
"""Characters of an output in which its colours are looked for; styles stand in front."""
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
        self._ids = StableIds()

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

    def _data(self, data: Mapping[str, Any], metadata: Mapping[str, Any], label: str, warn: WarnOfOutput) -> str:
        widget = self._widget(data, label, warn) if WIDGET_VIEW in data else None
        if widget is not None:
            return widget
        figure = self._figures.html(data, metadata, label, warn)
        if figure is not None:
            return figure
        renderers = self._renderers(metadata, label, warn)
        mime = next((mime for mime in renderers if mime in data), None)
        if mime in {None, "text/plain"} and WIDGET_VIEW not in data:
            _warn_of_unshown(data, warn)
        return renderers[mime](_joined(data[mime])) if mime else ""

    def _renderers(
        self, metadata: Mapping[str, Any], label: str, warn: WarnOfOutput
    ) -> dict[str, Callable[[str], str]]:
        """What shows each type of output, the best one first."""
        markup = self._markup
        return {
            "text/html": lambda text: _html(self._ids.html(text), warn),
            "text/markdown": lambda text: _html(markup.html(text, doc="out", in_contents=False), warn),
            "image/svg+xml": lambda text: _svg(text, _size(metadata, "image/svg+xml"), label),
            "text/latex": lambda text: f'<div class="html">{markup.formulas.latex(text)}</div>\n',
            **{mime: _picture(mime, metadata, label) for mime in _PICTURES},
            "application/javascript": lambda text: _script(self._ids.named(text), warn),
            "application/json": lambda text: _text(text, "result"),
            "text/plain": lambda text: _text(text, "result"),
        }

    def _widget(self, data: Mapping[str, Any], label: str, warn: WarnOfOutput) -> str | None:
        """The widget of a view; None where something else has to be shown, which is warned of."""
        view = data[WIDGET_VIEW]
        if not isinstance(view, Mapping) or "widget" not in view:
            warn("its widget cannot be shown on a page: nothing is known of its state")
            return None
        if view["widget"] is None:
            return ""  # it was closed, and is gone from a notebook, too
        try:
            html = widget_html(view["widget"], lambda outputs: self.html(outputs, label, warn))
        except UnknownWidgetError as unknown:
            warn(f"its widget ({unknown}) cannot be shown on a page")
            return None
        return f'<div class="widget">{html}</div>\n'


def _warn_of_unshown(data: Mapping[str, Any], warn: WarnOfOutput) -> None:
    """Warn when an output has forms, and none but its text can be shown."""
    others = sorted(set(data) - {"text/plain"})
    if not data:
        warn("an output of it is empty")
    elif others:
        instead = "; its text is shown instead" if "text/plain" in data else ""
        warn(f"its output ({', '.join(others)}) cannot be shown on a page{instead}")


def _html(text: str, warn: WarnOfOutput) -> str:
    if "<script" in text and len(text) < _BRINGS_ITS_OWN:
        _warn_of_script(text, warn)
    css = "html plate" if brings_colours(text) else "html"
    return f'<div class="{css}">{text}</div>\n'


def _script(text: str, warn: WarnOfOutput) -> str:
    """A program of a cell; ``element`` is where it may show something, as in Jupyter."""
    _warn_of_script(text, warn)
    element = "var element = document.currentScript.parentElement;"
    return f'<div class="html"><script>{element}\n{inside_script(text)}</script></div>\n'


def _warn_of_script(text: str, warn: WarnOfOutput) -> None:
    if found := _FROM_NETWORK.search(text):
        warn(f"its output loads a program from the network ({found[1] or found[2]}), without which it is empty")
    elif (found := _OF_NOTEBOOKS.search(text)) and not _ASKS_FIRST.search(text):
        warn(f"its output needs {_NAMES.get(found[0][0], 'Jupyter')}, which a page has not")


def brings_colours(html: str) -> bool:
    """Whether a piece of HTML sets colours that were chosen for white paper.

    What knows Jupyter's own names of colours, or asks whether the reader has it dark, follows the page.
    """
    return bool(_COLOURS.search(html, 0, _LOOKED_AT)) and not _FOLLOWS.search(html, 0, _LOOKED_AT)


def _text(text: str, css: str) -> str:
    text = text.rstrip("\n")
    if not text.strip():
        return ""
    scroll = ' tabindex="0"' if text.count("\n") >= _LONG or len(text) >= _LONG_TEXT else ""
    css += " long" if scroll else ""
    return f'<pre class="{css}"{scroll}>{ansi_html(text)}</pre>\n'


def _joined(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


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
