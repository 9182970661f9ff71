"""Lines that look like the marker of a hidden cell and are none: what follows them would be published.

One rule for all of them, however they are misspelt and whichever tool they were written for (``# % % tags=["notes"]``,
``# +tags=["private"]``, ``#| tags: [private]``, ``+++ {"tags": ["private"]}``, an invisible character in front): the
line begins like a marker in *some* format, and behind that ``tags`` (or a slide type) are given of which one hides
cells, or is nearly one that does.
"""

from __future__ import annotations

import re
import unicodedata

from clx.errors import ConversionError
from clx.jobtypes.notebook.markers import HIDDEN_TAGS, KNOWN_TAGS, near_hidden

_SIGN = r"(?>(?:<!--|\#|//|--|;|/\*)[\s\#/;*-]*)"
"""A comment sign of any language, and more of them; atomic, so that a long run of them is looked at once."""
_BEGINS = re.compile(
    rf"""\s*(?:
        (?:>\s*|[*-]\s+|\d{{1,3}}[.)]\s+){{1,9}}    # in a quotation or a list
        (?: `{{3,}} | ~{{3,}} | <!--\s*\#?\s*region\b)
      | [^<]*<!--\s*\#region\b                       # behind words
      | {_SIGN} (?: %                               # percent signs, however many
                  | \+                              # the light format
                  | <(?:code|markdown|raw)cell\b
                  | (?:region|cell)\b
                  | \[?\s*(?:markdown|md|raw|code|cell_?tags?)\b
                  | in\s*\[
                )
      | (?:\#|//)(?:\||[ \t]\|\s*tags?\s*:)                            # Quarto
      | (?:\#|//)\s*tags?\s*(?:=\s*[\["']|:\s*\[)    # tags whose marker was forgotten or stands in another line
      | :tags?:                                     # MyST
      | %\s*% | \+\+\+ | <(?:code|markdown|raw)cell\b | `{{3,}} | ~{{3,}}
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_MENTIONS = re.compile(r"""(?:tags?|slide_?type)(?:["'\]]*\s*[=:({]|\s*["'\[])""", re.IGNORECASE)
_SKIP = re.compile(r"""slide_?type["'\]]*\s*[=:({]\s*["']?skip\b""", re.IGNORECASE)
_CELL = re.compile(rf"\s*{_SIGN}?(?:%\s*%|<(?:code|markdown|raw)cell\b)")
_CLASS = re.compile(r"\s*(?:`{3,}|~{3,})[^`{]*\{[^}]*[\s{][.#](\w[\w-]*)")
"""The last class of a fence: ``{.python .private}``."""
_ITEM = re.compile(r"""\s*(?:\#|//)[ \t]?\|\s*-\s*["']?(\w[\w-]*)["']?\s*$""")
"""One of a list of tags in Quarto's manner."""
_ONLY = re.compile(r"\w[\w-]*")
_MARKER_WORDS = KNOWN_TAGS | {"markdown", "md", "raw", "code", "codecell", "markdowncell", "rawcell", "tags", "tag"}
_STEP = 'Write it as the guide has it (`# %% tags=["private"]`, in Markdown `<!-- #region tags=["private"] -->`).'


def near_marker(line: str) -> str | None:
    """The tag of the hidden cell that a line seems to begin; ``None`` for all other lines.

    Real markers are near ones too: what is asked about is a line that begins no cell.
    """
    if not line.isascii() or not line.isprintable():
        line = _visible(line)
    # both have a sign that few lines have: this is asked of every line of every deck that changed
    alone = _ITEM.match(line) if "|" in line else None
    alone = _CLASS.match(line) if alone is None and "{" in line else alone
    if alone and alone[1].lower() in HIDDEN_TAGS:
        return alone[1].lower()
    if "%" not in line and not any(word in line.lower() for word in ("tag", "slide", "cell")):
        return None
    if _BEGINS.match(line) is None:
        return None
    if skipped := _SKIP.search(line):
        return near_hidden(line[skipped.end() :]) or "del"
    if mention := _MENTIONS.search(line):
        return near_hidden(line[mention.end() :])
    if _CELL.match(line):
        words = _ONLY.findall(line.lower())
        if all(word in _MARKER_WORDS or near_hidden(word) for word in words):
            return near_hidden(" ".join(words))
    return None


def _visible(line: str) -> str:
    """A line without invisible characters; odd blanks and wide characters are as the usual ones."""
    plain = unicodedata.normalize("NFKC", line)
    return "".join(" " if char.isspace() else char for char in plain if char.isprintable() or char.isspace())


def near_marker_error(tag: str, line: int) -> ConversionError:
    """What is told of a line of a public cell that seems to begin a hidden one."""
    fact = f"this looks like the marker of a {tag} cell but is none: what follows would be published"
    return ConversionError(fact, _STEP, line=line)
