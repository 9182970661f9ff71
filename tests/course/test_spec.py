"""What a course file says, read."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clx.course.spec import DEFAULT_FORMATS, KINDS, CourseSpec, DirGroup, OutputTarget, Text, load_spec, read_spec
from clx.jobtypes.notebook.theme import ThemeFiles

FULL = """\
name: {de: Mein Kurs, en: My Course}
prog_lang: python
description: {de: Über alles, en: About everything}
certificate: Certificate
author: Jane Doe
languages: [en, de]
variables: {author: Jane, year: 2026, ratio: 0.5, deep: [1, {x: null}], on_site: true, answer: no}
evaluate: false
sections:
  - name: {de: Woche 1, en: Week 1}
    topics:
      - introduction
      - {id: classes, html: false, evaluate: true, inputs: [data/*.csv],
         dir_groups: [{name: "", path: ./div/, recursive: false}]}
      - module_200/loops
  - name: Week 2
    topics:
dir_groups:
  - {name: {de: Extra/A, en: Bonus/A}, path: div/workshops, subdirs: [Example_1, b/c], include_root_files: true}
output_targets:
  - {name: students, path: students/, kinds: [code-along], formats: [notebook, html], languages: [en]}
  - {name: all, path: .}
"""

MINIMAL = "name: My Course\nprog_lang: cpp\nsections: [{name: Week 1, topics: [intro]}]\n"


def test_a_full_course() -> None:
    spec = read_spec(FULL, "course.yaml")
    assert spec.name.in_language("de") == "Mein Kurs"
    assert spec.languages == ("en", "de")
    assert (spec.prog_lang, spec.evaluate) == ("python", False)
    assert spec.description == Text({"de": "Über alles", "en": "About everything"})
    assert [text and text.in_language("de") for text in (spec.certificate, spec.author)] == ["Certificate", "Jane Doe"]
    assert spec.variables == {
        "author": "Jane",
        "year": 2026,
        "ratio": 0.5,
        "deep": [1, {"x": None}],
        "on_site": True,
        "answer": "no",
    }
    assert [section.name.in_language("en") for section in spec.sections] == ["Week 1", "Week 2"]
    assert spec.sections[1].topics == ()
    first, classes, loops = spec.sections[0].topics
    assert (first.id, first.html, first.evaluate, first.directory) == ("introduction", True, None, None)
    assert (classes.id, classes.html, classes.evaluate, classes.inputs) == ("classes", False, True, ("data/*.csv",))
    assert classes.kept_back == ()
    assert classes.dir_groups == (DirGroup(Text(), "div", recursive=False, line=14, column=23),)
    assert (loops.id, loops.directory, loops.bare_id) == ("module_200/loops", "module_200", "loops")
    names = Text({"de": "Extra/A", "en": "Bonus/A"})
    assert spec.dir_groups == (DirGroup(names, "div/workshops", ("Example_1", "b/c"), True, line=19, column=5),)
    assert spec.output_targets == (
        OutputTarget("students", "students", ("code-along",), ("html", "notebook"), ("en",)),
        OutputTarget("all", ".", KINDS, DEFAULT_FORMATS, ("en", "de")),
    )


def test_places() -> None:
    spec = read_spec(FULL, "some/course.yaml")
    assert spec.where(0) == "some/course.yaml:10:5"
    assert spec.where(0, 0) == "some/course.yaml:12:9"
    assert spec.where(0, 1) == "some/course.yaml:13:9"
    assert spec.where(1) == "some/course.yaml:16:5"


def test_a_minimal_course_and_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "course.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    spec = load_spec(path)
    assert spec == CourseSpec(
        path=str(path), name=Text(common="My Course"), prog_lang="cpp", languages=("en",), sections=spec.sections
    )
    assert spec.name.in_language("en") == "My Course"
    assert spec.output_targets == ()


@pytest.mark.parametrize(
    ("head", "languages"),
    [
        ("name: X", ("en",)),
        ("name: {fr: X}", ("fr",)),
        ("name: {de: X, en: Y}", ("de", "en")),
        ("name: {de: X, en: Y}\nlanguages: [en]", ("en",)),
        ("name: X\nlanguages: [no, de]", ("no", "de")),
        ("name: {no: X}", ("no",)),
        ("name: {pt-BR: X, zh-Hans: Y, ar: Z}", ("pt-BR", "zh-Hans", "ar")),
    ],
)
def test_languages(head: str, languages: tuple[str, ...]) -> None:
    assert read_spec(MINIMAL.replace("name: My Course", head), "x").languages == languages


@pytest.mark.parametrize("text", ["2024", "1.10", "no", "on", "2024-01-01", "0x1f", "007", "1e3", "true", "12:30"])
def test_text_stays_as_it_is_written(text: str) -> None:
    spec = read_spec(f"name: {text}\nprog_lang: c\nsections: [{{name: {text}, topics: [{text}]}}]\n", "x")
    assert spec.name.in_language("en") == text
    assert spec.sections[0].topics[0].id == text


@pytest.mark.parametrize(
    ("line", "kernel"), [("", None), ("kernel: .net-csharp\n", ".net-csharp"), ("kernel:\n", None)]
)
def test_a_course_may_name_a_kernel(line: str, kernel: str | None) -> None:
    assert read_spec(MINIMAL + line, "x").kernel == kernel


def test_blanks_around_names_and_folded_names() -> None:
    spec = read_spec(MINIMAL.replace("My Course", ">\n  My\n  Course\n"), "x")
    assert spec.name.common == "My Course"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("+3", 3),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("01.5", "01.5"),
        ("9" * 400, "9" * 400),
        ("1e3", 1000.0),
        ("007", "007"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 30, int("9" * 30)),
        ("True", True),
        ("yes", "yes"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("'null'", "null"),
        ("[]", []),
        ("{}", {}),
    ],
)
def test_values_of_variables(text: str, value: object) -> None:
    found = read_spec(f"{MINIMAL}variables:\n  x: {text}\n", "x").variables["x"]
    assert found == value
    assert type(found) is type(value)


def test_anchors_and_aliases_may_be_used() -> None:
    text = (
        "name: &name {de: A, en: B}\nprog_lang: c\nsections:\n"
        "  - {name: *name, topics: &t [a, b]}\n  - {name: *name, topics: *t}\n"
    )
    spec = read_spec(text, "x")
    assert spec.sections[1].topics == spec.sections[0].topics


def test_byte_order_mark_windows_line_ends_and_document_marks(tmp_path: Path) -> None:
    path = tmp_path / "course.yaml"
    path.write_bytes(b"\xef\xbb\xbf---\r\n" + MINIMAL.replace("\n", "\r\n").encode() + b"...\r\n")
    assert load_spec(path).where(0, 0) == f"{path}:4:36"


def test_nothing_written_in_optional_places_is_no_mistake() -> None:
    spec = read_spec(f"{MINIMAL}description:\nvariables:\ndir_groups:\n", "x")
    assert (spec.description, spec.variables, spec.dir_groups) == (None, {}, ())


@pytest.mark.slow
def test_ten_thousand_topics_take_ten_times_as_long_as_a_thousand() -> None:
    assert _seconds_for(100) < 30 * min(_seconds_for(10) for _ in range(3))


def _seconds_for(sections: int) -> float:
    """How long this processor takes for a hundred times as many topics."""
    written = "".join(
        f"  - name: {{de: Woche {section}, en: Week {section}}}\n    topics:\n"
        + "".join(f"      - {{id: topic_{section}_{number}, html: false}}\n" for number in range(100))
        for section in range(sections)
    )
    text = "name: {de: A, en: B}\nprog_lang: c\nsections:\n" + written
    gc.disable()  # as in a build; else what all tests before have left is looked through, too
    try:
        start = time.process_time()
        spec = read_spec(text, "x")
        seconds = time.process_time() - start
    finally:
        gc.enable()
    assert sum(len(section.topics) for section in spec.sections) == 100 * sections
    return seconds


def test_reading_a_spec_imports_nothing_heavy() -> None:
    code = "import sys, clx.course.spec; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "clx.course.spec" in loaded
    assert not {"jinja2", "rich", "jupytext", "nbformat", "sqlalchemy", "pydantic", "difflib"} & set(loaded)


def test_the_look_of_pages() -> None:
    more = "labels: {en: {slides: Decks, notes: Mine}}\ntheme: {css: ./templates/t.css, logo: l.svg, mode: light}\n"
    spec = read_spec(MINIMAL + more, "x")
    assert spec.labels == {"en": {"slides": "Decks", "notes": "Mine"}}
    assert spec.theme == ThemeFiles("templates/t.css", "l.svg", "light")
    assert read_spec(MINIMAL + "labels:\n", "x").labels == {}
