"""What the slides of a page say around them, by language: handed to ``slides.js`` with the button that starts them."""

from __future__ import annotations

import json
from collections.abc import Mapping

_WORDS = {
    "de": {
        "present": "Präsentieren",
        "slide": "Folie",
        "show": "Präsentation",
        "forth": "Weiter",
        "back": "Zurück",
        "overview": "Übersicht",
        "speaker": "Vortragsansicht",
        "leave": "Zur Seite",
        "help": "Tasten",
        "close": "Schließen",
        "notes": "Notizen",
        "nothing": "Keine Notizen",
        "anew": "Zeit neu beginnen",
        "black": "Die Leinwand ist schwarz (b)",
        "blocked": "Das Fenster wurde blockiert: Pop-ups erlauben und noch einmal s drücken",
    },
    "en": {
        "present": "Present",
        "slide": "Slide",
        "show": "Presentation",
        "forth": "Next",
        "back": "Back",
        "overview": "Overview",
        "speaker": "Speaker view",
        "leave": "Leave",
        "help": "Keys",
        "close": "Close",
        "notes": "Notes",
        "nothing": "No notes",
        "anew": "Restart the time",
        "black": "The screen is black (b)",
        "blocked": "The window was blocked: allow pop-ups and press s again",
    },
}
_KEYS = {
    "de": (
        ("→ ↓ Leertaste Bild↓", "weiter"),
        ("← ↑ Bild↑", "zurück"),
        ("Pos1, Ende", "erste, letzte Folie"),
        ("7 Eingabe", "zu Folie 7"),
        ("o, Esc", "Übersicht"),
        ("s", "Vortragsansicht: Notizen, nächste Folie, Uhr"),
        ("f", "ganzer Bildschirm"),
        ("b, .", "schwarz"),
        ("x", "zurück zur Seite"),
        ("?", "diese Hilfe"),
    ),
    "en": (
        ("→ ↓ Space PageDown", "next"),
        ("← ↑ PageUp", "back"),
        ("Home, End", "first, last slide"),
        ("7 Enter", "to slide 7"),
        ("o, Esc", "overview"),
        ("s", "speaker view: notes, next slide, clock"),
        ("f", "full screen"),
        ("b, .", "black"),
        ("x", "back to the page"),
        ("?", "this help"),
    ),
}


SLIDE_LABELS = {
    "present": "present",
    "slide": "slide",
    "presentation": "show",
    "next": "forth",
    "back": "back",
    "overview": "overview",
    "speaker_view": "speaker",
    "leave": "leave",
    "keys": "help",
    "close": "close",
    "no_notes": "nothing",
    "restart": "anew",
    "black_screen": "black",
    "blocked": "blocked",
}
"""What a course may say in other words (``labels:``), and what ``slides.js`` calls it."""


def slide_words(lang: str, own: Mapping[str, str] | None = None) -> tuple[str, str]:
    """What the button that starts the slides says, and all words as JSON; English for a language without any.

    Args:
        own: the labels that the course says in this language, of whatever.
    """
    known = base if (base := lang.partition("-")[0]) in _WORDS else "en"
    said = own or {}
    words = _WORDS[known] | {SLIDE_LABELS[name]: text for name, text in said.items() if name in SLIDE_LABELS}
    if "notes" in said:
        words["notes"] = said["notes"]
    return words["present"], json.dumps({**words, "keys": _KEYS[known]}, ensure_ascii=False, separators=(",", ":"))
