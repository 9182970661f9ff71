"""What cells wrote and showed, as HTML. HTML from cells is the course's own code and is passed through."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import isfinite
from typing import Any

from clx.jobtypes.notebook.ansi import ansi_html
from clx.jobtypes.notebook.markup import Markup

_SVG_PROLOG = re.compile(r"^\s*(?:<\?xml.*?\?>\s*)?(?:<!DOCTYPE.*?>\s*)?", re.DOTALL)
_LONG = 30
"""Lines from which on a text output scrolls on the screen."""
_LONG_TEXT = 10_000
"""Characters from which on it does, whatever its lines."""


def outputs_html(outputs: Sequence[Mapping[str, Any]], markup: Markup, label: str) -> str:
    """The outputs of one cell, as in nbformat 4; *label* says in the page's language what they are."""
    return "".join(_output(output, markup, label) for output in outputs)


def _output(output: Mapping[str, Any], markup: Markup, label: str) -> str:
    kind = output.get("output_type")
    if kind == "stream":
        css = "stderr" if output.get("name") == "stderr" else "stdout"
        return _text(_joined(output.get("text", "")), css)
    if kind == "error":
        lines = output.get("traceback") or [f"{output.get('ename')}: {output.get('evalue')}"]
        return _text("\n".join(lines), "error")
    return _data(output.get("data", {}), output.get("metadata", {}), markup, label)


def _text(text: str, css: str) -> str:
    text = text.rstrip("\n")
    if not text.strip():
        return ""
    scroll = ' tabindex="0"' if text.count("\n") >= _LONG or len(text) >= _LONG_TEXT else ""
    css += " long" if scroll else ""
    return f'<pre class="{css}"{scroll}>{ansi_html(text)}</pre>\n'


def _joined(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _data(data: Mapping[str, Any], metadata: Mapping[str, Any], markup: Markup, label: str) -> str:
    renderers: dict[str, Callable[[str], str]] = {
        "text/html": lambda text: f'<div class="html">{text}</div>\n',
        "text/markdown": lambda text: f'<div class="html">{markup.html(text, doc="out", in_contents=False)}</div>\n',
        "image/svg+xml": lambda text: _svg(text, _size(metadata, "image/svg+xml"), label),
        "text/latex": lambda text: f'<div class="html">{markup.latex(text)}</div>\n',
        **{mime: _picture(mime, metadata, label) for mime in _PICTURES},
        "application/javascript": lambda text: f"<script>{text}</script>\n",
        "text/plain": lambda text: _text(text, "result"),
    }
    mime = next((mime for mime in renderers if mime in data), None)
    return renderers[mime](_joined(data[mime])) if mime else ""


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
