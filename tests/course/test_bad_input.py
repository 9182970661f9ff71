"""Bad input: each kind has its own message and exit code, and nothing is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.courses import DECK, HEADER, SPEC, Course, clx, tree
from tests.support.planning import plan_of, planner_of

from clx.errors import CourseError


def _no_spec(course: Course) -> None:
    pass


def _malformed(course: Course) -> None:
    course.write("course.yaml", "name: {de: [\n")


def _unknown_key(course: Course) -> None:
    course.deck("values")
    course.write(
        "course.yaml", (SPEC % "      - values").replace("prog_lang: python", "prog_lang: python\nsectons: []")
    )


def _unknown_topic(course: Course) -> None:
    course.deck("values")
    course.spec("valeus")


def _ambiguous_topic(course: Course) -> None:
    course.deck("values")
    course.write("slides/module_2/topic_100_values/slides_values.py", DECK % ("a", "b"))
    course.spec("values")


def _twice(course: Course) -> None:
    course.deck("values")
    course.spec("values", "values")


def _not_utf8(course: Course) -> None:
    course.write("slides/module_1/topic_100_values/slides_values.py", b"# %% [markdown]\n# \xff\xfe kaputt\n")
    course.spec("values")


def _empty(course: Course) -> None:
    course.deck("values", "")
    course.spec("values")


def _jinja(course: Course) -> None:
    course.deck("values", "# %%\nx = 1\n\n# {% if %}\n")
    course.spec("values")


def _undefined(course: Course) -> None:
    course.deck("values", "# %% [markdown]\n#\n# {{ teacher }}\n")
    course.spec("values")


def _no_template(course: Course) -> None:
    course.deck("values", "# j2 include 'nowhere.j2'\n# %%\n1\n")
    course.spec("values")


def _template_outside(course: Course) -> None:
    (course.root.parent / "secret.j2").write_text("secret")
    course.deck("values", "# j2 include '../../../../secret.j2'\n# %%\n1\n")
    course.spec("values")


def _huge(course: Course) -> None:
    course.deck("values", HEADER % ("a", "b") + "# %%\n" + "x = 1  # filler\n" * (50 * 2**20 // 16))
    course.spec("values")


def _escaping_name(course: Course) -> None:
    course.deck("values")
    course.write("course.yaml", (SPEC % "      - values").replace("de: Woche 1", "de: '../../../etc'"))


def _escaping_target(course: Course) -> None:
    course.deck("values")
    course.write("course.yaml", SPEC % "      - values" + "output_targets:\n  - {name: x, path: ../../outside}\n")


def _no_slides(course: Course) -> None:
    (course.root / "slides").rmdir()
    course.spec("values")


def _two_sources(course: Course) -> None:
    course.deck("values")
    for name in ("one", "two"):
        course.write(f"div/{name}/data.csv", name)
    path = course.spec("values")
    groups = "".join(f"  - {{name: Extra, path: div/{name}}}\n" for name in ("one", "two"))
    path.write_text(path.read_text() + f"dir_groups:\n{groups}")


def _two_diagrams(course: Course) -> None:
    course.deck("values")
    for folder in ("pu", "old"):
        course.write(f"slides/module_1/topic_100_values/{folder}/flow.pu", f"@startuml\nA -> {folder}\n@enduml\n")
    course.spec("values")


def _no_input(course: Course) -> None:
    course.deck("values")
    course.spec("{id: values, inputs: [nowhere/*.csv]}")


def _no_group(course: Course) -> None:
    course.deck("values")
    course.write("course.yaml", SPEC % "      - values" + "dir_groups:\n  - {name: Bonus, path: div/nowhere}\n")


CASES: dict[str, tuple[Callable[[Course], None], list[str]]] = {
    "no spec": (_no_spec, ["course.yaml"]),
    "malformed YAML": (_malformed, ["course.yaml:1:13", "not YAML"]),
    "unknown key": (_unknown_key, ["course.yaml:3:1", '"sections"']),
    "unknown topic": (_unknown_topic, ["course.yaml:6:9", 'Did you mean "values"?']),
    "ambiguous topic": (
        _ambiguous_topic,
        ["module_1/topic_100_values", "module_2/topic_100_values", "module_1/values"],
    ),
    "topic twice": (_twice, ["course.yaml:7:9", "twice"]),
    "not UTF-8": (_not_utf8, ["slides_values.py", "UTF-8"]),
    "empty deck": (_empty, ["slides_values.py", "no cells"]),
    "Jinja error": (_jinja, ["slides_values.py:4"]),
    "undefined variable": (_undefined, ["slides_values.py:3", "teacher"]),
    "missing template": (_no_template, ["slides_values.py:1", "nowhere.j2"]),
    "template outside": (_template_outside, ["slides_values.py:1", "secret.j2"]),
    "50 MB deck": (_huge, ["slides_values.py", "50 MiB"]),
    "escaping name": (_escaping_name, ["course.yaml:4:"]),
    "escaping target": (_escaping_target, ["course.yaml:8:", "path"]),
    "no slides directory": (_no_slides, ["slides/", "clx new"]),
    "two sources, one output": (_two_sources, ["div/one/data.csv", "div/two/data.csv"]),
    "two diagrams, one picture": (_two_diagrams, ["pu/flow.pu", "old/flow.pu"]),
    "input matches nothing": (_no_input, ["course.yaml:6:9", "nowhere/*.csv"]),
    "no such directory group": (_no_group, ["div/nowhere"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_courses_say_what_and_where_and_write_nothing(course: Course, case: str) -> None:
    prepare, expected = CASES[case]
    prepare(course)
    before = tree(course.root)
    done = clx("build", str(course.root / "course.yaml"))
    assert done.returncode == 2, done.stderr
    for text in expected:
        assert text in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) >= 2, "a next step is missing"
    assert tree(course.root) == before
    assert not course.output.exists()


def test_all_mistakes_are_told_at_once(course: Course) -> None:
    course.deck("values", "")
    course.deck("names", "# {% if %}\n")
    course.spec("values", "names")
    done = clx("build", str(course.root / "course.yaml"))
    assert done.returncode == 2
    assert "slides_values.py" in done.stderr
    assert "slides_names.py" in done.stderr


def test_all_mistakes_of_all_decks_are_told_in_one_go(course: Course) -> None:
    for topic in ("values", "names"):
        for number in (1, 2):
            text = f"# %% tag=['private']\n1\n\n# %% notes\n# {number}\n\n# %% tags=['keep']\n3\n"
            course.write(f"slides/module_1/topic_100_{topic}/slides_{number}.py", text)
    course.write("slides/module_1/topic_100_values/slides_3.py", "# %% [markdown]\n# {{ teacher }}\n")
    course.spec("values", "names")
    with pytest.raises(CourseError) as caught:
        plan_of(course)
    told = str(caught.value)
    for topic in ("values", "names"):
        for number in (1, 2):
            for line in (1, 4):
                assert f"slides/module_1/topic_100_{topic}/slides_{number}.py:{line}: " in told
    assert "slides_3.py:2: 'teacher' is undefined\n" in told
    assert told.count('Write tags=["notes"].') == 4


def test_a_deck_full_of_mistakes_is_told_of_in_few_lines(course: Course) -> None:
    course.deck("values", "# %% tag=['private']\n" * 300)
    course.spec("values")
    with pytest.raises(CourseError, match="281 more mistakes"):
        plan_of(course)


def test_a_course_full_of_mistakes_is_told_of_in_few_lines(course: Course) -> None:
    for number in range(60):
        course.write(f"slides/module_1/topic_100_values/slides_{number:02}.py", "# %% notes\n")
    course.spec("values")
    with pytest.raises(CourseError, match="There may be more") as caught:
        plan_of(course)
    assert str(caught.value).count("\n") == 40


def test_a_marker_that_is_understood_is_told_once_in_every_build(course: Course) -> None:
    text = "\n# %% [markdown] lang='de' tags=['subslide', alt]\n# a\n\n# %% tags=['slide'\nif is_html: pass\n"
    text += "\n# %%markdown tags=['slide']\n# b\n"
    course.deck("values", HEADER % ("a", "b") + text)
    course.spec("values")
    first = planner_of(course)
    expected = [
        f"slides/module_1/topic_100_values/slides_values.py:{line}: this marker is read with {tags}; write it so."
        for line, tags in ((5, 'tags=["subslide", "alt"]'), (8, 'tags=["slide"]'), (11, "%% [markdown] tags=['slide']"))
    ]
    assert first.plan().warnings == expected
    assert planner_of(course, first.closures.learned).plan().warnings == expected


def test_an_unreadable_deck_is_named(course: Course) -> None:
    deck = course.deck("values")
    course.spec("values")
    deck.chmod(0)
    command = [sys.executable, "-m", "clx", "build", str(course.root / "course.yaml")]
    if os.geteuid() == 0:  # root may read anything unless it gives that up
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "slides_values.py: cannot be read" in done.stderr
    assert not course.output.exists()


def test_an_output_path_that_is_a_file_is_refused(course: Course, tmp_path: Path) -> None:
    course.deck("values")
    course.spec("values")
    (tmp_path / "file").write_text("mine")
    built = course.build("-o", str(tmp_path / "file" / "below"), code=2)
    assert f"{tmp_path / 'file'} is a file" in built.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_out_of_the_target_is_not_followed(course: Course, tmp_path: Path) -> None:
    course.deck("values")
    course.spec("values")
    outside = tmp_path / "outside"
    outside.mkdir()
    course.output.mkdir()
    (course.output / "public").mkdir()
    (course.output / "public/En").symlink_to(outside)
    built = course.build(code=1)
    assert "outside its target" in built.stderr
    assert not list(outside.iterdir())


def test_a_link_out_of_the_course_is_not_published(course: Course, tmp_path: Path) -> None:
    course.deck("values")
    (tmp_path / "secret.txt").write_text("secret")
    (course.root / "slides/module_1/topic_100_values/notes.txt").symlink_to(tmp_path / "secret.txt")
    course.spec("values")
    built = course.build()
    assert "notes.txt" in built.stderr
    assert not list(course.output.rglob("notes.txt"))


def test_no_space_is_told_and_nothing_is_damaged(course: Course, tmp_path: Path) -> None:
    course.deck("values")
    course.write("slides/module_1/topic_100_values/big.bin", os.urandom(300_000))
    course.spec("values")
    small = tmp_path / "small"
    small.mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -m clx build "$3" -o "$1/out"'
    command = ["sh", "-c", script, "-", str(small), sys.executable, str(course.root / "course.yaml")]
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    done = subprocess.run([*unshare, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    course.build()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--language", "fr"], "de, en"),
        (["--kind", "complete"], "completed"),
        (["--format", "docx"], "notebook"),
        (["--target", "students"], "public"),
        (["--notebook-workers", "-1"], "0<=x<=256"),
        (["--workers", "podman"], "docker"),
    ],
)
def test_wrong_options_name_what_is_allowed(course: Course, options: list[str], expected: str) -> None:
    course.deck("values")
    course.spec("values")
    done = clx("build", str(course.root / "course.yaml"), *options)
    assert done.returncode == 2
    assert expected in done.stderr


def test_ten_thousand_topics_are_planned(course: Course) -> None:
    course.deck("t0", "# %%\n1 + 1\n")
    first = course.root / "slides/module_1/topic_100_t0/slides_t0.py"
    names = [f"t{number}" for number in range(10_000)]
    for name in names[1:]:
        folder = course.root / f"slides/module_1/topic_100_{name}"
        folder.mkdir()
        shutil.copyfile(first, folder / f"slides_{name}.py")
    course.spec(*names)
    built = course.build("--dry-run")
    assert built.report["decks"] == 10_000
    assert built.report["jobs"]["planned"] == 40_000


def test_a_hostile_template_cannot_reach_python(course: Course) -> None:
    for attack in (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('touch /tmp/owned') }}",
        "{{ self._TemplateReference__context }}",
    ):
        course.deck("values", f"# %% [markdown]\n# {attack}\n")
        course.spec("values")
        assert clx("build", str(course.root / "course.yaml")).returncode == 2
