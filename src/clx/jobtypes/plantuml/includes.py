"""Which files a PlantUML source names, so that they are there when it is converted.

Only names that are written out can be found. A name put together by the preprocessor
(``!include $folder/part.puml``) is left to the topic's other files and to ``inputs:`` in the course.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from clx.regular import open_regular

_NAMED = re.compile(
    r"""
      ^[ \t]*!include(?:_many|_once|sub)?\s+(?P<include>[^\s<][^\r\n]*)
    | ^[ \t]*!import\s+(?P<archive>\S+)
    | ^[ \t]*!theme\s+(?P<theme>[\w-]+)\s+from\s+(?P<folder>[^<\s]\S*)
    | ^[ \t]*sprite\s+\$?\w+\s+(?P<sprite>[^\s\[{<]+\.\w+)
    | <img:(?P<picture>[^>{]+)
    | %load_json\(\s*["'](?P<json>[^"']+)["']
    """,
    re.VERBOSE | re.MULTILINE,
)
_START = re.compile(r"^\s*@start", re.MULTILINE)
_URL = re.compile(r"[a-z]{2,}:", re.IGNORECASE)
_TEXT_LIMIT = 2 * 1024 * 1024
"""Bytes; a larger file that is included is passed on but not searched."""


def includes(text: str) -> list[str]:
    """The files that *text* names, as written, each once and in order.

    Includes, sub-includes, themes from a folder, archives, sprites, pictures and JSON files; not what comes
    from PlantUML's standard library (``<C4/C4_Container>``), from the network or from a variable.
    """
    found = (_name(match) for match in _NAMED.finditer(text))
    return list(dict.fromkeys(name for name in found if name and "$" not in name and not _URL.match(name)))


def closure(source: Path, root: Path) -> list[Path]:
    """Every existing file below *root* that *source* needs, directly or through what it includes, sorted; not itself.

    What is missing or lies outside (also by a symbolic link) is left out: the conversion then says which line names it.
    """
    top = root.resolve()
    start = source.resolve()
    found: dict[Path, None] = {}
    waiting = [start]
    while waiting:
        file = waiting.pop()
        for name in includes(_read(file)):
            # PlantUML looks beside the including file for includes, beside the source for everything else
            for candidate in (file.parent / name, start.parent / name):
                path = _inside(candidate, top)
                if path and path != start and path not in found:
                    found[path] = None
                    waiting.append(path)
    return sorted(root / path.relative_to(top) for path in found)


def _name(match: re.Match[str]) -> str:
    if match["theme"]:
        return f"{match['folder'].rstrip('/')}/puml-theme-{match['theme']}.puml"
    if match["include"]:
        # A trailing !name or !2 chooses a part of the file.
        return match["include"].partition("!")[0].strip().strip('"')
    return next(value for value in match.groups() if value).strip()


def _inside(candidate: Path, top: Path) -> Path | None:
    # Names are tidied as text first: that is how PlantUML reads "missing/../there.puml".
    path = Path(os.path.normpath(candidate)).resolve()
    return path if path.is_relative_to(top) and path.is_file() else None


def _read(file: Path) -> str:
    try:
        with open_regular(file) as source:
            return source.read(_TEXT_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""


def has_diagram(source: Path) -> bool:
    """Whether a source has a diagram; one without is only included by others. What is empty or no text should have."""
    try:
        with open_regular(source) as stream:
            text = stream.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return True
    return not text.strip() or _START.search(text) is not None


def including_line(text: str, name: str) -> int | None:
    """0-based number of the line of *text* that names a file called *name*; ``None`` when none does."""
    for number, line in enumerate(text.split("\n")):
        if any(Path(found).name == name for found in includes(line)):
            return number
    return None
