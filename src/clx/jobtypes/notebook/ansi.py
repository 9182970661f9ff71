"""Terminal text as HTML: colours, bold and the like, progress bars that overwrite their line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from html import escape
from itertools import islice

_ESCAPE = re.compile(r"\x1b(?:\[([0-9;:]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LEVELS = (0, 95, 135, 175, 215, 255)


@dataclass(frozen=True, slots=True)
class _Style:
    fg: str = ""
    bg: str = ""
    flags: str = ""
    """One letter per attribute: bold, dim, italic, underlined."""


_FLAGS = {1: "b", 2: "d", 3: "i", 4: "u"}
_UNFLAGS = {22: "bd", 23: "i", 24: "u"}


def ansi_html(text: str) -> str:
    """*text* with its escape sequences turned into spans, everything else escaped."""
    text = _overwritten(text)
    if "\x1b" not in text:
        return escape(text, quote=False)
    return "".join(_span(part, style) for part, style in _runs(text))


def _overwritten(text: str) -> str:
    """What a terminal shows after carriage returns and backspaces."""
    if "\r" not in text and "\b" not in text:
        return text
    text = text.replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "\n".join(_erased(line) if "\b" in line else line for line in lines)


def _erased(line: str) -> str:
    kept: list[str] = []
    for char in line:
        if char == "\b":
            del kept[-1:]
        else:
            kept.append(char)
    return "".join(kept)


def _runs(text: str) -> Iterator[tuple[str, _Style]]:
    style = _Style()
    position = 0
    for match in _ESCAPE.finditer(text):
        if match.start() > position:
            yield text[position : match.start()], style
        position = match.end()
        if match[2] == "m":
            style = _applied(style, (int(code[:4] or 0) for code in re.split("[;:]", match[1])))
    yield text[position:].replace("\x1b", ""), style


def _applied(style: _Style, codes: Iterable[int]) -> _Style:
    codes = iter(codes)
    for code in codes:
        if code == 0:
            style = _Style()
        elif code in _FLAGS:
            style = replace(style, flags="".join(sorted({*style.flags, _FLAGS[code]})))
        elif code in _UNFLAGS:
            style = replace(style, flags="".join(flag for flag in style.flags if flag not in _UNFLAGS[code]))
        elif code in (38, 48):
            colour = _extended(codes)
            style = replace(style, fg=colour) if code == 38 else replace(style, bg=colour)
        elif code == 39 or 30 <= code <= 37 or 90 <= code <= 97:
            style = replace(style, fg=_named(code, 30))
        elif code == 49 or 40 <= code <= 47 or 100 <= code <= 107:
            style = replace(style, bg=_named(code, 40))
    return style


def _named(code: int, base: int) -> str:
    number = code - base
    if number == 9:
        return ""
    return str(number if number < 8 else number - 52)


def _extended(codes: Iterator[int]) -> str:
    """The colour after 38 or 48; takes its codes away."""
    how = next(codes, 0)
    values = list(islice(codes, {5: 1, 2: 3}.get(how, 0)))
    if how == 5 and values:
        return _indexed(values[0])
    if how == 2 and len(values) == 3:
        red, green, blue = (min(value, 255) for value in values)
        return f"#{red:02x}{green:02x}{blue:02x}"
    return ""


def _indexed(number: int) -> str:
    if number < 16:
        return str(number)
    if number > 231:
        grey = min(8 + (number - 232) * 10, 255)
        return f"#{grey:02x}{grey:02x}{grey:02x}"
    cube = number - 16
    red, green, blue = _LEVELS[cube // 36], _LEVELS[cube // 6 % 6], _LEVELS[cube % 6]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _span(text: str, style: _Style) -> str:
    if not text:
        return ""
    classes = [f"a{flag}" for flag in style.flags]
    inline = []
    for colour, prefix, name in ((style.fg, "af", "color"), (style.bg, "ag", "background")):
        if colour.startswith("#"):
            inline.append(f"{name}:{colour}")
        elif colour:
            classes.append(f"{prefix}{colour}")
    found = f' class="{" ".join(classes)}"' if classes else ""
    found += f' style="{";".join(inline)}"' if inline else ""
    body = escape(text, quote=False)
    return f"<span{found}>{body}</span>" if found else body
