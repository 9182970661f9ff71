"""The first pages of a course's PDF file: what is in it, and on which page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec

from clx.jobtypes.pdf.printer import View

GO = "https://contents.invalid/"
"""How links to the deck of a number begin, until the pages are joined."""
_WORDS = {"de": "Inhalt", "en": "Contents"}
_STYLE = """
* { box-sizing: border-box; }
body { margin: 0; font: 11pt/1.5 system-ui, "DejaVu Sans", "Liberation Sans", sans-serif; color: #1d232e; }
h1 { font-size: 22pt; line-height: 1.2; margin: 0 0 2mm; }
.kind { margin: 0 0 9mm; color: #5a6473; }
h2 { font-size: 12.5pt; margin: 6mm 0 1.5mm; break-after: avoid; }
ol { list-style: none; margin: 0; padding: 0; }
li a { display: flex; gap: 2mm; color: inherit; text-decoration: none; break-inside: avoid; }
li a::before { order: 1; flex: 1; content: ""; border-bottom: 1px dotted #97a1b1; margin-bottom: 1.4mm; }
li a .page { order: 2; font-variant-numeric: tabular-nums; }
"""
_SHEET = {"page": "@page { margin: 18mm 16mm; }", "slides": "@page { size: 1280px 720px; margin: 15mm 20mm; }"}


class Part(msgspec.Struct, frozen=True):
    """One section: its name, and the title and file of each deck."""

    name: str
    decks: list[tuple[str, str]]


def contents_html(course: str, kind: str, lang: str, parts: Sequence[Part], pages: Sequence[int], *, view: View) -> str:
    """The page of contents.

    Args:
        pages: by deck, in order, the number of its first page.
    """
    rows: list[str] = []
    number = 0
    for part in parts:
        rows.append(f"<h2>{escape(part.name)}</h2>\n<ol>")
        for title, _file in part.decks:
            row = f'<span>{escape(title)}</span><span class="page">{pages[number]}</span>'
            rows.append(f'<li><a href="{GO}{number}">{row}</a></li>')
            number += 1
        rows.append("</ol>")
    title = _WORDS.get(lang, _WORDS["en"])
    head = f'<meta charset="utf-8"><title>{escape(course)}: {title}</title><style>{_SHEET[view]}{_STYLE}</style>'
    top = f'<h1>{escape(course)}</h1><p class="kind">{escape(kind)}</p>'
    return f'<!DOCTYPE html><html lang="{escape(lang)}"><head>{head}</head><body>{top}{"".join(rows)}</body></html>'
