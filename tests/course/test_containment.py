"""What lies outside a target, or is no file, is neither removed nor waited for."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.courses import HEADER, SPEC, Course, clx, tree

SLICE = ("--format", "code", "--kind", "completed", "--language", "en")
FOLDER = "En/My Course/Slides/Python/Completed"


@pytest.fixture
def built(course: Course) -> Course:
    """A course of two decks that was built, of which one is no longer in its course file."""
    course.deck("values")
    course.deck("names")
    course.spec("values", "names")
    course.build(*SLICE)
    course.spec("values")
    return course


def _page(course: Course) -> Path:
    return course.output / "public" / FOLDER / "Week 1/02 names en.py"


def test_a_stale_file_is_removed(built: Course) -> None:
    page = _page(built)
    assert built.build(*SLICE).report["outputs"]["removed"] == [str(page)]
    assert not page.exists()


@pytest.mark.parametrize("level", range(1, 6))
def test_no_link_on_the_way_is_followed(built: Course, tmp_path: Path, level: int) -> None:
    page = _page(built)
    link = page.parents[level - 1]
    outside = tmp_path / "outside"
    shutil.copytree(link, outside)
    shutil.rmtree(link)
    link.symlink_to(outside)
    done = built.build(*SLICE)
    assert (outside / page.relative_to(link)).exists()
    assert done.report["outputs"]["removed"] == []
    assert "is not there as CLX wrote it" in done.stderr


def test_a_link_in_place_of_the_file_stays(built: Course, tmp_path: Path) -> None:
    page = _page(built)
    page.rename(tmp_path / "elsewhere")
    page.symlink_to(tmp_path / "elsewhere")
    built.build(*SLICE)
    assert page.is_symlink()
    assert (tmp_path / "elsewhere").exists()


def test_only_the_very_bytes_that_were_written_are_removed(built: Course) -> None:
    page = _page(built)
    before = page.stat()
    page.write_bytes(b"#" * before.st_size)
    os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))
    built.build(*SLICE)
    assert page.exists()


@pytest.mark.parametrize("way", ["../../precious", "x/../../../precious", "{root}/precious", "./../../precious"])
@pytest.mark.parametrize("column", ["path", "target"])
def test_a_row_does_not_lead_out_of_the_output(built: Course, way: str, column: str) -> None:
    precious = built.write("precious", "precious")
    found = precious.stat()
    (built.output / "public/x").mkdir()
    where = {"path": way.format(root=built.root)}
    if column == "target":
        where = {"path": "precious", "target": f"{built.output}/public/../.."}
    stamp = {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "digest": hashlib.sha256(b"precious").hexdigest()}
    table = sqlite3.connect(built.root / ".clx/jobs.db")
    table.row_factory = sqlite3.Row
    row = {**table.execute("SELECT * FROM outputs LIMIT 1").fetchone(), **where, **stamp}
    marks = ",".join("?" * len(row))
    table.execute(f"INSERT INTO outputs({','.join(row)}) VALUES({marks})", list(row.values()))
    table.commit()
    table.close()
    built.build(*SLICE)
    assert precious.read_text() == "precious"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


KINDS = pytest.mark.parametrize("make", [_pipe, _socket])


@KINDS
def test_what_is_no_file_makes_way_for_an_output(course: Course, make: Callable[[Path], None]) -> None:
    course.deck("names")
    course.spec("names")
    course.build(*SLICE)
    (page,) = course.output.rglob("*.py")
    page.unlink()
    make(page)
    done = course.build(*SLICE)
    assert page.is_file()
    assert "not as CLX had written it" in done.stderr


@KINDS
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("slides/module_1/topic_300_more.py", 2, "slides/module_1/topic_300_more.py"),
        ("slides/module_1/topic_100_names/slides_more.py", 0, "is not a regular file"),
        ("slides/module_1/topic_100_names/data.csv", 0, "is not a regular file"),
        ("course.yaml", 2, "not a regular file"),
        (".clx/config.toml", 2, "not a regular file"),
    ],
)
def test_nothing_waits_for_what_is_no_file(
    course: Course, name: str, code: int, said: str, make: Callable[[Path], None]
) -> None:
    course.deck("names")
    course.spec("names", *(["more"] if "topic_300" in name else []))
    path = course.root / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)
    done = clx("build", str(course.root / "course.yaml"), *SLICE, timeout=60)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_template_that_is_no_file_is_not_read(course: Course) -> None:
    course.deck("names", "# j2 from 'mine.j2' import m\n\n# %%\n1\n")
    course.spec("names")
    (course.root / "templates").mkdir()
    os.mkfifo(course.root / "templates/mine.j2")
    assert "there is no template 'mine.j2'" in course.build(*SLICE, code=2).stderr


@pytest.fixture
def outside(course: Course, tmp_path: Path) -> Path:
    """A course whose module, topics and directory groups are partly links to a directory outside of it."""
    outside = Course(tmp_path / "outside")
    outside.write("topic_400_d.py", HEADER % ("Außen", "Outside"))
    for name in ("topic/slides_b.py", "module/topic_300_c/slides_c.py"):
        outside.write(name, HEADER % ("Außen", "Outside") + "# j2 from 'mine.j2' import m\n\n# %%\n{{ m() }}\n")
    for name in ("topic/mine.j2", "module/topic_300_c/mine.j2"):
        outside.write(name, "{% macro m() %}1{% endmacro %}")
    for name in ("topic/b.txt", "module/topic_300_c/c.txt", "group/g.txt", "group/sub/s.txt"):
        outside.write(name, "OUTSIDE")
    course.deck("a")
    (course.root / "slides/module_1/topic_200_b").symlink_to(outside.root / "topic")
    (course.root / "slides/module_1/topic_400_d.py").symlink_to(outside.root / "topic_400_d.py")
    (course.root / "slides/module_2").symlink_to(outside.root / "module")
    (course.root / "div").mkdir()
    (course.root / "div/g").symlink_to(outside.root / "group")
    (course.root / "slides/module_1/topic_100_a/link.txt").symlink_to(outside.root / "group/g.txt")
    groups = "dir_groups:\n  - {name: G, path: div/g}\n  - {name: H, path: div}\n"
    groups += "  - {name: I, path: div, subdirs: [g]}\n"
    course.write("course.yaml", SPEC % "      - a\n      - b\n      - c\n      - d" + groups)
    return outside.root


def test_links_to_outside_are_left_out_with_a_warning_each(course: Course, outside: Path) -> None:
    done = course.build(*SLICE)
    assert {Path(name).name for name in tree(course.output)} == {"01 a en.py"}
    for link in ("module_1/topic_200_b", "module_2", "module_1/topic_400_d.py", "module_1/topic_100_a/link.txt"):
        assert f"slides/{link} is a link to outside the course" in done.stderr
    assert "div/g is a link to outside the course" in done.stderr


def test_a_course_whose_slides_are_outside_has_none(course: Course, outside: Path) -> None:
    (course.root / "slides").rename(outside / "slides")
    (course.root / "slides").symlink_to(outside / "slides")
    done = course.build(*SLICE)
    assert "slides is a link to outside the course" in done.stderr
    assert tree(course.output) == {}


def test_a_user_may_share_modules_by_link(course: Course, outside: Path) -> None:
    done = clx("build", str(course.root / "course.yaml"), *SLICE, CLX_COURSE__SHARED_MODULES=str(outside))
    assert done.returncode == 0, done.stderr
    assert {Path(name).name for name in tree(course.output)} == {
        *(
            "01 a en.py",
            "02 Outside.py",
            "03 Outside.py",
            "04 Outside.py",
            "b.txt",
            "c.txt",
            "g.txt",
            "s.txt",
            "link.txt",
        ),
        *("mine.j2",),
    }
    assert "outside the course" not in done.stderr


def test_a_project_cannot_say_so_itself(course: Course, outside: Path) -> None:
    course.write(".clx/config.toml", f'[course]\nshared_modules = "{outside}"\n')
    done = course.build(*SLICE, code=2)
    assert "config.toml:2: course.shared_modules cannot be set by a project" in done.stderr
    assert tree(course.root / "output") == {}


def test_links_within_the_course_are_followed(course: Course) -> None:
    course.deck("a")
    course.write("shared/topic/slides_b.py", "# %%\n1\n")
    (course.root / "slides/module_1/topic_200_b").symlink_to("../../shared/topic")
    course.spec("a", "b")
    done = course.build(*SLICE)
    assert {Path(name).name for name in tree(course.output)} == {"01 a en.py", "02 slides_b.py"}
    assert "Warning" not in done.stderr


def _file(path: Path) -> None:
    path.write_text("x")


def _link(path: Path) -> None:
    path.symlink_to(path.parent / "slides" if path.name == ".clx" else "../slides")


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


STATE = ("", "/artifacts", "/bells", "/locks", "/logs", "/replaced", "/tmp", "/work", "/jobs.db", "/.gitignore")


@pytest.mark.parametrize("make", [_pipe, _socket, _file, _link, _dangling, Path.mkdir])
@pytest.mark.parametrize("name", STATE)
def test_nothing_in_the_place_of_what_clx_has_is_used(course: Course, name: str, make: Callable[[Path], None]) -> None:
    if make is (_file if name in ("/jobs.db", "/.gitignore") else Path.mkdir):
        return  # that is what it should be
    course.deck("names")
    course.spec("names")
    path = Path(f"{course.root}/.clx{name}")
    path.parent.mkdir(exist_ok=True)
    make(path)
    before = sorted(course.root.rglob("*"))
    for command in (
        ("build", str(course.root / "course.yaml"), *SLICE),
        ("start-services", "--db-path", str(course.root / ".clx/jobs.db")),
    ):
        done = clx(*command, timeout=60)
        assert done.returncode == 2, done.stderr
        assert f"{path} is a" in done.stderr or f"'{path}' is a directory" in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(course.root.rglob("*")) == before


def test_settings_may_be_kept_elsewhere(course: Course, tmp_path: Path) -> None:
    course.deck("names")
    course.spec("names")
    (tmp_path / "mine.toml").write_text("")
    (course.root / ".clx").mkdir(mode=0o700)
    (course.root / ".clx/config.toml").symlink_to(tmp_path / "mine.toml")
    course.build(*SLICE)


@pytest.mark.parametrize("name", ["logs/clx.jsonl", "locks/{lock}"])
@pytest.mark.parametrize("make", [_pipe, None])
def test_no_log_or_lock_is_written_elsewhere_or_waited_for(
    course: Course, tmp_path: Path, name: str, make: Callable[[Path], None] | None
) -> None:
    course.deck("names", "# %%\n1 / 0\n")
    course.spec("names")
    target = os.path.realpath(course.output / "public")
    path = course.root / ".clx" / name.format(lock=hashlib.sha256(target.encode()).hexdigest()[:16])
    path.parent.mkdir(parents=True, mode=0o700)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    if make is None:
        path.symlink_to(precious)
    else:
        make(path)
    done = clx("build", str(course.root / "course.yaml"), timeout=60)
    assert "Traceback (most" not in done.stderr
    assert done.returncode in (1, 4)
    assert precious.read_text() == "precious"


def test_an_output_that_is_a_link_is_only_followed_for_who_names_it(course: Course, tmp_path: Path) -> None:
    course.deck("names")
    course.spec("names")
    (tmp_path / "elsewhere").mkdir()
    course.output.symlink_to(tmp_path / "elsewhere")
    refused = course.build(*SLICE, code=2)
    assert f"{course.output} is a link to {tmp_path / 'elsewhere'}" in refused.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []
    course.build(*SLICE, "-o", str(course.output))
    assert (tmp_path / "elsewhere/public").is_dir()


@pytest.mark.parametrize("given", [False, True])
def test_a_target_that_is_a_link_is_refused(course: Course, tmp_path: Path, given: bool) -> None:
    course.deck("names")
    course.spec("names")
    (tmp_path / "elsewhere").mkdir()
    course.output.mkdir()
    (course.output / "public").symlink_to(tmp_path / "elsewhere")
    options = ("-o", str(course.output)) if given else ()
    assert "links in the output are not followed" in course.build(*SLICE, *options, code=2).stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("place", ["slides/module_1/topic_100_names", "templates", "div"])
@pytest.mark.parametrize("depth", [102, 1300])
def test_directories_nested_too_deep_are_named(course: Course, place: str, depth: int) -> None:
    course.deck("names")
    groups = "dir_groups:\n  - {name: D, path: div}\n" if place == "div" else ""
    course.write("course.yaml", SPEC % "      - names" + groups)
    (course.root / place).mkdir(exist_ok=True)
    before = Path.cwd()
    try:
        os.chdir(course.root / place)
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.chdir(before)
    try:
        assert f"{place}: directories are nested more than 100 deep" in course.build(*SLICE, code=2).stderr
    finally:
        subprocess.run(["rm", "-rf", str(course.root / place)], check=True)  # Python's own would recurse
