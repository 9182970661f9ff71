"""Files that are held by day: all of an upload or nothing, the same twice is the same, and nothing outside the root."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.faults.conftest import need

from clx.daily.staging import INDEX, HeldError, Incoming, RoomError, Staged, Staging, day_of, name_of
from clx.errors import OutputError, UsageError

DAY = "2026-11-27"


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", reserve=0)


def put(staging: Staging, *files: tuple[str, bytes], day: str = DAY, **more: Any) -> list[Staged]:
    coming = [Incoming(staging, name) for name, _ in files]
    try:
        for each, (_, data) in zip(coming, files, strict=True):
            each.write(data)
        return staging.put(day, coming, **more)
    finally:
        for each in coming:
            each.discard()


def kept(staging: Staging) -> list[str]:
    """Every file below the root but the lock."""
    return sorted(
        path.relative_to(staging.root).as_posix() for path in staging.root.rglob("*") if path.is_file()
        and path.name != ".lock"
    )  # fmt: skip


def test_a_file_lies_by_its_day_and_the_same_again_is_the_same(staging: Staging) -> None:
    made = put(staging, ("a.json", b"{}"), ("b.json", b"[]"), job="7", worker="w1")
    assert [(each.name, each.size, each.job, each.worker) for each in made] == [
        ("a.json", 2, "7", "w1"), ("b.json", 2, "7", "w1"),
    ]  # fmt: skip
    assert (staging.root / "2026/11/27/a.json").read_bytes() == b"{}"
    assert put(staging, ("a.json", b"{}"), job="8")[0] == made[0] == staging.find(DAY, "a.json")
    assert staging.days() == {DAY: made}
    assert len(kept(staging)) == 2 + 2 + 1


def test_other_bytes_are_refused_unless_they_are_to_replace(staging: Staging) -> None:
    put(staging, ("a.json", b"{}"))
    with pytest.raises(HeldError):
        put(staging, ("b.json", b"[]"), ("a.json", b"{1}"))
    assert [each.name for each in staging.held(DAY)] == ["a.json"]
    assert len(kept(staging)) == 3
    put(staging, ("a.json", b"{1}"), replace=True)
    assert (staging.root / "2026/11/27/a.json").read_bytes() == b"{1}"
    assert len(kept(staging)) == 3
    with pytest.raises(HeldError, match="other letters"):
        put(staging, ("A.json", b"{}"))


def test_one_content_of_two_days_is_kept_once(staging: Staging) -> None:
    put(staging, ("a.json", b"{}"))
    put(staging, ("b.json", b"{}"), day="2026-11-28")
    links = [(staging.root / f"2026/11/{name}").stat().st_ino for name in ("27/a.json", "28/b.json")]
    assert links[0] == links[1]
    staging.remove(DAY)
    assert (staging.root / "2026/11/28/b.json").read_bytes() == b"{}"


def test_what_is_gone_is_removed_again_and_nothing_stays(staging: Staging) -> None:
    put(staging, ("a.json", b"{}"), ("b.json", b"[]"))
    assert [each.name for each in staging.remove(DAY, ["a.json", "x"])] == ["a.json"]
    assert [each.name for each in staging.held(DAY)] == ["b.json"]
    assert [each.name for each in staging.remove(DAY)] == ["b.json"]
    assert staging.remove(DAY) == staging.remove(DAY, ["a.json"]) == []
    assert kept(staging) == []
    assert not (staging.root / "2026").exists()


def test_a_file_of_somebody_else_stays(staging: Staging) -> None:
    put(staging, ("a.json", b"{}"))
    own = staging.root / "2026/11/27/notes.txt"
    own.write_text("mine")
    staging.remove(DAY)
    assert own.read_text() == "mine"
    assert staging.days() == {}


def test_what_a_killed_upload_has_left_is_swept_and_what_lives_is_not(staging: Staging) -> None:
    put(staging, ("a.json", b"{}"))
    torn = staging.store.root / "tmp" / "torn"
    torn.write_bytes(b"half")
    orphan = staging.store.put_bytes(b"no day names it")
    lives = Incoming(staging, "b.json")
    (staging.root / "2026/11/27/a.json").unlink()
    again = Staging(staging.root, reserve=0)
    assert not torn.exists()
    assert not staging.store.has(orphan)
    assert (staging.root / "2026/11/27/a.json").read_bytes() == b"{}"
    lives.write(b"[]")
    assert staging.put(DAY, [lives])[0] == again.find(DAY, "b.json")


def test_a_damaged_artifact_is_mended_by_who_sends_it_again(staging: Staging) -> None:
    [file] = put(staging, ("a.json", b"{}"))
    path = staging.store.path(file.sha256)
    path.chmod(0o644)
    path.write_bytes(b"xx")
    put(staging, ("a.json", b"{}"))
    assert (staging.root / "2026/11/27/a.json").read_bytes() == staging.store.get_bytes(file.sha256) == b"{}"


def test_of_two_at_once_one_wins_and_of_alike_ones_both(staging: Staging) -> None:
    def one(data: bytes) -> str:
        try:
            return put(staging, ("a.json", data))[0].sha256
        except HeldError:
            return "held"

    with ThreadPoolExecutor(8) as pool:
        alike = set(pool.map(one, [b"{}"] * 16))
        assert alike == {hashlib.sha256(b"{}").hexdigest()}
        staging.remove(DAY)
        others = list(pool.map(one, [b"[%d]" % i for i in range(16)]))
    assert sorted(each == "held" for each in others) == [False] + [True] * 15
    assert len(kept(staging)) == 3


def test_no_room_is_told_before_and_leaves_nothing(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staging", reserve=1 << 60)
    with pytest.raises(RoomError):
        put(staging, ("a.json", b"{}"))
    assert kept(staging) == []


@pytest.mark.parametrize("name", ["replace_text", "os.link"])
def test_an_upload_that_cannot_be_written_down_leaves_all_as_it_was(
    staging: Staging, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    put(staging, ("a.json", b"{}"))
    before = kept(staging), staging.days()
    with monkeypatch.context() as patched:
        patched.setattr(f"clx.daily.staging.{name}", full)
        patched.setattr("clx.daily.staging.shutil.copyfile", full)
        with pytest.raises(RoomError):
            put(staging, ("b.json", b"[]"), ("c.json", b"[1]"))
        with pytest.raises(RoomError):
            put(staging, ("d.json", b"[2]"), day="2026-11-28")
        with pytest.raises(RoomError):
            put(staging, ("a.json", b"[3]"), replace=True)
    assert (kept(staging), staging.days()) == before
    assert (staging.root / "2026/11/27/a.json").read_bytes() == b"{}"


_FILL = """
import sys
from pathlib import Path
from clx.daily.staging import *
staging = Staging(Path(sys.argv[1]), reserve=0)
coming = Incoming(staging, "a.json")
other = Path(sys.argv[1], "other")
try:
    with other.open("wb") as stream:
        coming.write(b"x" * 300_000)
        stream.write(b"x" * 600_000)  # somebody else fills the disk
        stream.flush()
        coming._checked_at = 1 << 40
        coming.write(b"x" * 300_000)
except RoomError as error:
    print(error.fact)
coming.discard()
other.unlink()
print([p.name for p in staging.root.rglob("*") if p.is_file()], staging.days())
"""


def test_a_disk_that_fills_meanwhile_keeps_nothing(tmp_path: Path) -> None:
    need("unshare")
    mounted = tmp_path / "small"
    mounted.mkdir()
    command = f'mount -t tmpfs -o size=1m tmpfs "{mounted}" && exec "{sys.executable}" -c "$CODE" "{mounted}"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command], env={**os.environ, "CODE": _FILL}, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "The disk is full: nothing of what was coming was kept.", "['.lock'] {}",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../a", "a/b", "a\\b", ".hidden", "", "a\0b", "ü", "x" * 101, "a.", "a b", "a\n"])
def test_a_name_that_could_lead_elsewhere_is_none(staging: Staging, name: str) -> None:
    with pytest.raises(UsageError):
        Incoming(staging, name)
    assert name_of("job_7-x.parquet")


@pytest.mark.parametrize("day", ["", "2026-11-31", "20261127", "2026-11-27/..", "../..", "2026-W48-5", "٢٠٢٦-١١-٢٧"])
def test_a_day_that_is_none(staging: Staging, day: str) -> None:
    with pytest.raises(UsageError):
        day_of(day)
    with pytest.raises(UsageError):
        staging.held(day)


@pytest.mark.parametrize("place", ["2026", "2026/11", "2026/11/27"])
def test_a_link_out_of_the_root_is_not_followed(staging: Staging, tmp_path: Path, place: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = staging.root / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(OutputError, match="symbolic link"):
        put(staging, ("a.json", b"{}"))
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced(staging: Staging, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    folder = staging.root / "2026/11/27"
    folder.mkdir(parents=True)
    (folder / "a.json").symlink_to(outside)
    put(staging, ("a.json", b"{}"))
    assert outside.read_text() == "mine"
    assert (folder / "a.json").read_bytes() == b"{}"


def test_an_index_that_cannot_be_read_is_told_with_what_to_do(staging: Staging) -> None:
    put(staging, ("a.json", b"{}"))
    (staging.root / "2026/11/27" / INDEX).write_text("[")
    with pytest.raises(OutputError, match="cannot be read"):
        staging.days()
