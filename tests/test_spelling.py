"""Names that are nearly the one that was looked for."""

from __future__ import annotations

import unicodedata

import pytest

from clx.spelling import nearly


@pytest.mark.parametrize(
    ("name", "there", "told"),
    [
        ("größe.png", unicodedata.normalize("NFD", "größe.png"), "other Unicode characters"),
        (unicodedata.normalize("NFD", "GRÖSSE.png"), "größe.png", 'There is "größe.png", in another case.'),
        ("upper.png", "Upper.PNG", 'There is "Upper.PNG", in another case.'),
        ("upper.png", "uppers.png", ""),
        ("upper.png", "upper.png", ""),
    ],
)
def test_a_name_in_another_case_or_form_is_told(name: str, there: str, told: str) -> None:
    found = nearly(name, ["a", there, "b"])
    assert (told in found) if told else found == ""
