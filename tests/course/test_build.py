"""``clx build`` end to end: real processes, real kernels, real files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.courses import DECK, HEADER, Course, clx, tree

from clx.db.database import Database

GOLDEN = Path(__file__).with_name("golden_tree.txt")


def test_all_18_variants_come_out_where_authors_expect_them(course: Course) -> None:
    course.deck("values")
    course.write("slides/module_1/topic_100_values/data/numbers.csv", "a,b\n1,2\n")
    course.deck("names")
    course.write("div/workshop/task.txt", "do it")
    course.write("div/workshop/sub/more.txt", "more")
    course.write(
        "course.yaml",
        "name: {de: 'Mein Kurs: Teil 1', en: 'My Course: Part 1'}\nprog_lang: python\n"
        "sections:\n  - name: {de: Woche 1, en: Week 1}\n    topics: [values]\n"
        "  - name: {de: 'Woche [2]?', en: 'Week [2]?'}\n    topics: [names]\n"
        "dir_groups:\n  - {name: {de: Bonus/Neu, en: Extra/New}, path: div/workshop}\n",
    )
    course.build()
    assert "\n".join(tree(course.output)) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_nothing_runs_twice(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    assert course.build().ran == 4
    first = tree(course.output)
    again = course.build()
    assert (again.ran, again.report["reused"]) == (0, 4)
    assert tree(course.output) == first


NO_GARBAGE = """
import gc, sys
seen = []
from clx.__main__ import main
sys.argv[:1] = ["clx", "build", "-q"]
gc.callbacks.append(lambda phase, found: seen.append(phase))
try:
    main()
finally:
    looked = len(seen)
    gc.unfreeze()
    from clx.course.results import Results
    print(looked, sum(isinstance(each, Results) for each in gc.get_objects()))
"""


def test_a_build_with_nothing_to_do_neither_looks_for_garbage_nor_frees_what_ends_with_it(course: Course) -> None:
    course.deck("one")
    spec = course.spec("one")
    chosen = ("--kind", "code-along", "--format", "code")
    course.build(*chosen)
    command = [sys.executable, "-c", NO_GARBAGE, str(spec), *chosen]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0 1\n", "")


def test_touching_without_changing_rebuilds_nothing(course: Course) -> None:
    deck = course.deck("values")
    course.spec("values")
    course.build()
    deck.touch()
    assert course.build().ran == 0


def test_editing_one_deck_rebuilds_that_deck_only(course: Course) -> None:
    course.deck("values")
    deck = course.deck("names")
    course.spec("values", "names")
    course.build()
    deck.write_text(deck.read_text() + "\n# %%\nprint('added')\n")
    built = course.build("--explain")
    assert built.ran == 4
    assert {each["job"].split(" ")[0] for each in built.report["reasons"] if each["reason"] != "up to date"} == {
        "slides/module_1/topic_100_names/slides_names.py"
    }
    assert "slides_names.py changed" in built.reason("slides/module_1/topic_100_names/slides_names.py (execute de)")
    assert "slides_names.py changed" in built.stdout


def test_a_neighbour_deck_of_one_topic_is_left_alone(course: Course) -> None:
    course.deck("values")
    second = course.write("slides/module_1/topic_100_values/slides_z_more.py", DECK % ("Mehr", "More"))
    course.spec("values")
    course.build()
    second.write_text(second.read_text().replace("6 * 7", "6 * 8"))
    assert course.build().ran == 4


@pytest.mark.parametrize(
    ("path", "before", "after", "jobs"),
    [
        pytest.param("slides/module_1/topic_100_values/data.csv", "1", "2", 2, id="data file"),
        pytest.param("slides/module_1/topic_100_values/helper.py", "X = 1", "X = 2", 2, id="imported module"),
        pytest.param("templates/part.j2", "one", "two", 4, id="included template"),
        pytest.param("shared/numbers.txt", "1", "2", 2, id="declared input"),
    ],
)
def test_editing_what_a_deck_uses_rebuilds_it(course: Course, path: str, before: str, after: str, jobs: int) -> None:
    course.deck(
        "values",
        HEADER % ("Werte", "Values") + "# %% [markdown]\n# {% include 'part.j2' %}\n\n"
        "# %%\nimport helper\nprint(open('data.csv').read(), helper.X)\n"
        "print(open('../../../shared/numbers.txt').read())\n",
    )
    course.deck("names")
    for name, text in (("data.csv", "1"), ("helper.py", "X = 1")):
        course.write(f"slides/module_1/topic_100_values/{name}", text)
    course.write("templates/part.j2", "one")
    course.write("shared/numbers.txt", "1")
    course.spec("{id: values, inputs: [shared/*.txt]}", "names")
    course.build()
    (course.root / path).write_text(after)
    built = course.build()
    assert built.ran == jobs
    assert path.rpartition("/")[2] in built.reason("slides/module_1/topic_100_values/slides_values.py (execute en)")
    assert before != after


def test_a_deleted_output_directory_is_restored_without_running_anything(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    course.build()
    before = tree(course.output)
    shutil.rmtree(course.output)
    assert course.build().ran == 0
    assert tree(course.output) == before


def test_a_damaged_artifact_is_made_again(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    course.build()
    before = tree(course.output)
    shutil.rmtree(course.output)
    damaged = max((course.root / ".clx/artifacts").rglob("*"), key=lambda path: path.stat().st_size)
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    course.build()
    assert tree(course.output) == before


def test_a_failing_deck_fails_alone(course: Course) -> None:
    course.deck("values")
    course.deck("names", HEADER % ("Namen", "Names") + "# %%\nx = 1\n\n# %%\ny = 2\nprint(undefined_name)\n")
    course.spec("values", "names")
    built = course.build(code=1)
    assert [each["task"] for each in built.report["failures"]] == ["execute de", "execute en"]
    failure = built.report["failures"][0]
    assert failure["message"].startswith("NameError: name 'undefined_name' is not defined")
    assert failure["source"] == "slides/module_1/topic_100_names/slides_names.py"
    assert failure["line"] == 2
    assert "undefined_name" in failure["traceback"]
    assert failure["source_line"] == 9
    place = f"{failure['source']}:9 (cell {failure['cell']})"
    told = [line for line in built.stderr.splitlines() if line.startswith("Failed: ")]
    words = "NameError: name 'undefined_name' is not defined"
    assert told == [f"Failed: {place}, execute {language}: {words}" for language in ("de", "en")]
    assert f"notebook: {failure['source']} (execute de) FAILED" in built.stdout
    names = {Path(path).name for path in tree(course.output)}
    assert {"02 Names.ipynb", "02 Names.py", "02 Names.html", "01 values en.html"} <= names
    assert not list(course.output.glob("public/En/*/Slides/Html/Completed/*/02 Names.html"))
    assert list(course.output.glob("public/En/*/Slides/Html/Code-Along/*/02 Names.html"))


def test_a_failed_deck_keeps_its_last_good_page_and_says_it_is_stale(course: Course) -> None:
    deck = course.deck("values")
    course.spec("values")
    course.build()
    page = next(course.output.glob("public/En/*/Slides/Html/Completed/*/*.html"))
    good = page.read_bytes()
    deck.write_text(deck.read_text() + "\n# %%\n1 / 0\n")
    built = course.build(code=1)
    assert page.read_bytes() == good
    assert str(page) in [path for each in built.report["failures"] for path in each["stale"]]
    assert "stale" in built.stderr


def test_fail_fast_stops_at_the_first_failure(course: Course) -> None:
    course.deck("a", HEADER % ("a", "a") + "# %%\n1 / 0\n")
    for name in ("b", "c", "d"):
        course.deck(name, HEADER % (name, name) + "# %%\nimport time\ntime.sleep(600)\n1 / 0\n")
    course.spec("a", "b", "c", "d")
    built = course.build("--fail-fast", "--language", "en", code=1)
    assert len(built.report["failures"]) == 1


def test_files_no_longer_made_are_removed_and_others_are_not(course: Course) -> None:
    course.deck("values")
    course.deck("names")
    course.spec("values", "names")
    course.build()
    foreign = course.output / "public/mine.txt"
    foreign.write_text("mine")
    course.spec("names")
    built = course.build()
    assert foreign.read_text() == "mine"
    names = {Path(path).name for path in tree(course.output)}
    assert "01 names en.html" in names
    assert not any("values" in name for name in names)
    assert len(built.report["outputs"]["removed"]) == 36


def test_a_slice_touches_only_itself(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    course.build()
    before = tree(course.output)
    course.deck("values", DECK % ("Neu", "New"))
    course.build("--language", "en", "--kind", "completed", "--format", "html")
    after = tree(course.output)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    pages = "public/En/My Course/Slides/Html/Completed"
    assert {path.rpartition("/")[0] for path in changed} == {pages, f"{pages}/Week 1"}


def test_code_along_pages_alone_run_no_code(course: Course) -> None:
    course.deck("values", HEADER % ("Werte", "Values") + "# %%\n1 / 0\n")
    course.spec("values")
    course.build("--kind", "code-along")


def test_a_dry_run_writes_nothing(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    before = tree(course.root)
    built = course.build("--dry-run", "--explain")
    assert tree(course.root) == before
    assert "new: it has no result yet" in built.stdout


def test_private_things_reach_no_public_file(course: Course) -> None:
    course.deck(
        "values",
        HEADER % ("Werte", "Values")
        + '# %% tags=["private"]\nSECRET = "geheim-private"\n'
        + '# %% tags=["notes"]\nnoted = "geheim-notes-code"\n'
        + '# %% [markdown] lang="en" tags=["notes"]\n# geheim-notes-text\n'
        + '# %% tags=["del"]\nprint("geheim-del")\n'
        + "# %%\nprint([name for name in globals() if name in ('SECRET', 'noted')], globals().get('SECRET'))\n",
    )
    course.spec("values")
    course.build()
    speaker = b"".join(path.read_bytes() for path in (course.output / "speaker").rglob("*") if path.is_file())
    assert b"geheim-private" in speaker
    assert b"geheim-notes-text" in speaker
    assert b"geheim-del" not in speaker
    for path in (course.output / "public").rglob("*"):
        if path.is_file():
            assert b"geheim" not in path.read_bytes(), path
            assert b"SECRET&#39;" not in path.read_bytes()


def test_diagrams_become_pictures_beside_the_deck(course: Course) -> None:
    from tests.support.tools import require

    require("plantuml")
    course.deck("values")
    course.write(
        "slides/module_1/topic_100_values/pu/flow.pu",
        "@startuml\n!include ../../../../templates/style.puml\nA -> B\n@enduml\n@startuml\nB -> C\n@enduml\n",
    )
    course.write("templates/style.puml", "skinparam monochrome true\n")
    course.spec("values")
    course.build()
    for name in ("flow.png", "flow-2.png"):
        found = list(course.output.glob(f"*/*/*/*/*/*/*/img/{name}"))
        assert len(found) == 18
        assert found[0].read_bytes().startswith(b"\x89PNG")
    (course.root / "templates/style.puml").write_text("skinparam monochrome reverse\n")
    built = course.build("--format", "html")
    assert "style.puml changed" in built.reason("slides/module_1/topic_100_values/pu/flow.pu")


def test_progress_as_json_is_one_event_per_line(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    events = [json.loads(line) for line in course.build("--progress", "json").stdout.splitlines()]
    assert events[0]["event"] == "planned"
    assert events[-1]["event"] == "finished"
    assert events[-1]["report"]["exit_code"] == 0
    assert sum(event["event"] == "job_done" for event in events) == 4


def test_two_builds_make_the_same_bytes(course: Course, tmp_path: Path) -> None:
    course.deck("values")
    course.spec("values")
    course.build()
    course.build("-o", str(tmp_path / "second"), "--db-path", str(tmp_path / "other" / "jobs.db"))
    assert tree(tmp_path / "second") == tree(course.output)


def test_an_edited_build_makes_the_same_bytes_as_one_from_nothing(course: Course, tmp_path: Path) -> None:
    """Indexes, search and ways among them, of which only what says something of the edited deck is made anew."""
    edited = course.deck("values")
    course.deck("names")
    course.spec("values", "names")
    course.build()
    for number, more in enumerate(
        ("# %%\n2 + 2\n", '# %% [markdown] lang="en"\n# ## Another heading\n#\n# [nowhere](none.png)\n', "# %%\n3\n")
    ):
        edited.write_text(f"{edited.read_text()}\n{more}")
        course.build()
        anew = tmp_path / str(number)
        course.build("-o", str(anew / "output"), "--db-path", str(anew / "jobs.db"))
        assert tree(anew / "output") == tree(course.output)


def test_no_temporary_file_is_left(course: Course) -> None:
    course.deck("values")
    course.spec("values")
    course.build()
    state = course.root / ".clx"
    assert not list((state / "tmp").iterdir())
    assert not list((state / "work").iterdir())
    assert not list((state / "bells").iterdir())
    assert [path.name for path in (state / "logs").iterdir()] == ["clx.jsonl"]


def test_new_makes_a_course_that_builds(tmp_path: Path) -> None:
    done = clx("new", str(tmp_path / "mine"))
    assert done.returncode == 0
    built = clx("build", str(tmp_path / "mine/course.yaml"), "--plantuml-workers", "1")
    assert built.returncode == 0, built.stderr
    assert re.search(r"1 deck, .* 0 reused", built.stdout)
    assert clx("new", str(tmp_path / "mine")).returncode == 2


def test_fail_fast_keeps_the_output_of_decks_that_did_not_run(course: Course) -> None:
    for name in ("a", "b", "c"):
        course.deck(name)
    course.spec("a", "b", "c")
    course.build()
    before = tree(course.output)
    course.deck("a", HEADER % ("a de", "a en") + "# %%\n1 / 0\n")
    for name in ("b", "c"):
        deck = course.root / f"slides/module_1/topic_100_{name}/slides_{name}.py"
        deck.write_text(deck.read_text() + "\n# %%\nimport time\ntime.sleep(600)\n")
    built = course.build("--fail-fast", code=1)
    assert tree(course.output).keys() == before.keys()
    assert built.ran < built.report["jobs"]["to_run"]


def test_two_courses_of_one_root_leave_each_other_alone(course: Course) -> None:
    course.deck("a")
    course.deck("b")
    course.spec("a")
    course.build()
    first = without_tops(tree(course.output))
    (course.root / "other.yaml").write_text(
        (course.root / "course.yaml").read_text().replace("Mein Kurs", "Anderer").replace("My Course", "Other")
    )
    assert clx("build", str(course.root / "other.yaml")).returncode == 0
    both = tree(course.output)
    assert first.items() <= both.items()
    assert len(without_tops(both)) == 2 * len(first)
    assert course.build().ran == 0
    assert tree(course.output) == both


def test_a_second_course_of_one_name_is_told_and_a_renamed_course_file_goes_on(course: Course) -> None:
    course.deck("a")
    course.spec("a")
    course.build()
    before = tree(course.output)
    second = course.write("second.yaml", (course.root / "course.yaml").read_bytes())
    told = clx("build", str(second))
    assert told.returncode == 2
    assert f"{second}: {course.root / 'course.yaml'} has this name, too" in told.stderr
    assert "build second.yaml with -o DIR" in told.stderr
    assert clx("build", str(second), "-o", str(course.root / "apart")).returncode == 0
    assert tree(course.output) == before
    second.unlink()
    (course.root / "course.yaml").rename(second)
    done = clx("build", str(second))
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(course.output).keys() == before.keys()


def without_tops(files: dict[str, str]) -> dict[str, str]:
    """Without the pages that lead to all courses of a target."""
    return {path: digest for path, digest in files.items() if path.count("/") > 1}


def test_a_renamed_deck_that_fails_keeps_only_its_executed_pages(course: Course) -> None:
    course.deck("a", HEADER % ("Alt", "Old") + "# %% [markdown]\n# solution\n\n# %%\n1\n")
    course.spec("a")
    course.build()
    course.deck("a", HEADER % ("Neu", "New") + '# %% [markdown] tags=["private"]\n# solution\n\n# %%\n1 / 0\n')
    built = course.build(code=1)
    stale = {path for each in built.report["failures"] for path in each["stale"]}
    left = {str(path) for path in (course.output / "public").rglob("*") if path.is_file() and "Old" in path.name}
    assert left == {path for path in stale if "/public/En/" in path}
    assert all("/Html/Completed/" in path for path in left)


def test_a_target_that_is_gone_from_the_spec_is_cleared(course: Course) -> None:
    course.deck("a")
    targets = "output_targets:\n  - {name: x, path: out}\n"
    spec = course.spec("a").read_text()
    course.write("course.yaml", spec + targets + "  - {name: y, path: pub}\n")
    course.build()
    assert (course.output / "pub").is_dir()
    course.write("course.yaml", spec + targets)
    course.build()
    assert not (course.output / "pub").exists()
    assert (course.output / "out").is_dir()


def test_one_output_directory_spelled_in_two_ways_is_one(course: Course, tmp_path: Path) -> None:
    course.deck("a")
    course.deck("b")
    course.spec("a", "b")
    (tmp_path / "sub").mkdir()
    course.build("-o", str(tmp_path / "sub" / ".." / "out"))
    course.spec("a")
    course.build("-o", str(tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*b en*"))


def test_an_edit_that_keeps_size_and_time_is_seen(course: Course) -> None:
    deck = course.deck("a")
    course.spec("a")
    old = 1_500_000_000
    os.utime(deck, (old, old))
    course.build()
    time.sleep(2.1)  # until then CLX does not trust times at all
    course.build()
    deck.write_text(deck.read_text().replace("6 * 7", "6 * 8"))
    os.utime(deck, (old, old))
    assert course.build().ran == 4


@pytest.mark.parametrize(
    "statement", ["{% include 'late.j2' ignore missing %}", "{% include ['late.j2', 'here.j2'] %}"]
)
def test_a_template_that_appears_later_is_seen(course: Course, statement: str) -> None:
    course.deck("a", HEADER % ("A", "A") + f"# %% [markdown]\n# {statement}\n")
    course.write("templates/here.j2", "here")
    course.spec("a")
    course.build()
    course.write("templates/late.j2", "late")
    assert course.build().ran == 4


def test_a_picture_that_appears_later_is_copied(course: Course) -> None:
    course.write(
        "slides/module_1/topic_100_a.py", HEADER % ("A", "A") + '# %% [markdown]\n# <img src="pics/late.png">\n'
    )
    course.spec("a")
    assert "shows pics/late.png, which does not exist" in course.build().stderr
    course.write("slides/module_1/pics/late.png", b"picture")
    course.build()
    assert len(list(course.output.rglob("late.png"))) == 18


def test_what_clx_did_not_write_is_kept_when_it_must_make_way(course: Course) -> None:
    course.deck("a")
    course.spec("a")
    place = "public/En/My Course/Slides/Python/Completed/Week 1/01 a en.py"
    (course.output / place).parent.mkdir(parents=True)
    (course.output / place).write_text("USER FILE")
    built = course.build()
    assert "not as CLX had written it" in built.stderr
    assert [path.read_text() for path in (course.root / ".clx/replaced").rglob("*.py")] == ["USER FILE"]
    assert "USER FILE" not in (course.output / place).read_text()


def test_a_deck_that_failed_last_time_says_so(course: Course) -> None:
    course.deck("a", HEADER % ("A", "A") + "# %%\n1 / 0\n")
    course.spec("a")
    course.build(code=1)
    built = course.build(code=1)
    assert built.reason("slides/module_1/topic_100_a/slides_a.py (execute de)") == "it failed last time"


def test_nobody_reading_does_not_end_a_build(course: Course) -> None:
    course.deck("a")
    course.spec("a")
    command = f"{sys.executable} -m clx build {course.root / 'course.yaml'}; echo exit $? >&2"
    done = subprocess.run(["bash", "-c", f"( {command} ) | head -1"], capture_output=True, text=True, timeout=120)
    assert done.stderr.endswith("exit 0\n")
    assert len(list(course.output.rglob("0*"))) == 18


def test_svg_pictures_are_linked_as_svg(course: Course) -> None:
    from tests.support.tools import require

    require("plantuml")
    course.deck(
        "a", HEADER % ("A", "A") + '# %% [markdown]\n# <img src="img/flow.png">\n#\n# ![second](img/flow-2.png)\n'
    )
    course.write("slides/module_1/topic_100_a/flow.pu", "@startuml\nA -> B\n@enduml\n@startuml\nB -> C\n@enduml\n")
    course.write(".clx/config.toml", '[diagrams]\nformat = "svg"\n')
    course.spec("a")
    course.build()
    page = next(course.output.glob("public/En/*/Slides/Html/Completed/*/*.html"))
    text = page.read_text()
    assert "img/flow.svg" in text
    assert "img/flow-2.svg" in text
    assert (page.parent / "img/flow-2.svg").is_file()


def test_a_deterministic_error_is_not_retried(course: Course) -> None:
    course.deck("a", HEADER % ("A", "A") + "# %%\n1 / 0\n")
    course.spec("a")
    course.build(code=1)
    with Database.open(course.root / ".clx/jobs.db", readonly=True) as database:
        assert database.read("SELECT run, max_runs FROM jobs WHERE state = 'failed'") == [(1, 3), (1, 3)]
