"""What a deck file is, by its name and text alone; cheap enough for every build, imports nothing heavy."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

import msgspec

from clx.errors import ConversionError
from clx.jobtypes.notebook.fences import closes_fence, opened_fence


class ProgLang(msgspec.Struct, frozen=True):
    """One programming language that a course can teach."""

    name: str
    """The name in ``course.yaml`` (``prog_lang``), also what kernels and lexers are looked up by."""
    extension: str
    """Extension of decks and of the code format, with its dot."""
    comment: str
    """What starts a comment up to the end of the line."""
    directory: str
    """Directory of the code format in the output tree."""
    display_name: str
    """What people call it."""
    kernel: str
    """Name of the kernel that notebooks for students ask for."""
    kernel_display_name: str
    mime: str


PROG_LANG: dict[str, ProgLang] = {
    language.name: language
    for language in (
        ProgLang("python", ".py", "#", "Python", "Python", "python3", "Python 3 (ipykernel)", "text/x-python"),
        ProgLang("cpp", ".cpp", "//", "Cpp", "C++", "xcpp17", "C++17", "text/x-c++src"),
        ProgLang("csharp", ".cs", "//", "CSharp", "C#", ".net-csharp", ".NET (C#)", "text/x-csharp"),
        ProgLang("java", ".java", "//", "Java", "Java", "java", "Java", "text/x-java-source"),
        ProgLang("typescript", ".ts", "//", "TypeScript", "TypeScript", "tslab", "TypeScript", "text/x-typescript"),
        ProgLang("rust", ".rs", "//", "Rust", "Rust", "rust", "Rust", "text/rust"),
        ProgLang("c", ".c", "//", "C", "C", "c", "C", "text/x-csrc"),
    )
}
"""Every language by its name in ``course.yaml``."""

_FENCE_NAMES = {
    "python": ("py", "python3", "ipython", "ipython3"),
    "cpp": ("c++", "cxx"),
    "csharp": ("c#", "cs"),
    "typescript": ("ts",),
    "rust": ("rs",),
}
MARKDOWN_EXTENSION = ".md"
NOTEBOOK_EXTENSION = ".ipynb"
_BY_EXTENSION = {language.extension: language for language in PROG_LANG.values()}

DECK_EXTENSIONS: frozenset[str] = frozenset(_BY_EXTENSION) | {MARKDOWN_EXTENSION, NOTEBOOK_EXTENSION}
"""Extensions, with their dot, that a deck can have."""

_DECK_PREFIXES = ("slides_", "topic_")
_OTHER_SOURCES = frozenset(
    {
        ".qmd",
        ".rmd",
        ".r",
        ".js",
        ".mjs",
        ".jsx",
        ".tsx",
        ".sql",
        ".jl",
        ".go",
        ".rb",
        ".kt",
        ".scala",
        ".swift",
        ".php",
    }
    | {".lua", ".m", ".hs", ".ml", ".fs", ".clj", ".pl", ".sh", ".ps1", ".rst", ".org", ".tex", ".typ", ".adoc"}
    | {".h", ".hpp", ".cc", ".cxx", ".pyw", ".mdx", ".markdown", ".mkd", ".myst"}
)
"""Extensions of sources that somebody may take for a deck, and that no deck has."""

_NAMING = re.compile(r"<(?:img|a|video|audio|source|track|object|embed|iframe)\b[^<>]*", re.IGNORECASE)
"""A tag that names a file, up to its end; the pattern takes each character once, whatever is not closed."""
_NAMED = re.compile(r"""(?<=[\s"'])(?:src|href|poster|data|(srcset))\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_IN_SET = re.compile(r"(?:^|,)\s*([^\s,]+)")
"""One of the pictures of ``srcset``, before its width or scale."""
_LINK = re.compile(r"\]\(\s*(?:<([^<>\n]*)>|([^\s()<>]+(?:\([^\s()]*\)[^\s()]*)*))")
_REFERENCE = re.compile(r"^[ \t]*(?:(?:#|//)[ \t]*)?\[[^\]\n]+\]:[ \t]+(?:<([^>\n]*)>|(\S+))", re.MULTILINE)
_TICKS = re.compile("`+")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")


def is_deck(name: str) -> bool:
    """Whether a file of this name (no directories) is a deck (design, section 5)."""
    return name.startswith(_DECK_PREFIXES) and name[name.rfind(".") :] in DECK_EXTENSIONS


def is_misnamed(name: str) -> bool:
    """Whether a file is called like a deck, and by its extension is a source that can be none."""
    return name.startswith(_DECK_PREFIXES) and name[name.rfind(".") :].lower() in _OTHER_SOURCES


def decks_among(paths: Iterable[str]) -> list[str]:
    """The decks among some paths, in their order.

    A notebook is none where a text deck among them has its name (jupytext's pair, also in a directory of its own, and
    what nbconvert makes of it): the text wins.
    """
    found = [path for path in paths if is_deck(path[path.rfind("/") + 1 :])]
    if len(found) < 2:
        return found
    texts = {PurePosixPath(path).stem for path in found if not path.endswith(NOTEBOOK_EXTENSION)}
    return [path for path in found if not path.endswith(NOTEBOOK_EXTENSION) or not _stems(path) & texts]


def _stems(path: str) -> set[str]:
    """A file's name without its extension, and without each of its further ones."""
    parts = path.rpartition("/")[2].split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))}


def deck_language(name: str, prog_lang: str) -> ProgLang:
    """The language a deck, by its name or path, is written in: its extension's, else the course's (Markdown, notebook).

    Raises:
        ConversionError: neither says a language CLX knows.
    """
    found = _BY_EXTENSION.get(posixpath.splitext(name)[1]) or PROG_LANG.get(prog_lang)
    if found is None:
        raise ConversionError(
            f"unknown programming language {prog_lang!r}", f"Known languages: {', '.join(PROG_LANG)}."
        )
    return found


def fence_names(language: ProgLang) -> tuple[str, ...]:
    """What a fenced block of a Markdown deck is called, in small letters, when its code is in *language*."""
    return (language.name, *_FENCE_NAMES.get(language.name, ()))


def linked_files(text: str) -> list[str]:
    """Local files that ``src``, ``srcset``, ``href`` and the like of HTML, Markdown links and images in a deck name.

    Returns:
        Each path once, in the order of first use, decoded and without query or fragment, relative to
        the deck. Addresses with a scheme, absolute paths and bare fragments are left out. Code may
        look like a link, so a path is a candidate: the caller keeps those that exist.
    """
    found: dict[str, None] = {}
    for start, end in sorted(_targets(text)):
        path = _local_path(text[start:end].strip())
        if path:
            found[path] = None
    return list(found)


def relinked(
    text: str, files: Mapping[str, str], anchor: Callable[[str], str] | None = None, *, folder: str = ""
) -> str:
    """Markdown whose ``src``, ``srcset``, ``href``, links and images name other files; code in it stays as it is.

    Args:
        files: new paths by old ones, decoded, as :func:`linked_files` gives them.
        anchor: how a fragment behind one of them is written; None: as it is.
        folder: the deck's directory in the course, out of which a path may lead and back again.
    """
    code = _code(text)
    pieces, position, at = [], 0, 0
    for start, end in sorted(_targets(text)):
        while at < len(code) and code[at][1] <= start:
            at += 1
        if start < position or (at < len(code) and code[at][0] < start):
            continue
        pieces += [text[position:start], _renamed(text[start:end], files, anchor, folder)]
        position = end
    return "".join([*pieces, text[position:]])


def _targets(text: str) -> Iterator[tuple[int, int]]:
    """Where the targets of links and images stand."""
    for tag in _NAMING.finditer(text):
        for named in _NAMED.finditer(tag[0]):
            start, end = named.span(named.lastindex or 0)
            if not named[1]:
                yield tag.start() + start, tag.start() + end
            elif "data:" not in (several := tag[0][start:end]):
                for each in _IN_SET.finditer(several):
                    yield tag.start() + start + each.start(1), tag.start() + start + each.end(1)
    for pattern in (_LINK, _REFERENCE):
        for match in pattern.finditer(text):
            if match.lastindex:
                yield match.span(match.lastindex)


def _code(text: str) -> list[tuple[int, int]]:
    """Where code stands in Markdown, in order: fenced blocks, and spans between as many backticks."""
    found: list[tuple[int, int]] = []
    fence, opened, prose, position = "", 0, 0, 0
    for line in text.split("\n"):
        end = min(position + len(line) + 1, len(text))
        if fence and closes_fence(line, fence):
            found.append((opened, end))
            fence, prose = "", end
        elif not fence and (signs := opened_fence(line)):
            found += code_spans(text, prose, position)
            fence, opened = signs, position
        position = end
    return [*found, (opened, position)] if fence else [*found, *code_spans(text, prose, position)]


def code_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Where code stands between as many backticks, in a part of a text without fenced blocks, in order."""
    runs = [match.span() for match in _TICKS.finditer(text, start, end)]
    later: dict[int, int] = {}
    closing: list[int | None] = [None] * len(runs)
    for number in range(len(runs) - 1, -1, -1):
        length = runs[number][1] - runs[number][0]
        closing[number] = later.get(length)
        later[length] = number
    found, number = [], 0
    while number < len(runs):
        closed = closing[number]
        if closed is not None:
            found.append((runs[number][0], runs[closed][1]))
            number = closed
        number += 1
    return found


def _renamed(target: str, files: Mapping[str, str], anchor: Callable[[str], str] | None, folder: str) -> str:
    path = _local_path(target.strip())
    new = files.get(path)
    if new is None and path:
        full = posixpath.normpath(posixpath.join(folder, path))
        new = None if full.startswith("../") else files.get(posixpath.relpath(f"/{full}", f"/{folder}"))
    if new is None:
        return target
    written = re.split("[?#]", target.strip(), maxsplit=1)[0].removeprefix("./")
    from urllib.parse import quote, unquote

    is_plain = written == path and (" " in written or " " not in new)
    address, sign, fragment = target.replace(written, new if is_plain else quote(new), 1).partition("#")
    return f"{address}{sign}{anchor(unquote(fragment)) if anchor and fragment else fragment}"


def _local_path(target: str) -> str:
    if _SCHEME.match(target) or target.startswith(("/", "\\")):
        return ""
    path = target.partition("#")[0].partition("?")[0]
    from urllib.parse import unquote  # a build with nothing to do reads no deck

    return unquote(path).removeprefix("./")
