"""Cell markers of the percent format: ``# %% [markdown] lang="de" tags=["slide"]``.

Decks in the wild have odd blanks, swapped attributes and titles in their markers; all of them are read.
What would silently lose a tag, and with it perhaps a secret, is an error: a misspelt attribute, a tag
outside of ``tags=[…]``, a tag that is nearly one that CLX knows.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Literal

from clx.errors import ConversionError
from clx.jobtypes.notebook.attributes import Unreadable, literal, meaning_of, slide_type_of
from clx.jobtypes.notebook.labels import as_language

ATTACHED = "clx-attached"
"""The attribute by which a cell that comes from a notebook names what is attached to it."""
ESCAPE = "\ufdd2"
"""Stands in front of text of a notebook that would be a marker; a character that no text has."""

CellKind = Literal["code", "markdown", "raw"]

KNOWN_TAGS = frozenset(
    {
        *("keep", "start", "alt", "answer", "notes", "private", "del"),
        *("slide", "subslide", "fragment", "incremental", "raises-exception", "skip-execution", "collapse"),
        *("hide-input", "hide-output", "hide-cell", "remove-input", "remove-output", "remove-cell"),
    }
)
"""The tags that choose variants (:mod:`clx.jobtypes.notebook.variants`), and those of Jupyter and its book that say
whether a cell may fail, runs, and what of it a page shows."""
HIDDEN_TAGS = frozenset({"notes", "private", "del"})
"""Tags of cells that no student gets."""

_SPELLINGS = {tag.replace("-", "_"): tag for tag in KNOWN_TAGS if tag.startswith(("hide-", "remove-", "skip-"))}
"""Tags as nbconvert's own examples spell them."""
_KINDS: dict[str, CellKind] = {"markdown": "markdown", "md": "markdown", "raw": "raw", "code": "code"}
_KIND = re.compile(r"\[\s*(markdown|md|raw|code)\s*\]", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""(?<![\w.@/-])(?P<key>[\w.@/-]+)\s*=\s*
    (?P<value>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | \[[^\]]*\]? | \{[^{}]*\} | [^\s\[]+)""",
    re.VERBOSE,
)
_ATTACHMENTS = re.compile(r"(?<!\S)attachments=(?=\{)")
_KIND_WORD = re.compile(r"^(markdown|md|raw|code)\b")
_MISSPELT = {"tag": "tags", "langs": "lang"}
_CODE_LANGUAGES = frozenset({"sh", "js", "ts", "cs", "py", "rb", "go", "md", "pl"})
"""What is called by two letters and is no language that people speak, as an attribute ``language`` has it."""
_WORD = re.compile(r"[\w-]+")
_MENTION = re.compile(r"\b(?:tags|lang)\b|\btag\s*[:=(\[{\"']", re.IGNORECASE)
_HIDING = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(HIDDEN_TAGS))})(?![\w-])", re.IGNORECASE)
_HIDING_SLIDE = re.compile(r"\b(?:notes|skip)\b")
_HIDING_WORDS = {**{tag: tag for tag in HIDDEN_TAGS}, "delete": "del", "deleted": "del"}
"""Word → the tag that it means."""
_UNSEEN = frozenset({"Cf", "Mn", "Me"})
"""Unicode categories of what no reader of a tag sees: format characters, and marks on letters."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PART = re.compile(r"[^\W\d_]+")
_NAMES = frozenset({"tags", "lang", "name", "id", "title"})
"""Attributes whose value is read, or is a name of the author's."""
_NEAR = 0.8
"""How alike (difflib's ratio) a tag and a known one are when one is taken for a slip of the other."""
_PLAIN_ITEM = re.compile(r"""("[\w-]+"|'[\w-]+')|([\w-]+)""")
_PLAIN_LIST = re.compile(
    r"""\[\s*(?:"[\w-]+"|'[\w-]+'|[\w-]+)(?:\s*,\s*(?:"[\w-]+"|'[\w-]+'|[\w-]+))*(?:\s*,?\s*\])?\s*"""
)
"""A list of which only the bracket at the end, or quotes, are missing."""
_TWICE = "the marker has an attribute twice"
_BRACKETS = re.compile(rf"\[\s*({'|'.join(sorted(HIDDEN_TAGS))})\s*\]", re.IGNORECASE)
"""A tag where the kind of a cell belongs."""
_KIND_MISSPELT = re.compile(r"\s*\[\s*(\w+)\s*\]")
"""A word where the kind of a cell belongs."""
_TAGS_STEP = 'Write tags=["slide", "keep"].'


@dataclass(frozen=True, slots=True)
class Marker:
    """What the first line of a cell says about it."""

    kind: CellKind
    tags: tuple[str, ...] = ()
    lang: str | None = None
    respelt: str = ""
    """How it, or its tags, ought to be written, where that was only understood; else empty."""
    magic: str = ""
    """The cell magic that jupytext keeps as attributes (``language="bash"``): ``%%bash``; else empty."""
    active: frozenset[str] | None = None
    """Extensions for which jupytext takes the cell for code; ``None``: all."""
    unread: tuple[str, ...] = ()
    """Names of its attributes that mean nothing here."""
    attached: str = ""
    """Names what is attached to the cell of a notebook; else empty."""
    attachments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What is attached to the cell of a text deck, as jupytext writes it into the marker."""


@functools.lru_cache(maxsize=4)
def marker_pattern(comment: str) -> re.Pattern[str]:
    """Pattern of marker lines for a comment sign; its group is what follows ``%%`` (absent: nothing).

    As jupytext has it, but ``%%[markdown]``, ``%%{"tags": …}``, ``%%tags=`` and ``%%markdown tags=`` without a blank
    count too: no magic is written so.
    """
    sign = re.escape(comment)
    attribute = r"(?:tags|lang)\s*[=:\[]"
    glued = rf"(?:\[|\{{\s*\"|,?\s*{attribute}|(?:markdown|md|raw|code)\s+{attribute}).*"
    return re.compile(rf"^\s*{sign}\s*(?:%%+(?:\s+(.*)|({glued})|)|<codecell>|In\[[0-9 ]*\]:?)\s*$")


def read_marker(options: str, line: int, *, is_glued: bool = False) -> Marker:
    """Read what follows ``%%`` in a marker, after a blank unless it *is_glued*.

    Raises:
        ConversionError: a ``tags`` or ``lang`` attribute cannot be understood, or what is not an
            attribute looks like one.
    """
    if not options:
        return Marker("code")
    if is_glued:
        options = _KIND_WORD.sub(r"[\1]", options.lstrip(", "))
    attributes, rest = _attributes(options, line)
    kind = _KIND.search(rest)
    check_title(_KIND.sub("", rest, count=1), line)
    written = attributes.get("tags")
    plain = _plain_list(written) if isinstance(written, str) else None
    respelt = f"%% {options}" if is_glued else ""
    found = read_attributes(attributes if plain is None else {**attributes, "tags": plain}, line)
    return replace(
        found,
        kind=_KINDS[kind[1].lower()] if kind else "code",
        respelt=respelt if plain is None else f"tags={json.dumps(plain)}",
    )


def read_attributes(attributes: Mapping[str, Any], line: int) -> Marker:
    """The marker of a code cell that has some attributes: values, or texts as they stand in the marker.

    Raises:
        ConversionError: as :func:`read_marker` does.
    """
    check_names(attributes, line)
    meant = meaning_of(attributes, line)
    tags = tags_from(attributes.get("tags"), line)
    return Marker(
        "code",
        tuple(dict.fromkeys((*tags, *meant.tags))),
        lang_from(attributes.get("lang"), line),
        magic=_magic(attributes),
        active=_active(attributes, tags),
        unread=meant.unread,
        attached=str(attributes.get(ATTACHED, "")),
        attachments=_attachments(attributes.get("attachments")),
    )


def _attachments(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _magic(attributes: Mapping[str, Any]) -> str:
    language, arguments = (_word(attributes.get(key)) for key in ("language", "magic_args"))
    return f"%%{language} {arguments}".rstrip() if language else ""


def _active(attributes: Mapping[str, Any], tags: tuple[str, ...]) -> frozenset[str] | None:
    """As jupytext has it: ``active="ipynb"``, ``active="ipynb,py"``, or tags ``active-ipynb``."""
    named = [tag.removeprefix("active-") for tag in tags if tag.startswith("active-")]
    if "active" not in attributes and not named:
        return None
    return frozenset(re.split(r"[.,-]", ".".join([_word(attributes.get("active")), *named])))


def _word(value: Any) -> str:
    """The text that an attribute's value is; empty where it is none."""
    found = literal(value) if isinstance(value, str) else value
    return found.strip() if isinstance(found, str) else ""


def _plain_list(text: str) -> list[str] | None:
    """The tags of a list that is no literal but cannot be misread: ``["slide"`` or ``["subslide", alt]``.

    ``None`` for a literal, for anything else, and where a tag that hides the cell is among them: nobody
    should have to trust that it was understood.
    """
    if not isinstance(literal(text), Unreadable) or not _PLAIN_LIST.fullmatch(text):
        return None
    items = [(quoted[1:-1], bare) for quoted, bare in _PLAIN_ITEM.findall(text)]
    if any(bare and bare not in KNOWN_TAGS for _, bare in items):
        return None
    tags = [quoted or bare for quoted, bare in items]
    words = [word for tag in tags for word in _WORD.findall(tag.lower())]
    is_secret = any(get_close_matches(word, HIDDEN_TAGS, n=1, cutoff=_NEAR) for word in words)
    return None if is_secret else tags


def _attributes(options: str, line: int) -> tuple[dict[str, Any], str]:
    """The attributes, still unread, and the options without them."""
    brace, equal = options.find("{"), options.find("=")
    if brace >= 0 and (equal < 0 or brace < equal):
        try:
            found = dict(json.loads(options[brace:], object_pairs_hook=_once))
        except _TwiceError:
            raise ConversionError(_TWICE, _TAGS_STEP, line=line) from None
        except ValueError as error:
            raise ConversionError("the marker's JSON cannot be read", _TAGS_STEP, line=line) from error
        check_names(found, line)
        return found, options[:brace]
    options, attached = _without_attachments(options)
    matches = list(_ATTRIBUTE.finditer(options))
    attributes = {match["key"]: match["value"] for match in matches} | attached
    if len(attributes) - len(attached) < len(matches):
        raise ConversionError(_TWICE, _TAGS_STEP, line=line)
    check_names(attributes, line)
    return attributes, _ATTRIBUTE.sub("", options)


def _without_attachments(options: str) -> tuple[str, dict[str, Any]]:
    """Options without what is attached to the cell, whose names and texts may look like anything, and that."""
    start = _ATTACHMENTS.search(options)
    if start is None:
        return options, {}
    try:
        found, end = json.JSONDecoder().raw_decode(options, start.end())
    except ValueError:
        return options, {}
    return options[: start.start()] + options[end:], {"attachments": found}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object that has *pairs*; of a name that is given twice JSON takes the last, and a tag may be in the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError
    return found


class _TwiceError(Exception):
    pass


def check_names(attributes: Mapping[str, Any], line: int) -> None:
    """Refuse an attribute of a marker that is a misspelt ``tags`` or ``lang``, or hides the cell elsewhere only.

    Whatever it is called: ``slideshow={"slide_type": "notes"}``, ``jupyter={"tags": ["private"]}``, ``private=true``.
    """
    for key, value in attributes.items():
        name = key.lower()
        meant = name if name in {"tags", "lang"} else _MISSPELT.get(name, key)
        if meant == key and name not in {"tags", "lang"} and get_close_matches(name, ["tags"], cutoff=0.7):
            meant = "tags" if KNOWN_TAGS & set(_WORD.findall(str(value).lower())) else key
        if name == "language" and _is_spoken(value):
            meant = "lang"
        if meant != key:
            raise ConversionError(f"unknown cell attribute {key!r}", f"Write {meant}=….", line=line)
        if name == "slideshow" and slide_type_of(value) is not None:
            continue
        hides = None if name in _NAMES else (_HIDING_SLIDE if "slide" in name else _HIDING).search(f"{name} {value}")
        if hides:
            tag = hides[0].lower().replace("skip", "del")
            fact = f'"{hides[0]}" in the attribute {key!r} hides no cell here'
            raise ConversionError(fact, f'Write tags=["{tag}"].', line=line)


def _is_spoken(value: Any) -> bool:
    """Whether an attribute ``language``, which names one for the computer, has the code of another."""
    word = _word(value)
    return len(word) == 2 and word.islower() and word not in _CODE_LANGUAGES


def check_title(title: str, line: int) -> None:
    """Refuse what a marker says besides kind and attributes if it mentions ``tags`` or ``lang``, or is made of tags."""
    if bracketed := _BRACKETS.search(title):
        step = f'Write tags=["{bracketed[1].lower()}"].'
        raise ConversionError(f"the cell marker has {bracketed[0]!r}, which is no kind of cell", step, line=line)
    kind = _KIND_MISSPELT.match(title)
    if kind and get_close_matches(kind[1].lower(), ["markdown"], cutoff=_NEAR):
        raise ConversionError(
            f"the cell marker has [{kind[1]}], which is no kind of cell", "Write [markdown].", line=line
        )
    words = [word.lower() for word in _WORD.findall(title)]
    if words in (["markdown"], ["raw"]):
        fact = f"the cell marker has {title.strip()!r}, which stands in no brackets"
        raise ConversionError(fact, f"Write [{words[0]}].", line=line)
    named = [word for word in words if word in KNOWN_TAGS]
    if named and all(word in KNOWN_TAGS or word in _KINDS for word in words):
        step = f"Write tags={json.dumps(named)}."
    elif _MENTION.search(title):
        is_lang = "lang" in words and "tags" not in words
        step = 'Write lang="de".' if is_lang else f"Write tags={json.dumps(named)}." if named else _TAGS_STEP
    else:
        return
    raise ConversionError(f"the cell marker has {title.strip()!r}, which is no attribute", step, line=line)


def tags_from(value: Any, line: int) -> tuple[str, ...]:
    """The tags that an attribute's value names: a list, or text as it stands in the marker (a list or one name).

    Raises:
        ConversionError: it is neither, or a tag is nearly one that CLX knows.
    """
    if isinstance(value, str):
        value = literal(value)
    if value is None:
        return ()
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value.strip())
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ConversionError("the cell's tags cannot be read", _TAGS_STEP, line=line)
    tags = tuple(dict.fromkeys(_SPELLINGS.get(tag.strip(), tag.strip()) for tag in value if tag.strip()))
    for tag in tags:
        if tag not in KNOWN_TAGS and not tag.startswith("active-"):
            _check_tag(tag, line)
    return tags


@functools.lru_cache(maxsize=1024)
def near_hidden(text: str) -> str | None:
    """The tag that hides a cell and that a word of *text* is, or may have been meant to be.

    ``PRIVATE``, ``priv``, ``private_cell``, ``PrivateCell``, ``note``, ``deleted``, ``delte`` and words with signs that
    nobody sees in them are near; ``notebook`` and ``delta`` are not.
    """
    visible = "".join(sign for sign in unicodedata.normalize("NFKD", text) if unicodedata.category(sign) not in _UNSEEN)
    parts = [part.lower() for part in _PART.findall(_CAMEL.sub(" ", visible))]
    return next((tag for part in parts if (tag := _hidden_tag_like(part))), None)


def _hidden_tag_like(part: str) -> str | None:
    if part in _HIDING_WORDS:
        return _HIDING_WORDS[part]
    if len(part) < len("note"):
        return None  # a word so short is like many
    for tag in ("private", "notes"):
        if part.startswith(tag) or tag.startswith(part):
            return tag
    near = get_close_matches(part, _HIDING_WORDS.keys() - {"del"}, n=1, cutoff=_NEAR)
    return _HIDING_WORDS[near[0]] if near else None


def _check_tag(tag: str, line: int) -> None:
    if hidden := near_hidden(tag):
        raise ConversionError(f'unknown tag "{tag}"', f'Did you mean "{hidden}"?', line=line)
    words = _WORD.findall(tag.lower())
    near = [match for word in words for match in get_close_matches(word, KNOWN_TAGS, n=1, cutoff=_NEAR)]
    if near:
        raise ConversionError(f'unknown tag "{tag}"', f'Did you mean "{near[0]}"?', line=line)


def lang_from(value: Any, line: int) -> str | None:
    """The language that an attribute's value names, as course files spell it; ``None``: none; an error otherwise."""
    if isinstance(value, str):
        value = literal(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConversionError("the cell's language cannot be read", 'Write lang="de".', line=line)
    if (tag := value.strip().lower()) in HIDDEN_TAGS:
        raise ConversionError(f'"{value}" is no language', f'Write tags=["{tag}"].', line=line)
    code = as_language(value)
    if code is None:  # no course is in it, so that the cell would come out nowhere
        fact = f'"{value}" is no code of a language: two letters, perhaps with a region (pt-BR)'
        start = value.strip()[:2].lower()
        step = f'Write lang="{start}".' if re.fullmatch("[a-z]{2}", start) else 'Write two letters, as in lang="de".'
        raise ConversionError(fact, step, line=line)
    return code
