"""Every mistake in a course file is reported with its place and what to write instead."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from clx.course.spec import CourseSpec, load_spec, read_spec
from clx.errors import EXIT_USAGE, CourseError
from clx.settings import yaml_source

HEAD = "name: {de: A, en: B}\nprog_lang: python\n"
SECTIONS = "sections:\n  - name: Week 1\n    topics: [a]\n"
VALID = HEAD + SECTIONS


def failure(text: str) -> CourseError:
    with pytest.raises(CourseError) as caught:
        read_spec(text, "course.yaml")
    assert caught.value.exit_code == EXIT_USAGE
    assert "\n" not in caught.value.fact
    return caught.value


def topics(text: str) -> str:
    return f"{HEAD}sections:\n  - name: Week 1\n    topics:\n      - {text}\n"


def target(text: str) -> str:
    return f"{VALID}output_targets:\n  - {text}\n"


@pytest.mark.parametrize(
    ("text", "fact", "next_step"),
    [
        # the whole document
        ("", "1:1: is empty", "name, prog_lang, sections"),
        ("# only a comment\n", "1:1: is empty", ""),
        ("~", "1:1: is empty", ""),
        ("- a\n", "1:1: the course must be a mapping (key: value), but is a list", "name, prog_lang"),
        ("hello", "1:1: the course must be a mapping (key: value), but is a single value", ""),
        (f"{VALID}---\na: b\n", "6:1: a second document begins", "one document"),
        # syntax
        ("name: x\nsections:\n\t- a\n", "3:1: is not YAML", "A tab cannot indent YAML"),
        ("name: @x\n", "1:7: is not YAML", '"@…"'),
        ("name: a: b\n", "1:8: is not YAML", "Quote text that contains a colon"),
        ("name: [a, b\nsections: c\n", "2:9: is not YAML", "See also line 1, column 7"),
        ("name: 'a\nb: c\n", "2:5: is not YAML", "See also line 1, column 7"),
        ("- a\nb: c\n", "2:1: is not YAML", ""),
        ("name: a\n\n  x: ä\x07\n", "3:7: control character U+0007", "Remove it"),
        ("name: *b\n", "1:7: nothing before this is called &b", ""),
        ("name: &a [*a]\n", "1:11: *a contains itself", ""),
        ("name: !!python/object/apply:os.system [x]\n", "1:7: tags are not allowed", "plain value"),
        ("name: !!str x\n", "1:7: tags are not allowed", ""),
        ("<<: {a: b}\n" + VALID, "1:1: merge keys (<<) are not supported", "Write the keys out"),
        ("? [a]\n: b\n" + VALID, "1:3: a key of the course is a list", ""),
        # keys
        (VALID + "autor: x\n", "6:1: autor is not a key of the course", 'Did you mean "author"?'),
        (VALID + "dir-groups: []\n", "6:1: dir-groups is not a key of the course", '"dir_groups"?'),
        (VALID + "Evaluate: true\n", "6:1: Evaluate is not a key of the course", '"evaluate"?'),
        (VALID + "kernel: ../x\n", '6:9: kernel "../x" is no name of a Jupyter kernel', ""),
        (VALID + "qqq: x\n", "6:1: qqq is not a key of the course", "Possible here: name, prog_lang"),
        (VALID + "name: x\n", "6:1: name is written twice (first in line 1)", "Remove one"),
        (VALID + "variables: {a: 1, b: {c: 1, c: 2}}\n", "6:29: c is written twice", ""),
        (SECTIONS + "prog_lang: c\n", '1:1: the course has no "name"', "Add name: …"),
        (HEAD, '1:1: the course has no "sections"', ""),
        (HEAD + "sectoins: []\n", "3:1: sectoins is not a key of the course", '"sections"?'),
        (topics("{html: true}"), '6:9: a topic has no "id"', ""),
        (topics("{id: a, htlm: true}"), "6:17: htlm is not a key of a topic", '"html"?'),
        (HEAD + "sections: [{topics: []}]\n", '3:12: a section has no "name"', ""),
        (HEAD + "sections: [{name: x}]\n", '3:12: a section has no "topics"', ""),
        # values
        (VALID.replace("python", "pyhton"), '2:12: prog_lang cannot be "pyhton"', 'Did you mean "python"?'),
        (VALID.replace("python", "C++"), '2:12: prog_lang cannot be "C++"', 'Did you mean "cpp"?'),
        (VALID.replace("python", "cobol85"), "2:12: prog_lang cannot be", "python, cpp, csharp, java"),
        (VALID.replace("python", "[python]"), "2:12: prog_lang must be text, but is a list", ""),
        (VALID.replace("python", ""), "2:11: prog_lang must be text, but is empty", ""),
        (VALID + "evaluate: yes\n", '6:11: evaluate must be true or false, but is "yes"', "Write true"),
        (VALID + "evaluate: 'false'\n", "6:11: evaluate must be true or false", "Write false without quotes"),
        (VALID + "evaluate: [x]\n", "6:11: evaluate must be true or false, but is a list", ""),
        (VALID + "evaluate:\n", "6:10: evaluate must be true or false", ""),
        # names and languages
        ("name:\nprog_lang: c\n" + SECTIONS, "1:6: name must be text, but is empty", ""),
        ("name: ''\nprog_lang: c\n" + SECTIONS, '1:7: name "" is empty', ""),
        ("name: ../x\nprog_lang: c\n" + SECTIONS, '1:7: name "../x" is a path', ""),
        ("name: .\nprog_lang: c\n" + SECTIONS, '1:7: name "." is a path', ""),
        ('name: "a\\x01"\nprog_lang: c\n' + SECTIONS, r'1:7: name "a\x01" contains a control character', ""),
        ("name: '?!'\nprog_lang: c\n" + SECTIONS, '1:7: name "?!" has no character that can stand', ""),
        ("name: [a]\nprog_lang: c\n" + SECTIONS, "1:7: name must be text, or a mapping of languages", ""),
        ("name: {}\nprog_lang: c\n" + SECTIONS, "1:7: name has no text", ""),
        ("name: {de: [x]}\nprog_lang: c\n" + SECTIONS, "1:12: name (de) must be text", ""),
        ("name: {de: '', en: x}\nprog_lang: c\n" + SECTIONS, '1:12: name (de) "" is empty', ""),
        ("name: {DE: A, en: B}\nprog_lang: c\n" + SECTIONS, '1:8: "DE" in name is not a language code', '"de"?'),
        ("name: {12: A, en: B}\nprog_lang: c\n" + SECTIONS, '1:8: "12" in name is not a language code', "en, de"),
        (VALID + "languages: [de, en, fr]\n", "1:7: name has no text for: fr", "Add fr: …"),
        (VALID + "description: {de: x}\n", "6:14: description has no text for: en", ""),
        (HEAD + "sections: [{name: {en: x}, topics: []}]", "3:19: the section name has no text for: de", ""),
        (VALID + "languages: []\n", "6:12: languages is empty", ""),
        (VALID + "languages: de\n", "6:12: languages must be a list, but is a single value", "Write [de]."),
        (VALID + "languages: [de, de]\n", '6:17: languages: "de" is named twice', ""),
        (VALID + "labels: {fr: {notes: x}}\n", "6:10: fr is not a key of labels", "de, en"),
        (VALID + "labels: {de: {note_s: x}}\n", "6:15: note_s is not a key of labels (de)", '"notes"?'),
        (VALID + "labels: {de: {slides: ../x}}\n", '6:23: slides "../x" is a path', ""),
        (VALID + "labels: {de: [x]}\n", "6:14: labels (de) must be a mapping", ""),
        (VALID + "theme: dark\n", "6:8: theme must be a mapping", "css, logo, mode"),
        (VALID + "theme: {mode: drak}\n", '6:15: mode cannot be "drak"', '"dark"?'),
        (VALID + "theme: {css: ../t.css}\n", '6:14: css "../t.css" contains ".."', ""),
        (VALID + "theme: {css: t.scss}\n", '6:14: css "t.scss" does not end in .css', ""),
        (VALID + "theme: {logo: t.bmp}\n", '6:15: logo "t.bmp" does not end in .svg or .png', ""),
        (VALID + "languages: [pt-br]\n", '6:13: "pt-br" in languages is not a language code', '"pt-BR"?'),
        (VALID + "languages: [german]\n", '6:13: "german" in languages is not a language code', ""),
        # sections and topics
        (HEAD + "sections: []\n", "3:11: sections is empty", ""),
        (HEAD + "sections:\n", "3:10: sections must be a list, but is empty", ""),
        (HEAD + "sections: {a: b}\n", "3:11: sections must be a list, but is a mapping", '"- "'),
        (HEAD + "sections: [a]\n", "3:12: a section must be a mapping", "name, topics"),
        (HEAD + "sections: [{name: ' ', topics: []}]\n", '3:19: the section name "" is empty', ""),
        (HEAD + "sections: [{name: a, topics: b}]\n", "3:30: topics must be a list", "Write [b]."),
        (topics("[a]"), "6:9: a topic must be a mapping", ""),
        (topics("''"), '6:9: a topic "" is empty', ""),
        (topics(""), "6:8: a topic must be text, but is empty", ""),
        (topics("../a"), '6:9: a topic "../a" contains ".."', ""),
        (topics("/a"), '6:9: a topic "/a" is absolute', ""),
        (topics("a/b/c"), '6:9: a topic "a/b/c" is neither "id" nor "directory/id"', ""),
        (topics("a//b"), "6:9: a topic", ""),
        (
            topics("a\\b"),
            "6:9: a topic",
            "",
        ),
        (
            topics("a\n      - b\n      - {id: a}"),
            '8:9: topic "a" is named twice in this section (first in line 6)',
            "",
        ),
        (topics("{id: a, html: 1}"), "6:23: html must be true or false", "Write true"),
        (topics("{id: a, inputs: data/*.csv}"), "6:25: inputs must be a list", "Write [data/*.csv]."),
        (topics("{id: a, inputs: [{path: ../x}]}"), '6:33: an input "../x" contains ".."', ""),
        (topics("{id: a, inputs: [{publish: true}]}"), '6:26: an input has no "path"', ""),
        (topics("{id: a, publish: some}"), "6:26: publish must be", ""),
        (topics("{id: a, inputs: [../x]}"), '6:26: an input "../x" contains ".."', ""),
        (topics("{id: a, inputs: [/x]}"), '6:26: an input "/x" is absolute', ""),
        (topics("{id: a, dir_groups: [{name: x}]}"), '6:30: a directory group has no "path"', ""),
        # directory groups
        (VALID + "dir_groups: [{name: ../x, path: a}]\n", '6:21: the name "../x" contains ".."', ""),
        (VALID + "dir_groups: [{name: x, path: ../a}]\n", '6:30: path "../a" contains ".."', ""),
        (VALID + "dir_groups: [{name: x, path: ''}]\n", '6:30: path "" is empty', ""),
        (VALID + "dir_groups: [{name: x, path: 'C:\\a'}]\n", '6:30: path "C:\\a" contains a backslash', ""),
        (VALID + "dir_groups: [{name: x, path: a, subdirs: [..]}]\n", '6:43: a subdirectory ".." contains ".."', ""),
        (VALID + "dir_groups: [{name: x, path: a, subdirs: []}]\n", "6:42: subdirs is empty", ""),
        (VALID + "dir_groups: [{name: x, path: a, include-root-files: true}]\n", "6:33:", '"include_root_files"?'),
        # variables
        (VALID + "variables: [a]\n", "6:12: variables must be a mapping", ""),
        (VALID + "variables: {lang: x}\n", "6:13: the variable lang is set by CLX", ""),
        (VALID + "variables: {a-b: x}\n", '6:13: "a-b" cannot be the name of a variable', ""),
        # targets
        (VALID + "output_targets: []\n", "6:17: output_targets is empty", ""),
        (target("{name: a}"), '7:5: an output target has no "path"', ""),
        (target("{name: a, path: /x}"), '7:21: path "/x" is absolute', ""),
        (target("{name: a, path: ../x}"), '7:21: path "../x" contains ".."', ""),
        (target("{name: a, path: x}\n  - {name: a, path: y}"), '8:5: two targets are called "a" (first in line 7)', ""),
        (target("{name: a, path: x, kinds: [code_along]}"), '7:32: kinds cannot be "code_along"', '"code-along"?'),
        (target("{name: a, path: x, kinds: []}"), "7:31: kinds is empty", ""),
        (target("{name: a, path: x, formats: [ipynb]}"), "7:34: formats cannot be", "html, notebook, code"),
        (target("{name: a, path: x, formats: [html, html]}"), '7:40: formats: "html" is named twice', ""),
        (target("{name: a, path: x, languages: [fr]}"), '7:36: languages cannot be "fr"', "de, en"),
    ],
)
def test_a_mistake(text: str, fact: str, next_step: str) -> None:
    error = failure(text)
    assert error.fact.startswith(f"course.yaml:{fact}")
    assert next_step in error.next_step


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_document() -> None:
    error = failure("prog_lang: pyhton\nautor: x\nname: ../x\nsections:\n  - topics: [a, a]\n    nam: x\nevaluate: 3\n")
    assert error.fact == "6 problems in course.yaml"
    places = [line.partition(": ")[0] for line in error.next_step.splitlines()]
    assert places == [f"course.yaml:{place}" for place in ("1:12", "2:1", "3:7", "5:17", "6:5", "7:11")]


@pytest.mark.slow
def test_reading_stops_at_twenty_mistakes() -> None:
    error = failure(VALID + "".join(f"unknown_{number}: 1\n" for number in range(100_000)))
    assert error.fact == "20 problems in course.yaml, and perhaps more"
    assert len(error.next_step.splitlines()) == 20


def test_a_message_stays_short_whatever_is_in_the_file() -> None:
    word = "q\\n" * 100_000
    error = failure(f'{VALID}"{word}": 1\n? "é{word}"\n: 2\n')
    assert max(map(len, str(error).splitlines())) < 400


@pytest.mark.parametrize("nested", ["[" * 100_000, "{a: " * 100_000, "- " * 1_000 + "a", "[" * 51 + "]" * 51])
def test_deep_nesting_is_refused_quickly(nested: str) -> None:
    start = time.process_time()
    assert "is nested more than 50 levels deep" in failure(nested).fact
    assert time.process_time() - start < 20, "read to its end it would take for ever"


def test_aliases_that_multiply_are_refused_quickly() -> None:
    lines = ["variables:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    start = time.process_time()
    assert "its aliases (*name) repeat more than 100000 values" in failure(VALID + "\n".join(lines)).fact
    assert time.process_time() - start < 20, "read to its end it would take for ever"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "kurs.yaml").write_text(VALID)
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    cases = {
        tmp_path / "course.yaml": ("there is no such file", "kurs.yaml"),
        tmp_path: ("is a directory, not a course file", "kurs.yaml"),
        tmp_path / "kurs.yaml" / "course.yaml": ("cannot be read (Not a directory)", "permissions"),
        tmp_path / "loop.yaml": ("cannot be read (Too many levels of symbolic links)", "permissions"),
        tmp_path / "nowhere" / "course.yaml": ("there is no such file", "clx new"),
        Path("a\x00b"): ("cannot be read (", ""),
    }
    for path, (fact, next_step) in cases.items():
        with pytest.raises(CourseError) as caught:
            load_spec(path)
        assert caught.value.fact.startswith(f"{path}: {fact}")
        assert next_step in caught.value.next_step


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"name: x\nauthor: \xe4\n", "2:9: is not UTF-8 text (byte 0xe4)"),
        (VALID.encode("utf-16"), "1:1: is not UTF-8 text (byte 0xff)"),
        (b"#" * 10_000_001, "1:1: is larger than 10 MB"),
        (b"\x00" * 100, "1:1: control character U+0000"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, fact: str) -> None:
    path = tmp_path / "course.yaml"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=f"^{re.escape(f'{path}:{fact}')}"):
        load_spec(path)


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_half_a_character_is_refused_by_both_parsers(loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "_LOADER", getattr(yaml, loader))
    assert failure(VALID + 'author: "\\ud800"\n').fact.startswith("course.yaml:6:")


def outcome(text: str) -> CourseSpec | CourseError:
    try:
        return read_spec(text, "course.yaml")
    except CourseError as error:
        return error


PIECES = st.sampled_from(
    [
        *VALID.splitlines(),
        *target("{name: a, path: x, kinds: [speaker]}").splitlines(),
        "topics:",
        "- ",
        "  - ",
        "    ",
        "\t",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        ": ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        '"',
        "|",
        ">",
        "!!int ",
        "!x ",
        "%YAML 1.1",
        "---",
        "...",
        "#",
        "\n",
        "\r\n",
        "\x85",
        "\u2028",
        "\\",
        '"\\ud800"',
        "é",
        "🙂",
        "\x00",
        "name: ",
        "id: a",
        "null",
        "~",
        "1e999",
        "..",
        "/",
        "languages: [de]",
        "variables: {a: 1}",
        "dir_groups:",
        "@",
        "`",
    ]
)

COMPLETE = target("{name: a, path: x, kinds: [speaker]}") + "variables: {v: 1}\ndir_groups: [{name: '', path: b}]\n"


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A good course in which a few places were overwritten."""
    text = COMPLETE
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(PIECES) + text[start + draw(st.integers(0, 8)) :]
    return text


TEXTS = st.one_of(
    damaged(), st.text(), st.lists(PIECES, max_size=25).map("".join), st.lists(PIECES, max_size=25).map("\n".join)
)


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@settings(max_examples=examples(300))
@given(text=TEXTS)
@example(text="a: &a [&a *a]")
@example(text="a: &a\n  *a : b")
@example(text='"\\ud800"')
@example(text="\ufeff\ufeff")
@example(text="\x85\u2028: [")
@example(text="%YAML 1.1\n%TAG ! x\n--- !a\n")
def test_any_text_gives_a_course_or_a_course_error_with_a_place(loader: str, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_source, "_LOADER", getattr(yaml, loader))
        found = outcome(text)
    if isinstance(found, CourseError):
        assert re.search(r"course\.yaml:[1-9]\d*:[1-9]\d*: ", str(found))
        assert "\n" not in found.fact
    else:
        assert found.sections
        assert found.languages
