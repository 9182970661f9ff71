"""What a deck file is, by its name and text alone; cheap enough for every build, imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from clx.errors import ConversionError


@dataclass(frozen=True, slots=True)
class ProgLang:
    """One programming language that a course can teach."""

    name: str
    """The name in ``course.yaml`` (``prog_lang``), also what kernels are looked up by."""
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
    lexer: tuple[str, str]
    """Module and class of the Pygments lexer, so that no lexer has to be searched for."""


PROG_LANG: dict[str, ProgLang] = {
    language.name: language
    for language in (
        ProgLang(
            name="python",
            extension=".py",
            comment="#",
            directory="Python",
            display_name="Python",
            kernel="python3",
            kernel_display_name="Python 3 (ipykernel)",
            mime="text/x-python",
            lexer=("pygments.lexers.python", "PythonLexer"),
        ),
        ProgLang(
            name="cpp",
            extension=".cpp",
            comment="//",
            directory="Cpp",
            display_name="C++",
            kernel="xcpp17",
            kernel_display_name="C++17",
            mime="text/x-c++src",
            lexer=("pygments.lexers.c_cpp", "CppLexer"),
        ),
        ProgLang(
            name="csharp",
            extension=".cs",
            comment="//",
            directory="CSharp",
            display_name="C#",
            kernel=".net-csharp",
            kernel_display_name=".NET (C#)",
            mime="text/x-csharp",
            lexer=("pygments.lexers.dotnet", "CSharpLexer"),
        ),
        ProgLang(
            name="java",
            extension=".java",
            comment="//",
            directory="Java",
            display_name="Java",
            kernel="java",
            kernel_display_name="Java",
            mime="text/x-java-source",
            lexer=("pygments.lexers.jvm", "JavaLexer"),
        ),
        ProgLang(
            name="typescript",
            extension=".ts",
            comment="//",
            directory="TypeScript",
            display_name="TypeScript",
            kernel="tslab",
            kernel_display_name="TypeScript",
            mime="text/x-typescript",
            lexer=("pygments.lexers.javascript", "TypeScriptLexer"),
        ),
        ProgLang(
            name="rust",
            extension=".rs",
            comment="//",
            directory="Rust",
            display_name="Rust",
            kernel="rust",
            kernel_display_name="Rust",
            mime="text/rust",
            lexer=("pygments.lexers.rust", "RustLexer"),
        ),
        ProgLang(
            name="c",
            extension=".c",
            comment="//",
            directory="C",
            display_name="C",
            kernel="c",
            kernel_display_name="C",
            mime="text/x-csrc",
            lexer=("pygments.lexers.c_cpp", "CLexer"),
        ),
    )
}
"""Every language by its name in ``course.yaml``."""

MARKDOWN_EXTENSION = ".md"
_BY_EXTENSION = {language.extension: language for language in PROG_LANG.values()}

DECK_EXTENSIONS: frozenset[str] = frozenset(_BY_EXTENSION) | {MARKDOWN_EXTENSION}
"""Extensions, with their dot, that a deck can have."""

_DECK_PREFIXES = ("slides_", "topic_")

_LINKS = re.compile(
    r"""<img\b[^>]*?\bsrc\s*=\s*(?:"([^"]*)"|'([^']*)')"""  # <img src="…">
    r"""|\]\(\s*(?:<([^>\n]*)>|([^\s()<>]+(?:\([^\s()]*\)[^\s()]*)*))""",  # [text](target), ![alt](<target>)
    re.IGNORECASE,
)
_REFERENCES = re.compile(r"^[ \t]*(?:#|//)?[ \t]*\[[^\]\n]+\]:[ \t]+(?:<([^>\n]*)>|(\S+))", re.MULTILINE)
_MARKDOWN_CODE = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)",
    re.MULTILINE | re.DOTALL,
)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")


def is_deck(name: str) -> bool:
    """Whether a file of this name (no directories) is a deck (design, section 5)."""
    return name.startswith(_DECK_PREFIXES) and name[name.rfind(".") :] in DECK_EXTENSIONS


def deck_language(name: str, prog_lang: str) -> ProgLang:
    """The language a deck is written in: its extension's, or the course's for Markdown decks.

    Args:
        name: name or path of the deck.
        prog_lang: the course's language.

    Raises:
        ConversionError: neither says a language CLX knows.
    """
    found = _BY_EXTENSION.get(PurePosixPath(name).suffix) or PROG_LANG.get(prog_lang)
    if found is None:
        raise ConversionError(
            f"unknown programming language {prog_lang!r}", f"Known languages: {', '.join(PROG_LANG)}."
        )
    return found


def linked_files(text: str) -> list[str]:
    """Local files that ``<img src>``, Markdown links and Markdown images in a deck name.

    Returns:
        Each path once, in the order of first use, decoded and without query or fragment, relative to
        the deck. Addresses with a scheme, absolute paths and bare fragments are left out. Code may
        look like a link, so a path is a candidate: the caller keeps those that exist.
    """
    found: dict[str, None] = {}
    for pattern in (_LINKS, _REFERENCES):
        for match in pattern.finditer(text):
            target = next((group for group in match.groups() if group is not None), "")
            path = _local_path(target.strip())
            if path:
                found[path] = None
    return list(found)


def relinked(text: str, pictures: Mapping[str, str]) -> str:
    """Markdown whose ``<img src>``, links and images name other files.

    Args:
        text: the Markdown; code in it stays as it is.
        pictures: new paths by old ones, decoded, as :func:`linked_files` gives them.
    """
    for pattern in (_LINKS, _REFERENCES):
        pieces, position = [], 0
        for start, end in _targets(text, pattern):
            pieces += [text[position:start], _renamed(text[start:end], pictures)]
            position = end
        text = "".join([*pieces, text[position:]])
    return text


def _targets(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Where the targets of links stand, except for links in code."""
    code = [match.span() for match in _MARKDOWN_CODE.finditer(text)]
    for match in pattern.finditer(text):
        group = match.lastindex
        if group and not any(start < match.start(group) < end for start, end in code):
            yield match.span(group)


def _renamed(target: str, pictures: Mapping[str, str]) -> str:
    path = _local_path(target.strip())
    if path not in pictures:
        return target
    written = re.split("[?#]", target.strip(), maxsplit=1)[0].removeprefix("./")
    from urllib.parse import quote

    return target.replace(written, pictures[path] if written == path else quote(pictures[path]), 1)


def _local_path(target: str) -> str:
    if _SCHEME.match(target) or target.startswith(("/", "\\")):
        return ""
    path = target.partition("#")[0].partition("?")[0]
    from urllib.parse import unquote  # a build with nothing to do reads no deck

    return unquote(path).removeprefix("./")
