"""Works in files: three forms, and what is wrong is told by its place, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx import Work
from clx.errors import UsageError
from clx.work.reading import Kind, entries, read_entries

ALIASES = "pipeline: a\nparameters:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("pipeline: a", ["f:1"]),
        ("- pipeline: a\n\n- pipeline: b", ["f:1", "f:3"]),
        ("pipeline: a\n---\npipeline: b\n---\n", ["f:1", "f:3"]),
        ('{"pipeline": "a"}', ["f:1"]),
        ('{\n"pipeline": "a"\n}', ["f"]),
        ('[{"pipeline": "a"}, {"pipeline": "b"}]', ["f, work 1", "f, work 2"]),
        ('{"pipeline": "a"}\r\n\n{"pipeline": "b"}', ["f:1", "f:3"]),
        ("", []),
    ],
)
def test_every_form_is_known_by_its_look(text: str, places: list[str]) -> None:
    found = entries(text, "f")
    assert [each.place for each in found] == places
    assert [each.document["pipeline"] for each in found] == ["a", "b"][: len(places)]


def test_a_date_is_a_text_as_in_json() -> None:
    [(_, document)] = entries("pipeline: a\nparameters: {d: 2026-11-30, n: 1, t: 2026-99-99}")
    assert document["parameters"] == {"d": "2026-11-30", "n": 1, "t": "2026-99-99"}


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("a: [1\nb: 2", None, "f:2:2: this is no YAML"),
        ("pipeline: a\npipeline: b", None, "f:2: pipeline is given twice"),
        ("pipeline: a\nparameters: {x: 1, x: 2}", None, "f:2: x is given twice"),
        ("\npipeline: &p {b: *p}", None, "f:2: this contains itself"),
        ("!!python/object:os.system x", None, "f:1:1: this is no YAML"),
        ("\tpipeline: a", None, "f:1:1: this is no YAML"),
        ("a: \x00", None, "f: this is no YAML"),
        ("- 1", None, "f:1: 1 is no work"),
        ("1: 2", None, "f:1: {1: 2} is no work"),
        ("? [a]\n: 3", None, "f:1:3: this is no YAML"),
        (ALIASES, None, "its aliases make it too large"),
        (f"a: {'[' * 100_000}", None, "f:1: this is nested too deeply"),
        (f"a: {'{a: ' * 100_000}", None, "f:1: this is nested too deeply"),
        ("[" * 100_000, None, "f:1: this is nested too deeply"),
        (f"a: {'9' * 10_000}", None, "f: Exceeds the limit"),
        ('{"a": 1', None, "f:1:8: this is no JSON"),
        ('[{"a": 1},\n 2 3]', None, "f:2:4: this is no JSON"),
        ('{"a": 1}\n{"b" 2}', None, "f:2:6: this is no JSON"),
        ('{"a": NaN}', "json", "f:1: this is no JSON"),
        ('["a"]', None, "f, work 1: a is no work"),
        ("{}{}", "lines", "f:1:3: this is no JSON"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(text: str, kind: Kind | None, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        entries(text, "f", kind)
    assert caught.value.fact.startswith(told) or told in caught.value.fact
    assert caught.value.fact.isprintable()
    assert caught.value.next_step


def test_a_file_is_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    place = tmp_path / "w.json"
    place.write_bytes(b'\xef\xbb\xbf{"pipeline": "\xc3\xa4"}')
    assert Work.from_file(place).pipeline == "ä"
    place.write_bytes(b'{"pipeline":\n"\xe4"}')
    with pytest.raises(UsageError, match=r"w\.json:2: this is not UTF-8"):
        Work.from_file(place)
    place.write_bytes('{"pipeline": "a"}'.encode("utf-16"))
    with pytest.raises(UsageError, match=r"w\.json:1: this is not UTF-8"):
        Work.from_file(place)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none.yaml", Path("/dev/zero")):
        with pytest.raises(UsageError, match="cannot be read"):
            read_entries(place)


def test_a_work_is_made_of_a_file_with_one(tmp_path: Path) -> None:
    place = tmp_path / "w.yaml"
    place.write_text("- pipeline: a\n- pipeline: b\n")
    with pytest.raises(UsageError, match="has 2 works"):
        Work.from_file(place)
