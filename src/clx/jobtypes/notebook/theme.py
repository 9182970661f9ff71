"""How pages look: light and dark colours, and what a course adds (``theme:`` in its file)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from clx.errors import ConversionError

LOGO_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
"""What a logo may be, by the ending of its file."""
MODES = ("auto", "light", "dark")

_SCHEME = re.compile(r"@media\s+(?:screen\s+and\s+)?\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)\s*\{")
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_ELSEWHERE = re.compile(r"@import\b[^;]*|\burl\(\s*[\"']?(?!data:|#)([^\"')]*)", re.IGNORECASE)


class ThemeFiles(msgspec.Struct, frozen=True):
    """What a course says of its pages' look: paths below the course root; ``""``: nothing."""

    css: str = ""
    logo: str = ""
    mode: Literal["auto", "light", "dark"] = "auto"

    @property
    def files(self) -> list[str]:
        """The files that are read."""
        return [path for path in (self.css, self.logo) if path]


class Theme(msgspec.Struct, frozen=True):
    """What a page needs of it: style rules, the logo's address, and whether it is always light or dark."""

    css: str = ""
    logo: str = ""
    mode: Literal["auto", "light", "dark"] = "auto"


def read_theme(files: ThemeFiles, root: Path) -> Theme:
    """The theme of a course.

    Raises:
        ConversionError: the rules cannot be read, or name files: a page is one file.
    """
    css = _rules(files.css, root) if files.css else ""
    logo = ""
    if files.logo:
        data = base64.b64encode((root / files.logo).read_bytes()).decode("ascii")
        logo = f"data:{LOGO_TYPES[Path(files.logo).suffix.lower()]};base64,{data}"
    return Theme(css, logo, files.mode)


def _rules(path: str, root: Path) -> str:
    try:
        text = (root / path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConversionError(f"{path} is not UTF-8", "Save the theme as UTF-8.") from None
    bare = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    if named := _ELSEWHERE.search(bare):
        line = bare.count("\n", 0, named.start()) + 1
        fact = f"{path}, line {line}: {named[0].strip()} names another file, and a page is one file"
        raise ConversionError(fact, "Write it out, or embed it as url(data:…).")
    lines = [line.strip() for line in bare.splitlines() if line.strip()]
    # a style element ends at the first "</style", wherever it stands
    return in_both_modes("\n".join(lines)).replace("</", "<\\/")


def in_both_modes(css: str) -> str:
    """*css* with every ``@media (prefers-color-scheme: …)`` also obeying ``data-theme`` of the page.

    A page without the attribute looks as the system asks for, one with it as it says; paper is as it was.
    The weight of the selectors stays.
    """
    return "".join(_pieces(css))


def _pieces(css: str) -> Iterator[str]:
    position = 0
    while found := _SCHEME.search(css, position):
        end = _end_of_block(css, found.end())
        rules, mode = css[found.end() : end], found[1]
        yield css[position : found.start()]
        yield f"@media screen and (prefers-color-scheme: {mode}) {{\n"
        yield _where(rules, ":not([data-theme])") + "}\n@media screen {\n"
        yield _where(rules, f'[data-theme="{mode}"]') + "}"
        position = end + 1
    yield css[position:]


def _end_of_block(css: str, start: int) -> int:
    depth = 1
    for index in range(start, len(css)):
        depth += {"{": 1, "}": -1}.get(css[index], 0)
        if not depth:
            return index
    return len(css)


def _where(rules: str, condition: str) -> str:
    """Plain rules that hold where the root has what *condition* says."""
    return "".join(
        f"{', '.join(_selector(each, condition) for each in _listed(selectors))} {{{body}}}\n"
        for selectors, body in _RULE.findall(rules)
    )


def _selector(selector: str, condition: str) -> str:
    for root in (":root", "html"):
        if selector.startswith(root):
            return f"{root}:where({condition}){selector.removeprefix(root)}"
    return f":where(:root{condition}) {selector}"


def _listed(selectors: str) -> list[str]:
    """The parts of a list of selectors; commas in brackets do not part it."""
    return [each.strip() for each in re.split(r",(?![^()]*\))", selectors)]
