"""Objects that come bit by bit: what has come stays, nobody disturbs another, and only right bytes become objects."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from clx.artifacts import uploads
from clx.artifacts.store import ArtifactStore
from clx.artifacts.uploads import InUseError, OffsetError, Uploads
from clx.errors import ArtifactError
from clx.platforms import system

DATA = b"0123456789" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def left(store: ArtifactStore) -> list[str]:
    return sorted(path.name for path in (store.root / "tmp").iterdir())


def test_what_has_come_stays_for_whoever_goes_on(store: ArtifactStore) -> None:
    first = Uploads(store)
    assert first.offset(DIGEST) is None
    upload = first.begin(DIGEST, None)
    upload.write(DATA[:4000])
    first.end(upload)
    second = Uploads(store)  # another process
    assert second.offset(DIGEST) == 4000
    upload = second.begin(DIGEST, 4000)
    upload.write(DATA[4000:])
    assert upload.finish()
    second.end(upload)
    assert store.get_bytes(DIGEST) == DATA
    assert left(store) == []
    assert store.path(DIGEST).stat().st_mode & 0o777 == 0o444


def test_it_is_not_gone_on_with_where_it_does_not_end(store: ArtifactStore) -> None:
    receiving = Uploads(store)
    upload = receiving.begin(DIGEST, None)
    upload.write(DATA[:4000])
    receiving.end(upload)
    for offset in (0, 3999, 4001):
        with pytest.raises(OffsetError) as raised:
            receiving.begin(DIGEST, offset)
        assert raised.value.offset == 4000
    receiving.end(receiving.begin(DIGEST, 4000))
    assert receiving.offset(DIGEST) == 4000


def test_without_an_offset_it_begins_anew(store: ArtifactStore) -> None:
    receiving = Uploads(store)
    upload = receiving.begin(DIGEST, None)
    upload.write(b"something else")
    receiving.end(upload)
    upload = receiving.begin(DIGEST, None)
    upload.write(DATA)
    assert upload.finish()


def test_other_bytes_than_the_name_says_leave_nothing(store: ArtifactStore) -> None:
    receiving = Uploads(store)
    upload = receiving.begin(DIGEST, None)
    upload.write(DATA[:-1])
    assert not upload.finish()
    receiving.end(upload)
    assert not store.has(DIGEST)
    assert left(store) == []


def test_two_that_send_the_same_do_not_disturb_each_other(store: ArtifactStore) -> None:
    receiving = Uploads(store)
    one = receiving.begin(DIGEST, None)
    one.write(DATA[:100])
    with pytest.raises(InUseError):
        receiving.begin(DIGEST, 100)
    with pytest.raises(InUseError):
        Uploads(store).begin(DIGEST, 100)  # nor another process
    for two in (receiving.begin(DIGEST, None), Uploads(store).begin(DIGEST, None)):
        two.write(DATA)
        assert two.finish()
    one.write(DATA[100:])
    assert one.finish()
    assert store.get_bytes(DIGEST) == DATA
    for each in (one, two):
        receiving.end(each)
    assert left(store) == []


def test_one_that_is_still_is_taken_over(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STILL", 0.0)
    receiving = Uploads(store)
    cut = receiving.begin(DIGEST, None)
    cut.write(DATA[:100])
    again = receiving.begin(DIGEST, 100)
    with pytest.raises(InUseError):
        cut.write(DATA[100:])
    with pytest.raises(InUseError):
        cut.finish()
    receiving.end(cut)
    again.write(DATA[100:])
    assert again.finish()


def test_one_that_is_being_kept_on_a_slow_disk_is_not_taken_over(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "STILL", 0.0)
    receiving = Uploads(store)
    running = receiving.begin(DIGEST, None)
    running.write(DATA)
    real, moving = store.settle, []

    def settle(*arguments: Any) -> None:
        moving.append(receiving.is_moving(DIGEST))
        real(*arguments)

    assert not receiving.is_moving(DIGEST)
    monkeypatch.setattr(store, "settle", settle)
    assert running.finish()
    assert moving == [True]


def test_a_part_that_became_an_object_meanwhile_is_not_written_into(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = system.lock

    def lock(descriptor: int, *, wait: bool = True) -> bool:
        """Another process finishes it between the open and the lock."""
        part = store.root / "tmp" / f"{DIGEST}.part"
        if part.exists():
            part.write_bytes(DATA)
            store.path(DIGEST).parent.mkdir()
            part.rename(store.path(DIGEST))
        return real(descriptor, wait=wait)

    monkeypatch.setattr(system, "lock", lock)
    receiving = Uploads(store)
    upload = receiving.begin(DIGEST, None)
    upload.write(b"x")
    receiving.end(upload)
    assert store.get_bytes(DIGEST) == DATA


@pytest.mark.parametrize(("number", "stays"), [(errno.ENOSPC, False), (errno.EIO, True)])
def test_a_full_disk_takes_the_part_away(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, number: int, stays: bool
) -> None:
    receiving = Uploads(store)
    upload = receiving.begin(DIGEST, None)
    upload.write(DATA[:100])

    class Full:
        def __init__(self) -> None:
            self._stream = upload._stream
            self.close, self.fileno = self._stream.close, self._stream.fileno

        @property
        def closed(self) -> bool:
            return self._stream.closed

        def write(self, data: bytes) -> int:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(upload, "_stream", Full())
    with pytest.raises(OSError, match=os.strerror(number)):
        upload.write(DATA[100:])
    receiving.end(upload)
    assert (receiving.offset(DIGEST) is not None) == stays


def test_what_is_no_digest_leads_nowhere(store: ArtifactStore) -> None:
    for name in ("../x", "A" * 64, ""):
        with pytest.raises(ArtifactError):
            Uploads(store).begin(name, None)
