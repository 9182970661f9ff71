"""What lies outside a target, or is no file, is neither removed nor waited for."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.course.courses import Course, clx

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
