"""What the pages of a course as a whole say, by language."""

from __future__ import annotations

_WORDS = {
    "de": {
        "skip": "Zum Inhalt springen",
        "home": "Inhalt des Kurses",
        "previous": "Zurück",
        "next": "Weiter",
        "way": "Weg durch den Kurs",
        "search": "Im Kurs suchen",
        "found": "Gefunden",
        "nothing": "Nichts gefunden.",
        "unsearchable": "Die Suche ist nicht verfügbar: search.js fehlt.",
        "new": "neu",
        "changed": "geändert",
        "editions": "Ausgaben",
        "notebook": "Notebook",
        "code": "Code",
        "html": "Seite",
        "slides": "Folien",
        "pdf": "PDF",
        "missing": "nicht gebaut",
        "failed": "fehlgeschlagen",
        "stale": "veraltet",
        "sitemap": "Alles, was gebaut wurde",
        "deck": "Foliensatz",
        "language": "Sprache",
        "courses": "Kurse",
    },
    "en": {
        "skip": "Skip to content",
        "home": "Contents of the course",
        "previous": "Previous",
        "next": "Next",
        "way": "Way through the course",
        "search": "Search the course",
        "found": "Found",
        "nothing": "Nothing found.",
        "unsearchable": "The course cannot be searched: search.js is missing.",
        "new": "new",
        "changed": "changed",
        "editions": "Editions",
        "notebook": "Notebook",
        "code": "Code",
        "html": "Page",
        "slides": "Slides",
        "pdf": "PDF",
        "missing": "not built",
        "failed": "failed",
        "stale": "out of date",
        "sitemap": "All that was built",
        "deck": "Deck",
        "language": "Language",
        "courses": "Courses",
    },
}
_LANGUAGES = {"de": "Deutsch", "en": "English", "es": "Español", "fr": "Français", "it": "Italiano", "nl": "Nederlands"}


def words(language: str) -> dict[str, str]:
    """The words of a language, English ones for any that has none."""
    return _WORDS.get(language, _WORDS["en"])


def language_name(language: str) -> str:
    """What a language is called by who speaks it, else its code."""
    return _LANGUAGES.get(language, language.upper())
