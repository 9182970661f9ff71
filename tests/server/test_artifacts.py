"""Artifacts over HTTP: bazel's cache protocol, parts, uploads that go on, and every refusal."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.server.conftest import Served

from clx.artifacts.store import ArtifactStore
from clx.artifacts.uploads import Upload, Uploads
from clx.db.jobs import Queue
from clx.server import artifacts

DATA = random.Random(1).randbytes(3 << 20)
DIGEST = hashlib.sha256(DATA).hexdigest()
ADDRESS = f"/cas/{DIGEST}"
TAG = f'"{DIGEST}"'
NOBODY = "0" * 64


@pytest.fixture
def store(queue: Queue) -> ArtifactStore:
    """What the server keeps them in: that of the database, so that builds beside it have them, too."""
    return ArtifactStore(queue.database.state.shared / "artifacts")


@pytest.fixture
def call(served: Served) -> Callable[..., Any]:
    def one(method: str, path: str, **more: Any) -> Any:
        return served.call(method, path, role=more.pop("role", "work"), **more)

    return one


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data[:10]
    yield data[10:]


def test_what_was_put_is_there_for_all(call: Any, store: ArtifactStore) -> None:
    assert call("HEAD", ADDRESS).status_code == call("GET", ADDRESS).status_code == 404
    new = call("PUT", ADDRESS, content=DATA)
    assert (new.status_code, new.headers["etag"]) == (201, TAG)
    assert store.get_bytes(DIGEST) == DATA
    again = call("PUT", ADDRESS, content=bytes(len(DATA)))  # is not even read
    assert (again.status_code, again.headers["etag"]) == (200, TAG)
    found = call("GET", ADDRESS)
    assert (found.status_code, found.content, found.headers["etag"]) == (200, DATA, TAG)
    assert "immutable" in found.headers["cache-control"]
    told = call("HEAD", ADDRESS)
    assert (told.status_code, told.content, told.headers["content-length"]) == (200, b"", str(len(DATA)))


def test_what_comes_whole_while_somebody_asks_is_there(
    call: Any, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Uploads.offset

    def offset(self: Uploads, digest: str) -> int | None:
        """Another process ends its upload after the object was looked for, and before its part is."""
        store.put_bytes(DATA)
        return real(self, digest)

    monkeypatch.setattr(Uploads, "offset", offset)
    assert call("HEAD", ADDRESS).status_code == 200


def test_nothing_and_bytes_without_a_length_are_artifacts_as_well(call: Any, store: ArtifactStore) -> None:
    nothing = hashlib.sha256(b"").hexdigest()
    assert call("PUT", f"/cas/{nothing}", content=b"").status_code == 201
    assert call("GET", f"/cas/{nothing}").content == b""
    assert call("PUT", ADDRESS, content=in_pieces(DATA)).status_code == 201
    assert store.get_bytes(DIGEST) == DATA


def test_an_etag_that_is_known_saves_the_bytes(call: Any) -> None:
    call("PUT", ADDRESS, content=DATA)
    for known in (TAG, f'"x", {TAG}', f"W/{TAG}", "*"):
        found = call("GET", ADDRESS, headers={"if-none-match": known})
        assert (found.status_code, found.content, found.headers["etag"]) == (304, b"", TAG)
    assert call("GET", ADDRESS, headers={"if-none-match": '"x"'}).status_code == 200
    assert call("HEAD", ADDRESS, headers={"if-none-match": TAG}).status_code == 304


class Part(NamedTuple):
    asked: str
    begin: int
    end: int


SIZE = len(DATA)


@pytest.mark.parametrize(
    "part",
    [
        Part("bytes=0-0", 0, 1),
        Part("bytes=5-9", 5, 10),
        Part(f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        Part("bytes=0-", 0, SIZE),
        Part("bytes=-7", SIZE - 7, SIZE),
        Part(f"bytes=-{SIZE * 2}", 0, SIZE),
        Part(f"bytes=10-{SIZE * 2}", 10, SIZE),
    ],
)
def test_a_part_is_given(call: Any, part: Part) -> None:
    call("PUT", ADDRESS, content=DATA)
    found = call("GET", ADDRESS, headers={"range": part.asked})
    assert (found.status_code, found.content) == (206, DATA[part.begin : part.end])
    assert found.headers["content-range"] == f"bytes {part.begin}-{part.end - 1}/{SIZE}"
    same = call("GET", ADDRESS, headers={"range": part.asked, "if-range": TAG})
    assert (same.status_code, same.content) == (206, found.content)
    other = call("GET", ADDRESS, headers={"range": part.asked, "if-range": '"x"'})
    assert (other.status_code, other.content) == (200, DATA)
    assert call("HEAD", ADDRESS, headers={"range": part.asked}).status_code == 200


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=-", "bytes=9-5", "lines=1-2", "bytes=x-", "bytes = 1-2"])
def test_a_part_that_is_none_is_all(call: Any, asked: str) -> None:
    call("PUT", ADDRESS, content=DATA)
    assert call("GET", ADDRESS, headers={"range": asked}).content == DATA


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=-0", f"bytes={SIZE + 5}-{SIZE + 9}"])
def test_a_part_that_is_not_there_is_refused(call: Any, asked: str) -> None:
    call("PUT", ADDRESS, content=DATA)
    found = call("GET", ADDRESS, headers={"range": asked})
    assert (found.status_code, found.headers["content-range"]) == (416, f"bytes */{SIZE}")


def test_other_bytes_than_the_name_says_are_refused(call: Any, store: ArtifactStore) -> None:
    for wrong in (DATA[:-1], DATA + b"x", b""):
        answer = call("PUT", ADDRESS, content=wrong)
        assert (answer.status_code, answer.json()["error"]) == (422, "The bytes are not what their name says.")
    assert not store.has(DIGEST)
    assert list((store.root / "tmp").iterdir()) == []


def test_an_upload_goes_on_where_it_was(call: Any, store: ArtifactStore) -> None:
    piece = 1 << 20
    assert "upload-offset" not in call("HEAD", ADDRESS).headers
    first = call("PUT", ADDRESS, content=DATA[:piece], headers={"upload-complete": "?0"})
    assert (first.status_code, first.headers["upload-offset"]) == (202, str(piece))
    told = call("HEAD", ADDRESS)
    assert (told.status_code, told.headers["upload-offset"]) == (404, str(piece))
    for offset in ("0", str(piece - 1), str(piece + 1)):
        wrong = call("PUT", ADDRESS, content=DATA[piece:], headers={"upload-offset": offset})
        assert (wrong.status_code, wrong.headers["upload-offset"]) == (409, str(piece))
    rest = call("PUT", ADDRESS, content=DATA[piece:], headers={"upload-offset": str(piece)})
    assert rest.status_code == 201
    assert store.get_bytes(DIGEST) == DATA


def test_that_it_is_being_sent_is_told_and_who_sends_much_need_not_send_all(call: Any, served: Served) -> None:
    uploads = served.application.artifacts._uploads
    running = uploads.begin(DIGEST, None)
    running.write(DATA[:5])
    told = call("HEAD", ADDRESS)
    assert (told.headers["upload-offset"], told.headers["retry-after"]) == ("5", "1")
    refused = call("PUT", ADDRESS, content=DATA[5:], headers={"upload-offset": "5"})
    assert (refused.status_code, refused.headers["connection"]) == (409, "close")
    assert "connection" not in call("PUT", ADDRESS, content=DATA[:9], headers={"upload-offset": "5"}).headers
    assert call("PUT", ADDRESS, content=DATA).status_code == 201, "who sends all of it disturbs nobody"
    uploads.end(running)


def test_an_offset_that_is_no_number_is_refused(call: Any) -> None:
    for text in ("-1", "x", "", "1" * 19):
        assert call("PUT", ADDRESS, content=DATA, headers={"upload-offset": text}).status_code == 400


def test_what_was_cut_off_is_kept_as_far_as_it_came(served: Served, store: ArtifactStore) -> None:
    """As when the link to a sender is cut: the server hears that it has gone, and has had bytes that fill no piece."""
    messages = [
        {"type": "http.request", "body": DATA[: 1 << 20], "more_body": True},
        {"type": "http.request", "body": DATA[1 << 20 : (1 << 20) + 5], "more_body": True},
        {"type": "http.disconnect"},
    ]
    secret = f"Bearer {served.secrets['work']}".encode()
    headers = [(b"host", b"127.0.0.1:8004"), (b"authorization", secret), (b"content-length", b"3145728")]
    scope = {"type": "http", "method": "PUT", "path": ADDRESS, "headers": headers, "query_string": b""}
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    served.run(served.application(scope, receive, send))
    assert served.call("HEAD", ADDRESS).headers["upload-offset"] == str((1 << 20) + 5)
    rest = DATA[(1 << 20) + 5 :]
    assert (
        served.call("PUT", ADDRESS, content=rest, headers={"upload-offset": str(SIZE - len(rest))}).status_code == 201
    )


def test_which_are_missing_is_told_at_once(call: Any, store: ArtifactStore) -> None:
    known = store.put_bytes(b"here")
    os.utime(store.path(known), (1, 1))
    asked = [known, NOBODY, DIGEST, "no digest", "../../etc/passwd"]
    answer = call("POST", "/cas/missing", json=asked)
    assert (answer.status_code, answer.json()) == (200, asked[1:])
    assert store.path(known).stat().st_mtime > 1, "a prune would take what is about to be named"
    assert call("POST", "/cas/missing", json=[]).json() == []


@pytest.mark.parametrize("body", [b"", b'{"x": "y"}', b"[1]", b'"x"', b"\xff", b'["a"'])
def test_a_question_that_is_none_is_refused(call: Any, body: bytes) -> None:
    assert call("POST", "/cas/missing", content=body).status_code == 400


def test_too_long_a_question_is_refused(call: Any) -> None:
    assert call("POST", "/cas/missing", json=["a"] * (artifacts.MOST_ASKED + 1)).status_code == 413
    assert call("POST", "/cas/missing", json=["a" * artifacts.MOST_ASKED * 91]).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        *("/cas", "/cas/", "/cas/x", f"/cas/{DIGEST[:-1]}", f"/cas/{DIGEST}0", f"/cas/{DIGEST.upper()}"),
        *(f"/cas/{DIGEST}/", f"/cas/x/{DIGEST}", "/cas/tmp", "/cas/..%2f..%2fjobs.db", f"/cas/%2e%2e/{DIGEST}"),
        *(f"/cas/{DIGEST[:2]}/{DIGEST[2:]}", f"/cas/tmp/{DIGEST}.part", f"/cas/{DIGEST}%0a"),
    ],
)
def test_what_is_called_otherwise_is_no_artifact(call: Any, store: ArtifactStore, path: str) -> None:
    assert store.put_bytes(DATA) == DIGEST
    for method in ("GET", "HEAD", "PUT"):
        assert call(method, path, **({"content": DATA} if method == "PUT" else {})).status_code in (404, 405)
    assert list(store.digests()) == [DIGEST]


def test_other_methods_are_refused(call: Any) -> None:
    assert call("DELETE", ADDRESS).headers["allow"] == "GET, HEAD, PUT"
    assert call("POST", ADDRESS).status_code == 405
    assert call("GET", "/cas/missing").headers["allow"] == "POST"


def test_who_may_not_gets_and_puts_nothing(call: Any, served: Served, store: ArtifactStore) -> None:
    store.put_bytes(DATA)
    other = f"/cas/{hashlib.sha256(b'other').hexdigest()}"
    for role, status in ((None, 401), ("read", 403)):
        assert call("GET", ADDRESS, role=role).status_code == status
        assert call("PUT", other, role=role, content=b"other").status_code == status
        assert call("POST", "/cas/missing", role=role, json=[]).status_code == status
    basic = {"auth": ("x", served.secrets["work"])}
    assert call("GET", ADDRESS, role=None, **basic).status_code == 200
    assert list(store.digests()) == [DIGEST]


def test_what_cannot_fit_is_refused_before_it_is_sent(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=artifacts.RESERVE + SIZE - 1)
    monkeypatch.setattr("clx.server.artifacts.shutil.disk_usage", lambda _: usage)
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(DATA)
        yield DATA

    answer = call("PUT", ADDRESS, content=body(), headers={"content-length": str(SIZE)})
    assert answer.status_code == 507
    assert read == []
    assert f"{SIZE - 1} are free" in answer.json()["error"]
    assert call("HEAD", ADDRESS, headers={"upload-length": str(SIZE)}).status_code == 507
    assert call("HEAD", ADDRESS, headers={"upload-length": str(SIZE - 1)}).status_code == 404
    assert call("PUT", ADDRESS, content=DATA[:5], headers={"upload-complete": "?0"}).status_code == 202
    assert call("HEAD", ADDRESS, headers={"upload-length": str(SIZE)}).status_code == 404, "the rest fits"


def test_a_disk_that_fills_meanwhile_leaves_no_part(
    call: Any, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Upload.write

    def write(self: Upload, data: bytes) -> None:
        if self.offset:
            self._discard()
            raise OSError(28, "No space left on device")
        real(self, data)

    monkeypatch.setattr(Upload, "write", write)
    assert call("PUT", ADDRESS, content=several(DATA)).status_code == 507
    assert list((store.root / "tmp").iterdir()) == []


def test_who_does_not_say_how_much_leaves_room_for_the_job_table_too(
    call: Any, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=artifacts.RESERVE + (2 << 20))
    kept: list[int] = []
    real = Upload.write

    def write(self: Upload, data: bytes) -> None:
        kept.append(len(data))
        real(self, data)

    monkeypatch.setattr(Upload, "write", write)
    monkeypatch.setattr("clx.server.artifacts.shutil.disk_usage", lambda _: usage._replace(free=usage.free - sum(kept)))
    answer = call("PUT", ADDRESS, content=several(DATA))
    assert answer.status_code == 507
    assert 0 < sum(kept) <= 2 << 20
    assert list((store.root / "tmp").iterdir()) == []


async def several(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 20):
        yield data[start : start + (1 << 20)]


def test_a_disk_that_cannot_is_told(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Upload, _data: bytes) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Upload, "write", broken)
    answer = call("PUT", ADDRESS, content=DATA)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_what_is_too_large_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.application.artifacts, "_largest", 100)
    for content in (several(b"x" * 101), several(b"x" * (1 << 21))):
        assert served.call("PUT", ADDRESS, content=content).status_code == 413
    fits = b"x" * 100
    assert served.call("PUT", f"/cas/{hashlib.sha256(fits).hexdigest()}", content=fits).status_code == 201


def test_a_link_in_the_store_is_not_followed(call: Any, store: ArtifactStore, tmp_path: Path) -> None:
    """As a job in a container may have made one."""
    store.put_bytes(DATA)
    (tmp_path / "secret").write_bytes(b"secret")
    store.path(DIGEST).unlink()
    store.path(DIGEST).symlink_to(tmp_path / "secret")
    assert call("GET", ADDRESS).status_code == 404


SMALL = b"small"
SMALL_DIGEST = hashlib.sha256(SMALL).hexdigest()


@pytest.fixture(params=[DATA, SMALL], ids=["large", "small"])
def damaged(request: pytest.FixtureRequest, store: ArtifactStore) -> tuple[str, bytes]:
    """The address and the right bytes of an object that a disk has cut."""
    data: bytes = request.param
    path = store.path(store.put_bytes(data))
    path.chmod(0o644)
    path.write_bytes(data[:-1])
    return f"/cas/{hashlib.sha256(data).hexdigest()}", data


def test_a_put_replaces_what_has_another_size(call: Any, damaged: tuple[str, bytes], store: ArtifactStore) -> None:
    address, data = damaged
    digest = address.removeprefix("/cas/")
    assert call("POST", "/cas/missing", json={digest: len(data)}).json() == [digest]
    assert call("POST", "/cas/missing", json={digest: None}).json() == []
    assert call("PUT", address, content=data).status_code == 201
    assert store.get_bytes(digest) == data
    assert call("POST", "/cas/missing", json={digest: len(data)}).json() == []


@pytest.mark.parametrize("control", ["no-cache", "max-age=0, No-Cache"])
def test_who_got_other_bytes_has_them_looked_at_and_removed(
    call: Any, damaged: tuple[str, bytes], control: str
) -> None:
    address, data = damaged
    assert call("HEAD", address).status_code == 200, "nobody reads all bytes for each call"
    assert call("HEAD", address, headers={"cache-control": control}).status_code == 404
    assert call("PUT", address, content=data).status_code == 201
    assert call("GET", address, headers={"cache-control": control}).content == data


def test_a_directory_in_the_place_of_an_object_is_told(call: Any, store: ArtifactStore) -> None:
    path = store.path(SMALL_DIGEST)
    (path / "planted").mkdir(parents=True)
    address = f"/cas/{SMALL_DIGEST}"
    assert call("POST", "/cas/missing", json=[SMALL_DIGEST]).json() == [SMALL_DIGEST]
    assert call("GET", address).status_code == call("HEAD", address).status_code == 404
    refused = call("PUT", address, content=SMALL)
    assert refused.status_code == 503
    assert "It cannot be kept" in refused.text
