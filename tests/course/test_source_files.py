"""Which files a course has, and their digests without reading what has not changed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clx.course.source_files import DOUBTFUL_DIRECTORIES, JUNK_DIRECTORIES, SourceFiles, check_name, is_junk, unreadable
from clx.course.symlinks import Bounds
from clx.errors import CourseError
from clx.regular import NotRegularError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
LONG_AGO = 1_000_000_000_000_000_000


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(path: str, data: bytes = b"x") -> Path:
        full = tmp_path / "course" / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
        return full

    write("README.md")
    return write


@pytest.fixture
def root(tmp_path: Path, write: object) -> Path:
    return tmp_path / "course"


def files_of(root: Path, **options: object) -> SourceFiles:
    return SourceFiles(root, {}, **options)  # type: ignore[arg-type]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything on this disk was changed long before now."""
    now = time.time_ns
    monkeypatch.setattr("clx.course.source_files.time.time_ns", lambda: now() + 10_000_000_000)


# -- digests ----------------------------------------------------------------------------------------


def test_a_digest_is_that_of_the_bytes_and_none_where_there_is_no_file(root: Path, write: Callable[..., Path]) -> None:
    write("a.txt", b"text")
    files = files_of(root)
    assert files.digest("a.txt") == digest_of(b"text")
    assert files.digest("b.txt") is None
    assert files.digest("a.txt/below") is None


def test_one_build_sees_one_digest_whatever_happens_meanwhile(root: Path, write: Callable[..., Path]) -> None:
    write("a.txt", b"before")
    files = files_of(root)
    assert (files.digest("a.txt"), files.digest("b.txt")) == (digest_of(b"before"), None)
    write("a.txt", b"after")
    write("b.txt", b"after")
    assert (files.digest("a.txt"), files.digest("b.txt")) == (digest_of(b"before"), None)


def test_a_file_that_is_as_it_was_is_not_read_again(root: Path, write: Callable[..., Path], settled: None) -> None:
    path = write("a.txt", b"text")
    files = files_of(root)
    files.digest("a.txt")
    assert set(files.learned) == {"a.txt"}
    path.chmod(0)  # which changes its ctime: it must be read, and so cannot be where it is not root's
    known = {"a.txt": files.learned["a.txt"]._replace(ctime_ns=path.stat().st_ctime_ns, digest="known")}
    assert SourceFiles(root, known).digest("a.txt") == "known"


@pytest.mark.parametrize("part", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_a_file_of_which_anything_changed_is_read(
    root: Path, write: Callable[..., Path], settled: None, part: str
) -> None:
    write("a.txt", b"text")
    files = files_of(root)
    files.digest("a.txt")
    facts = files.learned["a.txt"]._replace(digest="old")
    known = {"a.txt": facts._replace(**{part: getattr(facts, part) + 1})}
    again = SourceFiles(root, known)
    assert again.digest("a.txt") == digest_of(b"text")
    assert again.learned["a.txt"] == facts._replace(digest=digest_of(b"text"))


def test_a_file_changed_just_now_is_not_remembered(
    root: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later write within the clock's grain could leave size and times as they are."""
    found = write("a.txt").stat()
    latest = max(found.st_mtime_ns, found.st_ctime_ns)
    for age, is_remembered in ((2_000_000_000, False), (2_000_000_001, True)):
        monkeypatch.setattr("clx.course.source_files.time.time_ns", lambda age=age: latest + age)
        files = files_of(root)
        files.digest("a.txt")
        assert bool(files.learned) is is_remembered


def test_an_old_time_of_modification_does_not_make_a_new_file_old(root: Path, write: Callable[..., Path]) -> None:
    """As after ``cp -p`` or unpacking an archive: the time of the change itself counts."""
    os.utime(write("a.txt"), ns=(LONG_AGO, LONG_AGO))
    files = files_of(root)
    files.digest("a.txt")
    assert files.learned == {}


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (os.mkfifo, "a.txt: cannot be read: it is a named pipe, not a regular file."),
        (os.mkdir, "a.txt: cannot be read: Is a directory."),
    ],
)
def test_what_is_no_file_is_named_and_never_waited_for(root: Path, make: Callable[[str], object], fact: str) -> None:
    make(str(root / "a.txt"))
    with pytest.raises(CourseError, match=fact):
        files_of(root).digest("a.txt")


def test_a_file_that_may_not_be_read_says_why() -> None:
    told = unreadable("a", PermissionError(13, "Permission denied"))
    assert (told.fact, told.next_step) == ("a: cannot be read: Permission denied.", "Check its permissions.")
    assert unreadable("a", NotRegularError(22, "it is a socket")).next_step == "Remove it."


# -- which there are --------------------------------------------------------------------------------


def test_a_tree_is_sorted_and_has_no_junk(root: Path, write: Callable[..., Path]) -> None:
    for path in ("t/z.py", "t/a/b.csv", "t/a/.hidden", "t/a.py", "t/.dir/x"):
        write(path)
    for name in JUNK_DIRECTORIES:
        write(f"t/{name}/x.py")
        write(f"t/a/{name}/x.py")
    for name in ("a.pyc", "a.py~", ".a.py.swp", "b.tmp", ".DS_Store", "Thumbs.db", ".~lock.a.odt#", ".$a.drawio.bkp"):
        write(f"t/{name}")
    files = files_of(root)
    assert files.tree("t") == ["t/.dir/x", "t/a.py", "t/a/.hidden", "t/a/b.csv", "t/z.py"]
    assert files.left_out == []
    assert {f"t/{name}" for name in JUNK_DIRECTORIES} | {"t/a.pyc", "t/.DS_Store"} <= set(files.junk)


@pytest.mark.parametrize("name", sorted(DOUBTFUL_DIRECTORIES))
@pytest.mark.parametrize(
    ("left", "is_junk"),
    [
        *(("pyvenv.cfg", True), ("CACHEDIR.TAG", True), ("CMakeCache.txt", True), ("x-1-py3-none-any.whl", True)),
        *(("goals.csv", False), ("classes.csv", False), ("index.html", False)),
    ],
)
def test_a_directory_called_like_one_of_a_tool_is_left_out_only_with_what_tools_leave(
    root: Path, write: Callable[..., Path], name: str, left: str, is_junk: bool
) -> None:
    write(f"t/{name}/{left}")
    files = files_of(root)
    assert (files.tree("t"), files.junk) == (([], [f"t/{name}"]) if is_junk else ([f"t/{name}/{left}"], []))


@pytest.mark.parametrize(
    ("directory", "found"),
    [("t", ["t/a.py", "t/z.py"]), ("", ["README.md"]), (".", ["README.md"])],
)
def test_a_listing_is_one_directory_only(
    root: Path, write: Callable[..., Path], directory: str, found: list[str]
) -> None:
    for path in ("t/z.py", "t/a.py", "t/deep/b.py", "t/a.pyc"):
        write(path)
    assert files_of(root).listing(directory) == found


def test_a_directory_that_is_not_there_is_an_error_with_its_name(root: Path) -> None:
    with pytest.raises(CourseError, match="gone: cannot be read: No such file"):
        files_of(root).tree("gone")


def test_links_and_odd_things_are_left_out_with_the_reason(
    root: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    write("t/real.txt")
    os.mkfifo(root / "t/pipe")
    links = {"inside": "real.txt", "outside": str(outside), "directory": "..", "nothing": "gone"}
    for name, target in links.items():
        (root / "t" / name).symlink_to(target)
    files = files_of(root)
    assert files.tree("t") == ["t/inside", "t/real.txt"]
    assert sorted(files.left_out) == [
        "t/directory is a link to a directory",
        "t/nothing is a link to nothing",
        "t/outside is a link to outside the course",
        "t/pipe is not a regular file",
    ]


def test_links_into_the_shared_directory_count(root: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "a.txt").write_text("x")
    write("t/b.txt")
    (root / "t/a.txt").symlink_to(shared / "a.txt")
    assert files_of(root, shared=shared).tree("t") == ["t/a.txt", "t/b.txt"]


def test_a_directory_that_leads_out_is_not_admitted_and_noted(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / "away").symlink_to(tmp_path / "outside")
    (root / "t").mkdir()
    files = files_of(root)
    assert [files.admits(path) for path in ("", ".", "t", "away")] == [True, True, True, False]
    assert files.left_out == ["away is a link to outside the course"]


@pytest.mark.parametrize(
    ("path", "is_inside"),
    [("course", True), ("course/a/b", True), ("course/../course/a", True), ("course-2/a", False), ("", False)],
)
def test_inside_is_the_directory_itself_and_below_but_no_neighbour(tmp_path: Path, path: str, is_inside: bool) -> None:
    assert Bounds(tmp_path / "course").holds(f"{tmp_path}/{path}") is is_inside
    assert Bounds(tmp_path / "elsewhere", tmp_path / "course").holds(f"{tmp_path}/{path}") is is_inside


def test_everything_lies_below_the_root_of_the_file_system() -> None:
    assert Bounds(Path("/")).holds("/etc")


@pytest.mark.parametrize("name", ["a.py", "ü日本.txt"])
def test_a_name_that_is_text_is_no_problem(name: str) -> None:
    check_name(name)


def test_a_name_that_is_no_text_is_shown_and_refused(root: Path) -> None:
    (root / "t").mkdir()
    Path(os.fsdecode(os.fsencode(root / "t") + b"/\xff.txt")).write_text("x")
    with pytest.raises(CourseError, match=r"t/\\\\?udcff\.txt: its name is not UTF-8") as caught:
        files_of(root).tree("t")
    assert "LC_ALL=C.UTF-8" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("a.py", False),
        ("pyc", False),
        ("tmp", False),
        ("a.dtmp", True),
        ("a.bkp", True),
        ("a.pyo", True),
        ("desktop.ini", True),
        ("my desktop.ini", False),
        (".$a", True),
        ("a.$", False),
    ],
)
def test_what_editors_and_caches_leave_is_no_source(name: str, junk: bool) -> None:
    assert is_junk(name) is junk


def test_a_pointer_of_git_lfs_is_known_in_every_build(root: Path, write: Callable[..., Path], settled: None) -> None:
    write("t/photo.png", POINTER)
    write("t/text.md", b"Git LFS: " + POINTER)
    files = files_of(root)
    assert files.digest("t/photo.png") == digest_of(POINTER)
    assert files.digest("t/text.md") is not None
    assert files.pointers == {"t/photo.png"}
    assert "t/photo.png" not in files.learned
