"""What is known becomes files of the output tree; what CLX did not write is never lost."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clx.artifacts.store import ArtifactStore
from clx.course.build_state import BuildState, Owner, PublishedFile
from clx.course.layout import Selection
from clx.course.plan import OutputPath
from clx.course.publish import SHARED_FROM, OutputFile, Publisher, check_targets
from clx.errors import ArtifactError, OutputError, UsageError


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Site:
    """An output directory with two targets, and what published into it."""

    def __init__(self, root: Path, state: BuildState) -> None:
        self.root = root
        self.state = state
        self.owner = Owner(str(root / "course.yaml"), str(root / "output"))
        self.store = ArtifactStore(root / "artifacts")
        self.publisher = self.anew()

    def anew(self, *names: str, state: BuildState | None = None, owner: Owner | None = None) -> Publisher:
        """The publisher of a next build with these targets."""
        targets = [str(self.root / "output" / name) for name in names or ("public", "speaker")]
        self.publisher = Publisher(targets, owner or self.owner, state or self.state, self.store, self.root / "state")
        return self.publisher

    def item(
        self, path: str, text: str, *, target: int = 0, key: str = "k", source: str = "a.py", task: str = "t"
    ) -> OutputFile:
        digest = self.store.put_bytes(text.encode())
        return OutputFile(OutputPath(target, path, "en/completed/html"), source, task, key, digest)

    def path(self, path: str, target: str = "public") -> Path:
        return self.root / "output" / target / path

    def text(self, path: str) -> str:
        return self.path(path).read_text()

    def kept(self) -> list[str]:
        """What stood in the way and was kept."""
        folder = self.publisher.kept_in
        return sorted(path.read_text() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def site(tmp_path: Path, state: BuildState) -> Iterator[Site]:
    site = Site(tmp_path, state)
    yield site
    site.publisher.close()


def test_files_are_written_and_noted_with_all_that_tells_them(site: Site) -> None:
    site.publisher.publish([site.item("En/a.html", "one"), site.item("b.html", "two", target=1, key="other")])
    assert (site.text("En/a.html"), site.path("b.html", "speaker").read_text()) == ("one", "two")
    assert site.publisher.written == 2
    found = site.path("En/a.html").stat()
    row = site.publisher.owned()[str(site.root / "output/public")]["En/a.html"]
    assert row == PublishedFile(
        target=str(site.root / "output/public"),
        path="En/a.html",
        slice="en/completed/html",
        source="a.py",
        task="t",
        key="k",
        digest=hashlib.sha256(b"one").hexdigest(),
        size=3,
        mtime_ns=found.st_mtime_ns,
    )
    assert [path.name for path in (site.root / "state/tmp").iterdir()] == []


LARGE = "x" * SHARED_FROM


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (LARGE, LARGE),
        ("other bytes", LARGE),
        (None, LARGE),
    ],
)
def test_large_files_share_blocks_where_that_can_be_and_are_right_in_any_case(
    site: Site, monkeypatch: pytest.MonkeyPatch, made: str | None, written: str
) -> None:
    asked: list[Path] = []

    def share_blocks(origin: Path, target: Path) -> bool:
        asked.append(origin)
        if made is None:
            target.touch()
            raise OSError(errno.EIO, "no blocks to be had")
        target.write_text(made)
        return True

    monkeypatch.setattr("clx.platforms.system.share_blocks", share_blocks)
    large = site.item("large.txt", LARGE)
    site.publisher.publish([site.item("small.txt", "small"), large])
    assert asked == [site.store.path(large.digest)]
    assert (site.text("small.txt"), site.text("large.txt")) == ("small", written)


def test_an_edit_of_a_published_file_changes_neither_store_nor_course(site: Site) -> None:
    item = site.item("large.txt", LARGE)
    source = site.root / "source.txt"
    source.write_text(LARGE)
    copied = OutputFile(item.place._replace(path="copied.txt"), "source.txt", "", item.digest, item.digest, source)
    site.publisher.publish([item, copied])
    for name in ("large.txt", "copied.txt"):
        with site.path(name).open("r+") as stream:
            stream.write("edited")
    assert (source.read_text(), site.store.get_bytes(item.digest).decode()) == (LARGE, LARGE)


def test_the_same_bytes_are_not_written_again_but_belong_to_the_new_key(site: Site) -> None:
    site.publisher.publish([site.item("a.html", "one")])
    before = site.path("a.html").stat().st_ino
    site.publisher.publish([site.item("a.html", "one", key="new")])
    assert site.path("a.html").stat().st_ino == before
    assert site.publisher.written == 1
    assert site.anew().is_current(OutputPath(0, "a.html", ""), "new")


def test_a_file_is_current_while_it_is_as_it_was_written_for_its_key(site: Site) -> None:
    def is_current(path: str = "d/a.html", key: str = "k", target: int = 0) -> bool:
        return publisher.is_current(OutputPath(target, path, ""), key)

    site.publisher.publish([site.item("d/a.html", "one")])
    publisher = site.anew()
    assert is_current()
    assert not is_current(key="other")
    assert not is_current(path="d/b.html")
    assert not is_current(target=1)
    stamp = site.path("d/a.html").stat()
    site.path("d/a.html").write_text("two")
    assert not is_current()
    os.utime(site.path("d/a.html"), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert is_current()
    site.path("d/a.html").write_text("longer")
    os.utime(site.path("d/a.html"), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert not is_current()
    site.path("d/a.html").unlink()
    assert not is_current()


def test_a_file_whose_directory_is_gone_is_not_current(site: Site) -> None:
    site.publisher.publish([site.item("d/a.html", "one")])
    site.path("d/a.html").unlink()
    site.path("d").rmdir()
    assert not site.anew().is_current(OutputPath(0, "d/a.html", ""), "k")


def test_looking_at_many_directories_keeps_few_of_them_open(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.course.publish._DIRECTORIES", 4)
    items = [site.item(f"{number}/a.html", "one") for number in range(10)]
    site.publisher.publish(items)
    before = open_files()
    publisher = site.anew()
    assert all(publisher.is_current(item.place, "k") for item in items)
    assert open_files() - before <= 4
    publisher.forget_directories()
    assert open_files() == before


# -- what stands in the way -------------------------------------------------------------------------


def test_a_file_that_clx_did_not_write_is_kept_before_it_is_replaced(site: Site) -> None:
    site.path("a.html").parent.mkdir(parents=True)
    site.path("a.html").write_text("mine")
    site.publisher.publish([site.item("a.html", "one")])
    assert (site.text("a.html"), site.kept()) == ("one", ["mine"])
    assert site.publisher.replaced == [str(site.path("a.html"))]


def test_a_file_that_was_edited_since_is_kept_too(site: Site) -> None:
    site.publisher.publish([site.item("a.html", "one")])
    site.path("a.html").write_text("edited")
    site.anew().publish([site.item("a.html", "two")])
    assert (site.text("a.html"), site.kept()) == ("two", ["edited"])


@pytest.mark.parametrize("touch", [False, True])
def test_a_file_with_the_bytes_that_clx_wrote_is_replaced_without_a_copy(site: Site, touch: bool) -> None:
    site.publisher.publish([site.item("a.html", "one")])
    if touch:
        os.utime(site.path("a.html"), ns=(1, 1))
    site.anew().publish([site.item("a.html", "two")])
    assert (site.text("a.html"), site.kept(), site.publisher.replaced) == ("two", [], [])


def test_what_another_course_wrote_is_no_users_file(site: Site) -> None:
    site.publisher.publish([site.item("a.html", "one")])
    site.anew(owner=Owner("other.yaml", site.owner.output)).publish([site.item("a.html", "two")])
    assert (site.text("a.html"), site.kept()) == ("two", [])


def test_a_pipe_in_the_way_is_moved_and_not_read(site: Site) -> None:
    site.path("a.html").parent.mkdir(parents=True)
    os.mkfifo(site.path("a.html"))
    site.publisher.publish([site.item("a.html", "one")])
    assert site.text("a.html") == "one"
    assert [path.is_fifo() for path in site.publisher.kept_in.rglob("a.html")] == [True]


def test_a_link_in_the_way_is_replaced_and_not_written_through(site: Site, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    site.path("a.html").parent.mkdir(parents=True)
    site.path("a.html").symlink_to(tmp_path / "precious")
    site.publisher.publish([site.item("a.html", "one")])
    assert (site.text("a.html"), site.path("a.html").is_symlink()) == ("one", False)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_directory_in_the_way_is_an_error_and_stays(site: Site) -> None:
    (site.path("a.html") / "inside").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        site.publisher.publish([site.item("a.html", "one")])
    assert (site.path("a.html") / "inside").is_dir()


def test_nothing_is_written_through_a_linked_directory(site: Site, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    site.path("").mkdir(parents=True)
    site.path("d").symlink_to(tmp_path / "outside")
    with pytest.raises(OutputError, match="lies outside its target once symbolic links are followed"):
        site.publisher.publish([site.item("d/a.html", "one")])
    assert list((tmp_path / "outside").iterdir()) == []


# -- where bytes come from --------------------------------------------------------------------------


def test_a_copied_file_is_read_from_where_it_lies(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.write_text("1,2")
    digest = hashlib.sha256(b"1,2").hexdigest()
    site.publisher.publish([OutputFile(OutputPath(0, "data.csv", ""), "data.csv", "", digest, digest, source)])
    assert site.text("data.csv") == "1,2"


def test_a_copied_file_that_changed_meanwhile_is_not_published(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.write_text("changed")
    digest = hashlib.sha256(b"1,2").hexdigest()
    item = OutputFile(OutputPath(0, "data.csv", ""), "data.csv", "", digest, digest, source)
    with pytest.raises(ArtifactError, match=r"data\.csv changed while it was being copied"):
        site.publisher.publish([site.item("a.html", "one"), item, site.item("never.html", "x")])
    assert not site.path("data.csv").exists()
    assert set(site.publisher.owned()[str(site.root / "output/public")]) == {"a.html"}
    assert list((site.root / "state/tmp").iterdir()) == []


def test_bytes_that_are_not_in_the_store_are_an_error(site: Site) -> None:
    with pytest.raises(ArtifactError):
        site.publisher.publish([OutputFile(OutputPath(0, "a.html", ""), "a.py", "t", "k", "0" * 64)])


@pytest.mark.parametrize(
    ("number", "step"),
    [(errno.ENOSPC, "Free some space and build again."), (errno.EACCES, "Check the output directory.")],
)
def test_what_the_system_refuses_comes_with_a_next_step(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    item = site.item("a.html", "one")
    monkeypatch.setattr("clx.course.publish.os.replace", refuse)
    with pytest.raises(OutputError, match=os.strerror(number)) as caught:
        site.publisher.publish([item])
    assert caught.value.next_step == step


@pytest.mark.parametrize("way", ["output", "output/public"])
def test_a_target_that_is_or_lies_below_a_file_is_refused(site: Site, way: str) -> None:
    check_targets(site.publisher.targets)
    (site.root / way).parent.mkdir(parents=True, exist_ok=True)
    (site.root / way).write_text("a file")
    with pytest.raises(UsageError, match=f"The output path {site.root / way} is a file, not a directory"):
        check_targets(site.publisher.targets)


def test_a_link_to_nowhere_is_no_target_either(site: Site) -> None:
    (site.root / "output").symlink_to("nowhere")
    with pytest.raises(UsageError, match="output/public leads to"):
        check_targets(site.publisher.targets)


# -- removal ----------------------------------------------------------------------------------------


def remove(site: Site, *wanted: str, selection: Selection | None = None, failed: object = ()) -> list[str]:
    """Names of what goes when only *wanted* of the first target is wanted."""
    removed, kept = site.publisher.remove_stale(
        {(0, path) for path in wanted},
        selection or Selection(),
        failed,  # type: ignore[arg-type]
    )
    return sorted(os.path.relpath(path, site.owner.output) for path in removed) + [
        f"kept {os.path.relpath(path, site.owner.output)}" for path in kept
    ]


@pytest.fixture
def three(site: Site) -> Site:
    site.publisher.publish(
        [
            site.item("d/a.html", "one"),
            site.item("d/e/b.html", "two", source="b.py"),
            site.item("c.html", "three", target=1, source="c.py"),
        ]
    )
    site.anew()
    return site


def test_what_nothing_wants_goes_with_directories_that_are_empty_then(three: Site) -> None:
    assert remove(three, "d/a.html") == ["public/d/e/b.html", "speaker/c.html"]
    assert three.path("d/a.html").exists()
    assert not three.path("d/e").exists()
    assert {path for rows in three.publisher.owned().values() for path in rows} == {"d/a.html"}


def test_while_all_is_wanted_nothing_is_looked_at(three: Site) -> None:
    three.anew("public")
    (three.root / "output/speaker").rename(three.root / "elsewhere")
    assert remove(three, "d/a.html", "d/e/b.html", selection=Selection(targets=frozenset({"public"}))) == []


def test_a_selection_removes_only_from_itself(three: Site) -> None:
    assert remove(three, selection=Selection(languages=frozenset({"de"}))) == []
    assert remove(three, "d/a.html", "d/e/b.html", selection=Selection(kinds=frozenset({"completed"}))) == [
        "speaker/c.html"
    ]


def test_the_last_good_files_of_a_job_that_failed_stay(three: Site) -> None:
    assert remove(three, failed={("b.py", "t"), ("a.py", "another task")}) == ["public/d/a.html", "speaker/c.html"]


def test_a_file_that_was_edited_stays_and_is_told_once(three: Site) -> None:
    three.path("d/a.html").write_text("mine")
    assert remove(three, "d/e/b.html") == ["speaker/c.html", "kept public/d/a.html"]
    assert three.text("d/a.html") == "mine"
    three.anew()
    assert remove(three, "d/e/b.html") == []


def test_a_target_that_the_course_no_longer_has_is_cleared_but_not_when_targets_were_chosen(three: Site) -> None:
    three.anew("public")
    chosen = Selection(targets=frozenset({"public"}))
    assert remove(three, "d/a.html", "d/e/b.html", selection=chosen) == []
    assert remove(three, "d/a.html", "d/e/b.html") == ["speaker/c.html"]


def test_a_target_outside_the_output_directory_is_left_alone(site: Site, state: BuildState) -> None:
    publisher = Publisher([f"{site.root}/output-2"], site.owner, state, site.store, site.root / "state")
    publisher.publish([site.item("a.html", "one")])
    assert remove(site) == []
    assert (site.root / "output-2/a.html").exists()


def test_the_files_of_a_job_are_known_by_source_and_task(three: Site) -> None:
    assert three.publisher.files_of("b.py", "t") == [str(three.path("d/e/b.html"))]
    assert three.publisher.files_of("b.py", "other") == []


# -- without a database, locks, temporary files -------------------------------------------------------


def test_without_a_database_nothing_is_known_until_there_is_one(site: Site) -> None:
    state = BuildState()
    publisher = Publisher([f"{site.root}/output"], site.owner, state, site.store, site.root / "state")
    assert (publisher.owned(), publisher.output_stats) == ({}, [{}])
    state.database = site.state.database
    publisher.publish([site.item("a.html", "one")])
    assert list(publisher.owned()[f"{site.root}/output"]) == ["a.html"]


def test_rows_are_noted_while_many_files_are_written(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that is killed has lost the notes of a few files only."""
    monkeypatch.setattr("clx.course.publish._NOTED_AT_ONCE", 2)
    noted: list[int] = []
    published = site.state.published

    def note(owner: Owner, files: list[PublishedFile]) -> None:
        noted.append(len(files))
        published(owner, files)

    monkeypatch.setattr(site.state, "published", note)
    site.publisher.publish(site.item(f"{number}.html", "x") for number in range(5))
    assert noted == [2, 2, 1]


def test_two_publishers_of_one_target_take_turns(site: Site) -> None:
    import fcntl

    def probe() -> Iterator[OutputFile]:
        yield site.item("a.html", "one")
        for lock in (site.root / "state/locks").iterdir():
            with lock.open("w") as stream, pytest.raises(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locks.extend((site.root / "state/locks").iterdir())

    locks: list[Path] = []
    site.publisher.publish(probe())
    assert len(locks) == 2


def test_on_another_file_system_temporary_files_lie_in_the_target_and_go(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stat = Path.stat

    def elsewhere(self: Path, **options: bool) -> os.stat_result:
        found = stat(self, **options)
        return os.stat_result([*found[:2], -1, *found[3:]]) if self.name == "tmp" else found

    site.path("").mkdir(parents=True)
    monkeypatch.setattr(Path, "stat", elsewhere)
    site.publisher.publish([site.item("a.html", "one")])
    assert site.path(".clx-tmp").is_dir()
    site.publisher.close()
    assert sorted(path.name for path in site.path("").iterdir()) == ["a.html"]
