"""Which line of a deck became a line of its expansion.

Jinja statements and macros shift lines. A deck is therefore expanded a second time, when somebody asks,
from a template whose text carries its line numbers; both expansions must agree apart from these.
"""

from __future__ import annotations

import re

from jinja2 import nodes

_TAG = re.compile(r"\x02([0-9]+)\x03")


def mark_lines(template: nodes.Template) -> None:
    """Put the line number behind every line of a template's text that is not blank.

    Behind, because macros trim the text they are given at its start and look at what it starts with.
    """
    for data in template.find_all(nodes.TemplateData):
        lines = enumerate(data.data.split("\n"), data.lineno)
        data.data = "\n".join(_with_number(line, number) for number, line in lines)


def _with_number(line: str, number: int) -> str:
    bare = line.rstrip()
    return f"{bare}\x02{number}\x03{line[len(bare) :]}" if bare else line


def deck_lines(expanded: str, marked: str) -> list[list[int]] | None:
    """The deck's lines, counted from 1, that each line of an expansion has something of.

    None of them for lines that come from a macro or another template. ``None`` where the expansion of the *marked* deck
    differs by more than the numbers: a deck may go by the length or the end of its own text.
    """
    if _TAG.sub("", marked) != expanded:
        return None
    return [[int(number) for number in _TAG.findall(line)] for line in marked.split("\n")]
