"""TeX formulas as MathML, which browsers show without scripts or fonts from elsewhere."""

from __future__ import annotations

import functools
import re
from html import escape, unescape
from xml.etree.ElementTree import tostring

_ENVIRONMENTS = {"aligned": "align*", "split": "align*", "gathered": "gather*", "eqnarray": "align"}
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(aligned|split|gathered|eqnarray)\}")
_DROPPED = re.compile(r"\\label\{[^}]*\}|\\(?:nonumber|notag)\b")
_UNREAD = re.compile(r"<m[io]>(?:\\[a-zA-Z]+|&amp;)</m[io]>")

_HARMLESS_LINK = re.compile(r"(?:https?:|mailto:|[^:]*(?:[/?#]|\Z))", re.IGNORECASE)
"""What ``\\href`` may name: a browser would run ``javascript:`` addresses."""


def mathml(tex: str, *, display: bool) -> str | None:
    """A ``<math>`` element, or ``None`` when the formula uses something the converter does not know."""
    found = _convert(tex.strip(), "block" if display else "inline")
    return found or None


def as_source(tex: str) -> str:
    """What is shown instead of a formula that cannot be typeset."""
    return f'<code class="tex">{escape(tex.strip(), quote=False)}</code>'


@functools.lru_cache(maxsize=1024)
def _convert(tex: str, display: str) -> str:
    from latex2mathml.converter import Converter

    readable = _ENVIRONMENT.sub(lambda match: rf"\{match[1]}{{{_ENVIRONMENTS[match[2]]}}}", tex)
    try:
        math = Converter(display=display).convert_to_element(_DROPPED.sub("", readable))
    except Exception:  # its parser raises whatever its data structures raise
        return ""
    # The library's own way to text leaves everything unescaped, because its symbols are character references.
    for element in math.iter():
        element.text = unescape(element.text or "")
        for name, value in element.items():
            element.set(name, unescape(value))
        if not _HARMLESS_LINK.match(element.get("href", "#")):
            return ""
    math.attrib.pop("xmlns")
    found = tostring(math, encoding="unicode", short_empty_elements=False)
    return "" if _UNREAD.search(found) else found
