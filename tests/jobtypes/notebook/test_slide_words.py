"""The words around slides."""

from __future__ import annotations

import json

from clx.jobtypes.notebook.labels import LABELS
from clx.jobtypes.notebook.slide_words import SLIDE_LABELS, slide_words


def test_each_language_says_all_and_others_speak_english() -> None:
    german, english = (json.loads(slide_words(lang)[1]) for lang in ("de", "en"))
    assert german.keys() == english.keys()
    assert [bool(value) for value in german.values()] == [True] * len(german)
    assert len(german["keys"]) == len(english["keys"])
    assert slide_words("fr") == slide_words("en")
    assert slide_words("de")[0] == "Präsentieren"


def test_a_course_says_other_words() -> None:
    present, words = slide_words("da", {"present": "Vis", "no_notes": "Ingen noter", "contents": "Indhold"})
    assert present == "Vis"
    assert json.loads(words)["nothing"] == "Ingen noter"
    assert "Indhold" not in words
    assert set(SLIDE_LABELS) <= set(LABELS)
    assert set(SLIDE_LABELS.values()) | {"notes"} == json.loads(words).keys() - {"keys"} | {"help"}
    assert slide_words("de-AT") == slide_words("de")
