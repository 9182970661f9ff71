"""TeX formulas as MathML, which browsers show without scripts or fonts from elsewhere."""

from __future__ import annotations

import functools
import re
from html import escape

_ENVIRONMENTS = {"aligned": "align*", "split": "align*", "gathered": "gather*", "eqnarray": "align"}
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(aligned|split|gathered|eqnarray)\}")
_DROPPED = re.compile(r"\\label\{[^}]*\}|\\(?:nonumber|notag)\b")
_UNREAD = re.compile(r"<m[io]>(?:\\[a-zA-Z]+|&)</m[io]>")


def mathml(tex: str, *, display: bool) -> str | None:
    """A ``<math>`` element, or ``None`` when the formula uses something the converter does not know."""
    found = _convert(tex.strip(), "block" if display else "inline")
    return found or None


def as_source(tex: str) -> str:
    """What is shown instead of a formula that cannot be typeset."""
    return f'<code class="tex">{escape(tex.strip(), quote=False)}</code>'


@functools.lru_cache(maxsize=1024)
def _convert(tex: str, display: str) -> str:
    from latex2mathml.converter import convert

    readable = _ENVIRONMENT.sub(lambda match: rf"\{match[1]}{{{_ENVIRONMENTS[match[2]]}}}", tex)
    try:
        found = str(convert(_DROPPED.sub("", readable), display=display))
    except Exception:  # its parser raises whatever its data structures raise
        return ""
    return "" if _UNREAD.search(found) else found.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
