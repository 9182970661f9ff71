"""Bytes go in once, come out verified, and stay as long as a row names them."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from clx.artifacts import store as store_module
from clx.artifacts.store import ArtifactStore
from clx.errors import ArtifactError

_DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def _age(store: ArtifactStore, digest: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(store.path(digest), (then, then))


def test_the_name_is_the_checksum(store: ArtifactStore) -> None:
    digest = store.put_bytes(b"hello")

    assert digest == hashlib.sha256(b"hello").hexdigest()
    assert store.get_bytes(digest) == b"hello"
    assert store.put_bytes(b"hello") == digest
    assert list(store.digests()) == [digest]


def test_objects_cannot_be_written_to(store: ArtifactStore) -> None:
    assert store.path(store.put_bytes(b"x")).stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("size", [0, 10, 3 << 20])
def test_a_file_comes_out_as_it_went_in(store: ArtifactStore, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))

    digest, stored = store.put_file(source)
    assert store.copy_to(digest, tmp_path / "copy") == stored == size
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("sizes", [[], [10], [3 << 20], [5, 3 << 20, 0, 2 << 20, 7]])
def test_what_is_written_piece_by_piece_has_the_digest_of_all_of_it(store: ArtifactStore, sizes: list[int]) -> None:
    pieces = [os.urandom(size) for size in sizes]

    def write(stream: store_module.HashingWriter) -> None:
        for piece in pieces:
            assert stream.write(memoryview(piece)) == len(piece)

    digest, size = store.put_written(write)
    assert (digest, size) == (hashlib.sha256(b"".join(pieces)).hexdigest(), sum(sizes))
    assert store.get_bytes(digest) == b"".join(pieces)
    assert store.put_written(write) == (digest, size)
    assert store.holds(digest, size)
    assert not store.holds("0" * 64, size)


def test_of_what_is_not_written_to_its_end_nothing_stays(store: ArtifactStore) -> None:
    def write(stream: store_module.HashingWriter) -> None:
        stream.write(bytes(3 << 20))
        raise ValueError

    with pytest.raises(ValueError):
        store.put_written(write)
    assert list(store.digests()) == []
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damage_is_found_and_the_object_leaves_the_store(store: ArtifactStore, tmp_path: Path, damage: str) -> None:
    digest = store.put_bytes(b"hello")
    path = store.path(digest)
    path.chmod(0o644)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"jello" if damage == "changed" else b"hel")

    with pytest.raises(ArtifactError, match="damaged" if damage != "gone" else "not in the store"):
        store.get_bytes(digest)
    with pytest.raises(ArtifactError):
        store.copy_to(digest, tmp_path / "copy")
    assert not path.exists()
    assert not (tmp_path / "copy").exists()
    assert store.put_bytes(b"hello") == digest
    assert store.get_bytes(digest) == b"hello"


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/x"])
def test_inputs_stay_in_the_jobs_directory(store: ArtifactStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="leaves"):
        store.materialize([(name, store.put_bytes(b"x"))], tmp_path / "job")
    assert not (tmp_path / "out").exists()


def test_large_inputs_are_not_copied_and_are_checked_afterwards(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LINK_FROM", 4)
    digest = store.put_bytes(b"large")
    store.materialize([("in.bin", digest)], tmp_path / "job")
    store.verify_links([("in.bin", digest)])

    store.path(digest).chmod(0o644)
    store.path(digest).write_bytes(b"LARGE")
    with pytest.raises(ArtifactError, match="damaged"):
        store.verify_links([("in.bin", digest)])


def test_pruning_removes_what_is_old_and_nobody_names(store: ArtifactStore) -> None:
    named, old, young = (store.put_bytes(name) for name in (b"named", b"old", b"young"))
    for digest in (named, old):
        _age(store, digest, 2 * _DAY)

    assert store.prune([named]) == (1, 3)
    assert sorted(store.digests()) == sorted([named, young])


def test_putting_again_makes_an_old_object_young(store: ArtifactStore) -> None:
    """Whoever puts it is about to write a row that names it."""
    digest = store.put_bytes(b"again")
    _age(store, digest, 2 * _DAY)
    ArtifactStore(store.root).put_bytes(b"again")

    assert store.prune([]) == (0, 0)
    assert store.has(digest)


def test_temporary_files_of_the_killed_go_after_a_day(store: ArtifactStore) -> None:
    store.put_bytes(b"x")
    left = store.root / "tmp" / "left"
    left.write_bytes(b"half")
    store.prune([])
    assert left.exists()
    os.utime(left, (0, 0))
    store.prune([])
    assert not left.exists()


def test_size_counts_objects_and_bytes(store: ArtifactStore) -> None:
    store.put_bytes(b"12345")
    store.put_bytes(b"123")
    assert store.size() == (2, 8)


@pytest.mark.parametrize("name", ["../../precious", "../precious", "/etc/passwd", "a" * 63, "A" * 64, ""])
def test_a_name_that_is_no_digest_leads_nowhere(store: ArtifactStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("precious")
    store.put_bytes(b"x")
    with pytest.raises(ArtifactError):
        store.get_bytes(name)
    with pytest.raises(ArtifactError):
        store.copy_to(name, tmp_path / "copy")
    assert not store.has(name)
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("folder", ["ab", "tmp"])
def test_pruning_follows_no_link(store: ArtifactStore, tmp_path: Path, folder: str) -> None:
    store.put_bytes(b"x")
    (tmp_path / "outside").mkdir()
    precious = tmp_path / "outside" / ("c" * 62)
    precious.write_text("precious")
    os.utime(precious, (1, 1))
    (store.root / folder).rmdir() if (store.root / folder).exists() else None
    (store.root / folder).symlink_to(tmp_path / "outside")
    store.prune([])
    assert precious.exists()


def test_pruning_follows_no_link_that_a_container_made(tmp_path: Path) -> None:
    """Where containers write into the store, a job could lead it to a directory of this user's."""
    documents = tmp_path / "documents"
    documents.mkdir()
    names = ["letter.txt", "f" * 62, "a" * 24]
    for name in names:
        (documents / name).write_text("mine")
        os.utime(documents / name, (0, 0))
    for link in ("ab", "tmp"):
        store = ArtifactStore(tmp_path / f"store-{link}")
        store.root.mkdir()
        (store.root / link).symlink_to(documents)
        assert store.prune([], older_than=0.0) == (0, 0)
        assert store.size() == (0, 0)
    whole = tmp_path / "whole"
    (tmp_path / "other" / "ab").mkdir(parents=True)
    (tmp_path / "other" / "ab" / ("f" * 62)).write_text("mine")
    whole.symlink_to(tmp_path / "other")
    assert ArtifactStore(whole).prune([], older_than=0.0) == (0, 0)
    assert sorted(path.name for path in documents.iterdir()) == sorted(names)


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_what_is_no_file_is_damaged_and_never_waited_for(tmp_path: Path, what: str) -> None:
    store = ArtifactStore(tmp_path / "store")
    digest = store.put_bytes(b"bytes")
    path = store.path(digest)
    path.unlink()
    (tmp_path / "same").write_bytes(b"bytes")
    if what == "link":
        path.symlink_to(tmp_path / "same")
    else:
        os.mkfifo(path)
    assert not store.verify(digest)
    if not path.is_symlink() and not path.exists():
        os.mkfifo(path) if what == "pipe" else path.symlink_to(tmp_path / "same")
    with pytest.raises(ArtifactError, match="damaged"):
        store.get_bytes(digest)
    assert (tmp_path / "same").read_bytes() == b"bytes"
    assert not path.is_symlink()


def test_a_directory_in_the_place_of_an_object_is_told_and_is_none(store: ArtifactStore) -> None:
    digest = store.put_bytes(b"bytes")
    path = store.path(digest)
    path.unlink()
    path.mkdir()
    assert not store.has(digest)
    with pytest.raises(ArtifactError, match="is no artifact, and cannot be removed") as told:
        store.get_bytes(digest)
    assert told.value.next_step == "Remove it."
