"""Which files beside a deck are not copied."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.courses import Course
from tests.support.planning import copied, plan_of, planner_of

from clx.course import private_cells

TOPIC = "slides/module_1/topic_100_values"
SECRET = '# %%\nx = 1\n\n# %% tags=["private"]\nsecret = 1\n'


def notebook(metadata: dict[str, object], indent: int | None = 1) -> str:
    cell = {"cell_type": "code", "metadata": metadata, "source": ["secret = 1"], "outputs": []}
    return json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}, indent=indent)


@pytest.fixture
def values(course: Course) -> Course:
    course.deck("values", SECRET)
    course.spec("values")
    return course


@pytest.mark.parametrize(
    "name",
    [
        "#slides_values.py#",
        *(f"slides_values.py.{end}" for end in ("orig", "bak", "rej", "save", "mine", "r123", "txt", "html", "png")),
        "slides_values.py~HEAD",
        "slides_values.py~",
        "slides_values (copy).py.txt",
        "slides_values - Kopie.txt",
        "slides_values.PY",
        "Slides_Values.Py",
        "SLIDES_VALUES.PY.BAK",
        "Copy of slides_values.py",
        "old_slides_values.py",
        "slides_values.ipynb",
        "slides_values.html",
        "slides_values.slides.html",
        "slides_values.pdf.txt",
        "slides_values_old.txt",
        "old/slides_values.rst",
        "slides_gone.py.orig",
        "2024-slides_gone.cpp.bak",
        ".env",
        ".netrc",
        ".slides_values.py.swo",
        ".#slides_values.py",
        ".backup/data.csv",
        ".backup/slides_values.py",
        "old/.secret/data.csv",
    ],
)
def test_copies_of_decks_and_dot_files_are_left_out_and_named(values: Course, name: str) -> None:
    values.write(f"{TOPIC}/{name}", "nothing")
    values.write(f"{TOPIC}/data.csv", "1")
    plan = plan_of(values)
    assert copied(plan) == {"data.csv"}
    assert plan.decks == 1
    if name.endswith("~"):
        return  # never a source, and nobody takes it for one
    [warning] = plan.warnings
    assert f"{TOPIC}/{name}" in warning
    assert "data.csv" not in warning.replace(name, "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("old.txt", SECRET),
        ("old.cpp", SECRET.replace("# %%", "// %%")),
        ("old.js", '//%% tags=["slide", "notes"]\nsecret\n'),
        ("light.py", '# + tags=["del"]\nsecret = 1\n'),
        ("conflict.patch", '+# %% tags=["private"]\n+secret = 1\n'),
        ("handout.md", '<!-- #region tags=["private"] -->\nsecret\n<!-- #endregion -->\n'),
        ("handout.rst", '```python tags=["notes"]\nsecret\n```\n'),
        ("other.ipynb", notebook({"tags": ["slide", "private"]})),
        ("other.json", notebook({"tags": ["notes"]}, indent=None)),
        ("other.txt", notebook({"slideshow": {"slide_type": "notes"}})),
        ("wide.txt", "\ufeff" + SECRET),
        ("deep/er/old.txt", "filler\n" * 1_000_000 + SECRET),
        ("blob.bin", "\0" + SECRET),
        ("blob.db", SECRET + "\0" * 9000),
        ("notes.db", SECRET),
        ("notes.pdf", SECRET),
        ("notes.png", SECRET),
        ("mac.txt", "x" * 600 + "\r" + SECRET.replace("\n", "\r")),
        ("old.ipynb", notebook({"tags": ["private"]}).replace('"tags"', r'"\u0074ags"')),
        ("old.ipynb", notebook({"tags": ["private"]}).replace("private", r"\u0070rivate")),
        ("cut.ipynb", notebook({"tags": ["private"]}).replace('"tags"', r'"\u0074ags"')[:-1]),
        ("one.ipynb", notebook({"tags": "slide, private"})),
        ("skip.ipynb", notebook({"slideshow": {"slide_type": "skip"}})),
        ("skip.txt", notebook({"slideshow": {"slide_type": "skip"}})[1:]),
        ("three.ipynb", json.dumps({"worksheets": [json.loads(notebook({"tags": ["del"]}))]})),
        ("large.ipynb", json.dumps({"filler": "x" * (9 << 20), **json.loads(notebook({"tags": ["del"]}))})),
        ("Notes.ipynb", notebook({"slideshow": {"slide_type": "Notes"}})),
        ("blank.ipynb", notebook({"tags": ["Private "]})),
        ("inner.ipynb", notebook({"jupyter": {"tags": ["private"]}})),
        ("old.html", '<div class="jp-Cell jp-MarkdownCell celltag_private">secret</div>'),
        ("book.html", '<div class="cell tag_notes docutils">secret</div>'),
        ("skip.py", '# %% slideshow={"slide_type": "skip"}\nsecret\n'),
        ("light.py", '# + {"slideshow": {"slide_type": "notes"}}\nsecret\n'),
        ("myst.md", "```{code-cell} ipython3\n:tags: [hide-input, private]\n\nsecret\n```\n"),
        ("myst.md", "```{code-cell}\r\n---\r\ntags: [private]\r\n---\r\nsecret\r\n```\r\n"),
        ("myst.md", "text\n\n```{code-cell}\n---\nother: 1\ntags:\n  - hide\n  - private\n---\nsecret\n```\n"),
        ("myst.md", '+++ {"tags": ["notes"]}\n\nsecret\n'),
        ("quarto.qmd", "```{python}\n#| echo: false\n#| tags: [private]\nsecret\n```\n"),
        ("quarto.qmd", "```{python}\n#| tags:\n#|   - private\nsecret\n```\n"),
        ("quarto.qmd", "```{cpp}\n//| tags: [del]\nsecret\n```\n"),
        ("quarto.qmd", "# Hi\n\n::: {.notes}\nsecret\n:::\n"),
        ("quarto.qmd", "# Hi\n\n::: notes\nsecret\n:::\n"),
        ("quarto.qmd", "# Hi\n\n::: {#a .private}\nsecret\n:::\n"),
        ("quarto.qmd", '# Hi\n\n::: {title="x" .notes}\nsecret\n:::\n'),
        ("quarto.qmd", "# Hi\n\n::: private\nsecret\n:::\n"),
        ("quarto.qmd", "# Hi\n\n::: {.hidden}\nsecret\n:::\n"),
        ("quarto.qmd", "# Hi\n\n::: {.content-hidden}\nsecret\n:::\n"),
        ("reveal.html", '<section>Hi<aside class="notes">secret</aside></section>'),
        ("knitr.Rmd", '```{r, tags=c("private")}\nsecret\n```\n'),
    ],
)
def test_texts_and_notebooks_with_marked_cells_are_left_out(values: Course, name: str, text: str) -> None:
    values.write(f"{TOPIC}/{name}", text.encode("utf-16" if name.startswith("wide") else "utf-8"))
    plan = plan_of(values)
    assert copied(plan) == set()
    [warning] = plan.warnings
    assert f"{TOPIC}/{name}" in warning


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig"])
@pytest.mark.parametrize("text", [SECRET, notebook({"tags": ["private"]})])
def test_wide_texts_are_read(values: Course, encoding: str, text: str) -> None:
    values.write(f"{TOPIC}/old.txt", text.encode(encoding))
    assert copied(plan_of(values)) == set()


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(files: dict[str, bytes], kind: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


PACKED: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "a.zip": zipped,
    **{f"a.tar.{kind}": functools.partial(tarred, kind=kind) for kind in ("gz", "bz2", "xz")},
    "a.tar": functools.partial(tarred, kind=""),
    "data.csv": zipped,
    "a.docx": lambda files: zipped({"inner.tar.gz": tarred(files, "gz")}),
    "a.pyz": lambda files: b"#!/usr/bin/env python3\n" + zipped(files),
    "setup.exe": lambda files: b"MZ\0\1" + bytes(999) + zipped(files),
    "b.tgz": lambda files: tarred({"filler": b"x" * 100_000, "inner.zip": zipped(files)}, "gz"),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize(
    ("member", "data"),
    [
        ("m/slides_other.py", b""),
        ("topic_100_other.cpp", b""),
        ("slides_other.ipynb", b""),
        ("m/slides_other.py.orig", b""),
        ("old_slides_other.txt", b""),
        ("exercise.ipynb", notebook({"tags": ["private"]}).encode()),
        ("a.txt", SECRET.encode()),
        ("a.txt", SECRET.encode("utf-16")),
    ],
)
def test_archives_with_decks_or_marked_cells_are_left_out(values: Course, name: str, member: str, data: bytes) -> None:
    values.write(f"{TOPIC}/{name}", PACKED[name]({"one.txt": b"1", member: data, "two.txt": b"2"}))
    plan = plan_of(values)
    assert copied(plan) == set()
    [warning] = plan.warnings
    assert f"{TOPIC}/{name}" in warning


@pytest.mark.parametrize("name", PACKED)
def test_other_archives_are_copied_without_a_word(values: Course, name: str) -> None:
    files = {
        "exercise.ipynb": notebook({"tags": ["keep"]}).encode(),
        "slides_1.png": b"\x89PNG\r" + SECRET.encode(),
        "topic.txt": b"1",
        "my/data.csv": b"1,2",
    }
    values.write(f"{TOPIC}/{name}", PACKED[name](files))
    plan = plan_of(values)
    assert copied(plan) == {name}
    assert plan.warnings == []


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": functools.partial(lzma.compress, format=lzma.FORMAT_ALONE),
    **{f"zlib {level}": functools.partial(zlib.compress, level=level) for level in (0, 1, 6, 9)},
    "an object of git": lambda data: zlib.compress(b"blob %d\0" % len(data) + data),
    "two": lambda data: zlib.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("compress", [*COMPRESSED.values()], ids=[*COMPRESSED])
def test_compressed_texts_are_read(values: Course, compress: Callable[[bytes], bytes]) -> None:
    values.write(f"{TOPIC}/a", compress(SECRET.encode()))
    values.write(f"{TOPIC}/b", compress(b"nothing"))
    assert copied(plan_of(values)) == {"b"}


BROKEN: dict[str, Callable[[], bytes]] = {
    "cut zip": lambda: zipped({"a.txt": b"x" * 100_000})[:-60],
    "damaged zip": lambda: zipped({"a.txt": random.Random(1).randbytes(9999)}).replace(b"\0", b"\1\0", 1)[:-1],
    "wrong sum": lambda: zipped({"a.txt": b"x" * 99}).replace(struct.pack("<L", zlib.crc32(b"x" * 99)), b"abcd"),
    "cut tar": lambda: tarred({"a.txt": b"x" * 100_000}, "gz")[:-60],
    "large": lambda: tarred({"a.txt": bytes(2 << 20)}, "gz"),
    "large in a picture": lambda: tarred({"a.png": b"\x89PNG\r" + bytes(2 << 20)}, "gz"),
    "large zip": lambda: zipped({f"{number}.txt": bytes(200 << 10) for number in range(9)}),
    "deep": lambda: functools.reduce(lambda inner, _: gzip.compress(inner), range(9), b"x"),
    "7z": lambda: b"7z\xbc\xaf\x27\x1c",
    "rar": lambda: b"Rar!\x1a\x07\x01",
    "deb": lambda: b"!<arch>\ndebian-binary   1700000000  0     0     100644  4         `\n2.0\n",
    "cab": lambda: b"MSCF\0\0\0\0" + bytes(30),
    "lzh": lambda: b"\x20\x11-lh5-" + bytes(30),
    "squashfs": lambda: b"hsqs" + bytes(90),
    "cut zlib": lambda: zlib.compress(random.Random(1).randbytes(9999))[:-60],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_archives_that_cannot_be_looked_through_are_left_out(
    values: Course, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clx.course.archives.MOST", 1 << 20)
    values.write(f"{TOPIC}/data.zip", BROKEN[kind]())
    plan = plan_of(values)
    assert copied(plan) == set()
    assert any("cannot be looked through" in warning for warning in plan.warnings)
    values.spec(f'{{id: values, inputs: ["{TOPIC}/data.zip"]}}')
    assert copied(plan_of(values)) == {"data.zip"}


@pytest.mark.parametrize("first", ["# a ftyp atom", "%PDF-notes", "GIF89a", "OTTO", "ID3 tags", "x^2", "xar!"])
def test_a_text_is_one_whatever_its_first_letters_mean_elsewhere(values: Course, first: str) -> None:
    values.write(f"{TOPIC}/a", f"{first}\n{SECRET}")
    values.write(f"{TOPIC}/b", f"{first}\nnothing")
    assert copied(plan_of(values)) == {"b"}


def test_an_archive_that_needs_a_password_is_judged_by_its_names(values: Course) -> None:
    plain = zipped({"a.txt": SECRET.encode()})
    begin = plain.index(b"PK\1\2")
    sealed = plain[:6] + b"\1" + plain[7 : begin + 8] + b"\1" + plain[begin + 9 :]
    values.write(f"{TOPIC}/data.zip", sealed)
    assert copied(plan_of(values)) == {"data.zip"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("helper.py", "def private(notes):\n    del notes\n"),
        ("values.py", "x = 1\n"),
        ("topic_helper.txt", "x"),
        ("my_topic_helper.py", "x = 1\n"),
        ("slides_values.png", "picture"),
        ("slides_values.csv", "1,2\n"),
        ("slides_values.svg", "<svg/>"),
        ("README.md", "tags: [notes, private]\n\n# %% is how cells begin\n"),
        ("exercise.ipynb", notebook({"tags": ["keep"]})),
        ("tags.json", '{"tags": ["notebook", "privateer"]}'),
        ("tags.md", "```{figure} a.png\n:name: private\n```\n\n```python\ntags: notes\n```\n::: note\n"),
        ("some.qmd", '::: {.content-hidden when-format="pdf"}\na\n:::\n::: {.notes-list}\n<aside class="note">\n'),
        ("posts.json", '[{"tags": ["private"]}]'),
        ("text.ipynb", notebook({}).replace("secret = 1", r"x = {\"tags\": [\"private\"]}")),
        ("blob.bin", "\0\1\2"),
        ("real.pdf", "%PDF-1.7\n\x01" + SECRET),
    ],
)
def test_other_files_are_copied_without_a_word(values: Course, name: str, text: str) -> None:
    values.write(f"{TOPIC}/{name}", text)
    plan = plan_of(values)
    assert copied(plan) == {name}
    assert plan.warnings == []


@pytest.mark.parametrize(
    ("name", "to", "said"),
    [
        ("data.csv", f"{TOPIC}/slides_values.py", "the deck "),
        ("data.csv", "slides/module_2/topic_100_other/slides_other.py", "the deck "),
        ("data.csv", ".env", "what begins with a dot (.env)"),
        ("data.csv", ".secret/data.csv", "what begins with a dot (.secret/data.csv)"),
        ("slides_more.py", ".env", "what begins with a dot"),
        ("data.csv", ".clx/jobs.db", "CLX's own directory .clx"),
        ("data.csv", "output/speaker/a.html", "the output directory"),
        ("data.csv", "slides/module_2/topic_100_other/slides_alone.ipynb", "the deck "),
        ("data.csv", "slides/module_2/topic_100_other/slides_gone.py.bak", "Not copied"),
    ],
)
def test_a_link_is_judged_by_what_it_leads_to_as_well(values: Course, name: str, to: str, said: str) -> None:
    values.write("slides/module_2/topic_100_other/slides_other.py", "# %%\n1\n")
    link = values.root / TOPIC / name
    if not (values.root / to).exists():
        values.write(to, "nothing")
    link.symlink_to(values.root / to)
    values.write("div/b.txt", "")
    (values.root / "div" / name).symlink_to(values.root / to)
    for groups in ("", ", dir_groups: [{name: D, path: div}]"):
        values.spec(f"{{id: values{groups}}}")
        plan = plan_of(values)
        if groups and said == "Not copied":
            continue
        assert copied(plan) == ({"b.txt"} if groups else set())
        assert plan.decks == 1
        assert any(said in warning and f"{TOPIC}/{name}" in warning for warning in plan.warnings), plan.warnings


def test_a_link_that_a_file_topic_shows_is_judged_by_what_it_leads_to(course: Course) -> None:
    course.write("slides/module_1/topic_100_values.py", "# %% [markdown]\n# [a](sub/a.txt)\n")
    course.write(".env", "x")
    (course.root / "slides/module_1/sub").mkdir()
    (course.root / "slides/module_1/sub/a.txt").symlink_to(course.root / ".env")
    course.spec("values")
    plan = plan_of(course)
    assert copied(plan) == set()
    assert any("what begins with a dot" in warning for warning in plan.warnings)


@pytest.mark.parametrize("to", [".hidden/topic", "output/speaker", ".clx/topic"])
def test_a_topic_that_is_a_link_to_what_is_never_copied_is_left_out(values: Course, to: str) -> None:
    values.write(f"{to}/slides_other.py", "# %%\n1\n")
    (values.root / "slides/module_1/topic_200_other").symlink_to(values.root / to)
    values.spec("values", "other")
    plan = plan_of(values)
    assert plan.decks == 1


def test_a_deck_of_another_number_is_no_copy(course: Course) -> None:
    course.write(f"{TOPIC}/slides_1.py", SECRET)
    course.write(f"{TOPIC}/slides_12.txt", "x")
    course.spec("values")
    assert copied(plan_of(course)) == {"slides_12.txt"}


def test_what_inputs_name_is_copied(values: Course) -> None:
    values.write(f"{TOPIC}/slides_values.ipynb", "{}")
    values.write(f"{TOPIC}/slides_values.py.bak", "x")
    values.spec(f'{{id: values, inputs: ["{TOPIC}/slides_values.ipynb"]}}')
    plan = plan_of(values)
    assert "slides_values.ipynb" in copied(plan)
    assert any("slides_values.py.bak" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    "pattern", ["*", "**/*", "*.*", "**/*s*", "*.ipynb", "slides_v[a]lues.ipynb", "slides_value?.ipynb"]
)
def test_a_pattern_with_wildcards_names_nothing(values: Course, pattern: str) -> None:
    values.write(f"{TOPIC}/slides_values.ipynb", "{}")
    values.spec(f'{{id: values, inputs: ["{TOPIC}/{pattern}"]}}')
    assert copied(plan_of(values)) == set()


def test_dot_files_are_not_copied_whoever_names_them(values: Course) -> None:
    values.write(f"{TOPIC}/.env", "x")
    values.write("div/.env", "x")
    values.write("div/a.txt", "x")
    values.spec(f'{{id: values, inputs: ["{TOPIC}/.env"], dir_groups: [{{name: D, path: div}}]}}')
    plan = plan_of(values)
    assert copied(plan) == {"a.txt"}
    [warning] = plan.warnings
    assert f"{TOPIC}/.env" in warning
    assert "div/.env" in warning


def test_what_a_directory_group_names_is_copied(values: Course) -> None:
    values.write(f"{TOPIC}/pairs/slides_values.ipynb", "{}")
    values.spec(f"{{id: values, dir_groups: [{{name: Pairs, path: {TOPIC}/pairs}}]}}")
    plan = plan_of(values)
    assert copied(plan) == {"slides_values.ipynb"}
    assert plan.warnings == []


def test_beside_a_file_topic_copies_of_its_neighbours_are_left_out_too(course: Course) -> None:
    for name in ("topic_100_values", "topic_110_names"):
        course.write(f"slides/module_1/{name}.py", SECRET)
    course.write("slides/module_1/topic_110_names.ipynb", "{}")
    course.spec("values")
    assert copied(plan_of(course)) == set()


def test_files_that_have_not_changed_are_not_read_again(values: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    values.write(f"{TOPIC}/old.txt", SECRET)
    first = planner_of(values)
    first.plan()
    monkeypatch.setattr("clx.course.private_cells.is_marked", lambda path: pytest.fail(f"{path} was read again"))
    again = planner_of(values, first.closures.learned)
    assert copied(again.plan()) == set()
    with pytest.raises(pytest.fail.Exception):
        planner_of(values).plan()


def test_each_file_is_told_with_its_own_reason(values: Course) -> None:
    for name in (".env", "slides_values.py.bak", "slides_values.py.orig"):
        values.write(f"{TOPIC}/{name}", "x")
    values.write(f"{TOPIC}/task.py", SECRET)
    values.write(f"{TOPIC}/task.zip", PACKED["a.zip"]({"a.txt": SECRET.encode()}))
    [warning] = plan_of(values).warnings
    assert warning.startswith("Not copied: ")
    assert f"{TOPIC}/.env (dot file)" in warning
    assert f"{TOPIC}/slides_values.py.bak, {TOPIC}/slides_values.py.orig (copy of a deck)" in warning
    assert f"{TOPIC}/task.py (private cells)" in warning
    assert f"{TOPIC}/task.zip (an archive with private cells or decks in it, or" in warning


def test_an_archive_is_none_of_the_reasons_where_there_is_none(values: Course) -> None:
    values.write(f"{TOPIC}/.env", "x")
    [warning] = plan_of(values).warnings
    assert "archive" not in warning
    assert "private" not in warning


def test_many_files_are_told_in_one_line(values: Course) -> None:
    for number in range(30):
        values.write(f"{TOPIC}/slides_values.py.{number}", "x")
    [warning] = plan_of(values).warnings
    assert "and 10 more" in warning


@pytest.mark.slow
def test_looking_for_marks_takes_no_longer_for_odd_texts(tmp_path: Path) -> None:
    odd = tmp_path / "odd.txt"
    for text in (
        *("# %% tags" * 200_000, '"tags": [' * 200_000, "\n" * 1_000_000, "# %%" + " tags=" * 200_000),
        *("```{a}\n" * 200_000 + "tag", "::: {a\n" + "tags:\n-\n" * 200_000, "[" * 1_000_000, '{"metadata":' * 200_000),
    ):
        odd.write_text(text)
        assert not private_cells.is_marked(odd)
