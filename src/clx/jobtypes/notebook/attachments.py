"""Pictures that are attached to a cell (``![](attachment:a.png)``): in pages they are part of the page."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from html import unescape
from typing import Any
from urllib.parse import unquote

_NAMED = re.compile(
    r"""(?<=[\s"'])((?:src|href)\s*=\s*)(?:"attachment:([^"<>]*)"|'attachment:([^'<>]*)')""", re.IGNORECASE
)
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


def embedded(html: str, attachments: Mapping[str, Any], tell: Callable[[str], object]) -> str:
    """The HTML of a cell with what is attached to it inside.

    Args:
        attachments: by name, by media type, in base64.
        tell: is told the name of each that is not there, or cannot be read.
    """

    def within(match: re.Match[str]) -> str:
        name = unquote(unescape(match[2] or match[3] or ""))
        found = _data(attachments.get(name))
        if not found:
            tell(name)
            return match[0]
        return f'{match[1]}"{found}"'

    return _NAMED.sub(within, html) if "attachment:" in html else html


def named_in(source: str, attachments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a cell's attachments that its text names: no other goes into a notebook."""
    text = unquote(source)
    return {name: data for name, data in attachments.items() if f"attachment:{name}" in text}


def _data(bundle: Any) -> str:
    """An attachment as an address; empty where it is none."""
    for media_type, data in bundle.items() if isinstance(bundle, Mapping) else ():
        text = "".join(data) if isinstance(data, list) else data
        if isinstance(text, str) and _MEDIA_TYPE.fullmatch(str(media_type)):
            try:
                raw = base64.b64decode("".join(text.split()), validate=True)
            except (binascii.Error, ValueError):
                continue
            return f"data:{media_type};base64,{base64.b64encode(raw).decode()}"
    return ""
