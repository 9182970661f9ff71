"""A store in front of a server's: two machines that share no directory see the same artifacts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.support.serving import Listening

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.errors import ArtifactError, ArtifactMissingError, ServerError
from clx.remote import cached_store
from clx.remote.artifacts import ArtifactServer
from clx.remote.cached_store import CachedStore
from clx.routines.codecs import artifacts_of, canonical, restore_text

NOBODY = "0" * 64


class Asked(ArtifactServer):
    """Counts the calls."""

    calls: list[str]

    def _try(self, method: str, name: str, **more: object) -> object:
        self.calls.append(f"{method} {name[:8]}")
        return super()._try(method, name, **more)  # type: ignore[arg-type]


@pytest.fixture
def kept(queue: Queue) -> ArtifactStore:
    """What the server keeps them in."""
    return ArtifactStore(queue.database.state.shared / "artifacts")


def machine(root: Path, served: Listening) -> tuple[CachedStore, list[str]]:
    caller = Asked(served.url, served.secrets["work"], patience=0.2)
    caller.calls = []
    return CachedStore(root, caller), caller.calls


@pytest.fixture
def one(tmp_path: Path, served: Listening) -> CachedStore:
    return machine(tmp_path / "one", served)[0]


@pytest.fixture
def other(tmp_path: Path, served: Listening) -> tuple[CachedStore, list[str]]:
    return machine(tmp_path / "other", served)


def damage(store: ArtifactStore, digest: str) -> None:
    path = store.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)


def test_what_one_shares_another_lays_out(
    one: CachedStore, other: tuple[CachedStore, list[str]], tmp_path: Path
) -> None:
    digests = [one.put_bytes(f"file {number}".encode()) for number in range(20)]
    one.share(digests)
    store, calls = other
    files = [(f"d/{number}.txt", digest) for number, digest in enumerate(digests)]
    store.materialize(files, tmp_path / "in")
    assert (tmp_path / "in/d/7.txt").read_text() == "file 7"
    assert len(calls) == 20
    store.materialize(files, tmp_path / "again")
    assert store.get_bytes(digests[3]) == b"file 3"
    assert store.bring(digests[3]) == store.path(digests[3])
    assert len(calls) == 20, "what is here is not asked for"


@pytest.mark.parametrize("length", [10, 100_000])
def test_an_array_goes_from_machine_to_machine(
    one: CachedStore, other: tuple[CachedStore, list[str]], length: int
) -> None:
    text = canonical([np.arange(length), b"x" * 10_000], files=one)
    with pytest.raises(ArtifactMissingError):
        restore_text(text, files=other[0])
    one.share(artifacts_of(text))
    array, data = restore_text(text, files=other[0])
    assert (array.sum(), len(data)) == (sum(range(length)), 10_000)


def test_putting_asks_nobody_and_sharing_sends_only_what_is_missing(tmp_path: Path, served: Listening) -> None:
    store, calls = machine(tmp_path / "a", served)
    digests = [store.put_bytes(bytes([number])) for number in range(5)]
    store.share([])
    assert calls == []
    store.share(digests)
    assert len(calls) == 6
    store.share(iter(digests))
    assert calls[6:] == ["POST missing"]


def test_what_is_nowhere_is_told_before_a_row_names_it(one: CachedStore) -> None:
    with pytest.raises(ArtifactMissingError):
        one.share([one.put_bytes(b"x"), NOBODY])
    for call in (one.bring, one.get_bytes, one.reader):
        with pytest.raises(ArtifactMissingError, match="is not on http"):
            call(NOBODY)
    assert not one.has(NOBODY)
    assert not one.verify(NOBODY)
    assert list((one.root / "tmp").iterdir()) == []


def test_whether_it_is_there_is_asked_once_for_many(one: CachedStore, other: tuple[CachedStore, list[str]]) -> None:
    digests = [one.put_bytes(bytes([number])) for number in range(5)]
    one.share(digests)
    store, calls = other
    store.look_up([*digests, NOBODY])
    assert all(store.has(digest, 1) for digest in digests)
    assert calls == ["POST missing"]
    assert not store.has(NOBODY)
    store.look_up([])
    assert len(calls) == 2


def test_what_was_known_to_be_there_and_has_gone_is_not_there_any_more(
    one: CachedStore, other: tuple[CachedStore, list[str]], kept: ArtifactStore
) -> None:
    digest = one.put_bytes(b"x")
    one.share([digest])
    store, _ = other
    assert store.has(digest)
    kept.path(digest).unlink()
    with pytest.raises(ArtifactMissingError):
        store.bring(digest)
    assert not store.has(digest)
    one.share([digest])
    store.look_up([digest])
    assert store.has(digest)
    kept.path(digest).unlink()
    store.look_up([digest])
    assert not store.has(digest), "a new look counts"


def test_what_is_damaged_here_is_fetched_anew(one: CachedStore, tmp_path: Path) -> None:
    digest = one.put_bytes(b"right")
    one.share([digest])
    damage(one, digest)
    assert one.get_bytes(digest) == b"right"
    damage(one, digest)
    assert one.copy_to(digest, tmp_path / "copy") == 5
    assert (tmp_path / "copy").read_bytes() == b"right"


def test_what_is_damaged_here_is_not_passed_on(one: CachedStore, kept: ArtifactStore) -> None:
    digest = one.put_bytes(b"right")
    damage(one, digest)
    with pytest.raises(ArtifactError, match="is damaged"):
        one.share([digest])
    assert not kept.has(digest)
    assert not ArtifactStore(one.root).has(digest)


def test_what_is_damaged_there_is_not_taken(
    one: CachedStore, other: tuple[CachedStore, list[str]], kept: ArtifactStore
) -> None:
    digest = one.put_bytes(b"right")
    one.share([digest])
    damage(kept, digest)
    store, _ = other
    with pytest.raises(ArtifactMissingError, match=r"was damaged on .*, which has removed it"):
        store.bring(digest)
    assert list(store.digests()) == []
    assert list(kept.digests()) == []
    one.share([digest])
    assert store.get_bytes(digest) == b"right", "whoever makes it again mends it"


def test_what_has_another_size_there_is_sent_anew(one: CachedStore, kept: ArtifactStore) -> None:
    digest = one.put_bytes(b"right")
    one.share([digest])
    path = kept.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"r")
    one.share([digest])
    assert kept.get_bytes(digest) == b"right"


def test_large_ones_are_on_the_disk_before_they_have_a_name(
    one: CachedStore, other: tuple[CachedStore, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are linked into jobs without a look at their bytes; smaller ones are verified whenever they are read."""
    monkeypatch.setattr(cached_store, "LINK_FROM", 1000)
    synced: list[int] = []
    monkeypatch.setattr("clx.artifacts.store.os.fsync", synced.append)
    small, large = one.put_bytes(b"s" * 999), one.put_bytes(b"l" * 1000)
    one.share([small, large])
    before = len(synced)
    other[0].bring(small)
    assert len(synced) == before
    other[0].bring(large)
    assert len(synced) == before + 1


def test_a_server_that_is_gone_is_told(one: CachedStore, served: Listening) -> None:
    digest = one.put_bytes(b"x")
    gone = CachedStore(one.root, ArtifactServer("http://127.0.0.1:9", patience=0.1))
    assert gone.get_bytes(digest) == b"x"
    for call in (lambda: gone.share([digest]), lambda: gone.bring(NOBODY), lambda: gone.has(NOBODY)):
        with pytest.raises(ServerError, match="does not give or take"):
            call()
