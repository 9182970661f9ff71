"""Staging over HTTP, in this process: its calls, their answers, and every refusal."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clx import __version__
from clx.daily.staging import Staging
from clx.errors import UsageError
from clx.server.staging import StagingApplication, read_token

TOKEN = "0123456789abcdef"
SHOWN = {"X-API-Token": TOKEN}
DAY = "2026-11-27"
DATA = b'{"a": [1, 2, 3]}'
DIGEST = hashlib.sha256(DATA).hexdigest()
Call = Callable[..., httpx.Response]


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", reserve=0)


@pytest.fixture
def served(staging: Staging) -> Iterator[Callable[..., Call]]:
    """Calls an application; it is made with the options that are given."""
    runner = asyncio.Runner()

    def make(**options: Any) -> Call:
        transport = httpx.ASGITransport(app=StagingApplication(staging, TOKEN, **options))

        def call(method: str, path: str, **more: Any) -> httpx.Response:
            async def one() -> httpx.Response:
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                    return await client.request(method, path, **{"headers": SHOWN, **more})

            return runner.run(one())

        return call

    yield make
    runner.close()


@pytest.fixture
def call(served: Callable[..., Call]) -> Call:
    return served()


def upload(call: Call, *files: tuple[str, bytes], **fields: Any) -> httpx.Response:
    parts = [("data", (name, data)) for name, data in files or (("a.json", DATA),)]
    return call("POST", "/staging/upload-daily", data={"data_date": DAY, **fields}, files=parts)


def download(call: Call, name: str = "a.json", **headers: str) -> httpx.Response:
    return call("GET", f"/staging/download?data_date={DAY}&name={name}", headers={**SHOWN, **headers})


def test_an_upload_is_held_and_the_same_again_is_answered_the_same(call: Call) -> None:
    first = upload(call, job="job_7", worker="w-1", sha256=DIGEST)
    assert first.status_code == 200
    document = first.json()
    [file] = document["files"]
    assert document["status"] == "success"
    assert (document["data_date"], document["job"], document["worker"], document["size"]) == (DAY, "job_7", "w-1", 16)
    assert (file["name"], file["size"], file["sha256"]) == ("a.json", 16, DIGEST)
    again = upload(call, job="job_7", worker="w-1", data_sha256=DIGEST.upper())
    assert (again.status_code, again.json()) == (200, document)
    other = upload(call, ("a.json", b"[]"))
    assert (other.status_code, "other bytes" in other.json()["error"]) == (409, True)
    assert download(call).content == DATA
    assert upload(call, ("a.json", b"[]"), replace="true").status_code == 200
    assert download(call).content == b"[]"


def test_a_download_has_its_digest_parts_and_nothing_for_who_has_it(call: Call) -> None:
    upload(call)
    found = download(call)
    assert (found.content, found.headers["etag"]) == (DATA, f'"{DIGEST}"')
    assert found.headers["repr-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(DATA).digest()).decode()}:"
    assert found.headers["cache-control"] == "private, no-cache"
    part = download(call, Range="bytes=2-4")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, DATA[2:5], "bytes 2-4/16")
    assert download(call, Range="bytes=99-").status_code == 416
    known = download(call, **{"If-None-Match": f'"{DIGEST}"'})
    assert (known.status_code, known.content) == (304, b"")
    head = call("HEAD", f"/staging/download?date={DAY}&filename=a.json")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "16", b"")
    assert download(call, "b.json").status_code == 404


def test_damaged_bytes_are_none(call: Call, staging: Staging) -> None:
    upload(call)
    path = staging.store.path(DIGEST)
    path.chmod(0o644)
    path.write_bytes(b"x" * 16)
    assert download(call, **{"Cache-Control": "no-cache"}).status_code == 404
    assert upload(call).status_code == 200
    assert download(call).content == DATA


def test_cleanup_is_the_same_twice(call: Call) -> None:
    upload(call, ("a.json", DATA), ("b.json", b"[]"), ("c.json", b"[1]"))

    def clean(**more: Any) -> Any:
        answer = call("POST", "/staging/cleanup", **more)
        assert answer.status_code == 200
        return answer.json()

    one = clean(data={"data_date": DAY, "name": "a.json"})
    assert one == {"status": "success", "data_date": DAY, "removed": ["a.json"], "freed": 16}
    assert clean(json={"data_date": DAY, "names": ["a.json", "b.json"]})["removed"] == ["b.json"]
    assert clean(params={"date": DAY})["removed"] == ["c.json"]
    assert clean(data={"data_date": DAY}) == {"status": "success", "data_date": DAY, "removed": [], "freed": 0}
    assert call("POST", "/staging/cleanup", content=b"{").status_code == 400
    assert call("POST", "/staging/cleanup").status_code == 422
    assert call("POST", "/staging/cleanup", content=b"x" * (2 << 20)).status_code == 413


def test_status_tells_what_is_held(call: Call) -> None:
    upload(call)
    upload(call, ("b.json", b"[]"), data_date="2026-11-28")
    found = call("GET", "/staging/status").json()
    assert (found["status"], found["version"]) == ("ok", __version__)
    assert found["free"] > 0
    assert {day: (each["size"], [f["name"] for f in each["files"]]) for day, each in found["days"].items()} == {
        DAY: (16, ["a.json"]),
        "2026-11-28": (2, ["b.json"]),
    }
    assert list(call("GET", f"/staging/status?data_date={DAY}").json()["days"]) == [DAY]
    assert call("GET", "/staging/status?data_date=x").status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Token": ""},
        {"X-API-Token": TOKEN[:-1]},
        {"X-API-Token": TOKEN, "Authorization": "Bearer other"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": b"Bearer \xfc"},
        [("X-API-Token", TOKEN), ("X-API-Token", "other")],
    ],
)
def test_nobody_without_the_token_gets_anything(call: Call, headers: Any) -> None:
    for method, path in (
        ("GET", "/staging/status"), ("POST", "/staging/upload-daily"), ("GET", "/staging/download"),
        ("POST", "/staging/cleanup"), ("GET", "/nothing"),
    ):  # fmt: skip
        answer = call(method, path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="clx"')
    assert call("GET", "/healthz", headers=headers).json() == {"status": "ok"}


def test_the_token_is_taken_from_either_header(call: Call) -> None:
    assert call("GET", "/staging/status", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
    assert call("GET", "/nothing").status_code == 404
    assert call("GET", "/staging/cleanup").status_code == 405


@pytest.mark.parametrize(
    ("files", "fields", "status"),
    [
        ([("a.json", DATA)], {"sha256": "0" * 64}, 422),
        ([("a.json", DATA)], {"data_sha256": "0" * 64}, 422),
        ([("a.json", DATA)], {"sha256": "no digest"}, 422),
        ([("a.json", DATA), ("b.json", b"[]")], {"sha256": DIGEST}, 422),
        ([("a.json", DATA), ("b.json", b"[]")], {"sha256": [DIGEST, "0" * 64]}, 422),
        ([("a.json", DATA), ("A.json", b"[]")], {}, 422),
        ([("../a.json", DATA)], {}, 422),
        ([("a/../../b.json", DATA)], {}, 422),
        ([("/etc/cron.d/a", DATA)], {}, 422),
        ([("..", DATA)], {}, 422),
        ([(".day.json", DATA)], {}, 422),
        ([("a.json", DATA)], {"data_date": "2026-13-01"}, 422),
        ([("a.json", DATA)], {"data_date": "../../etc"}, 422),
        ([("a.json", DATA)], {"data_date": ["2026-11-27", "2026-11-28"]}, 422),
        ([("a.json", DATA)], {"job": "../x"}, 422),
        ([("a.json", DATA)], {"worker": "x" * 101}, 422),
        ([("a.json", DATA)], {"replace": "perhaps"}, 422),
        ([("a.json", DATA)], {"job": "x" * 5000}, 413),
        ([(f"{i}.json", DATA) for i in range(65)], {}, 413),
        ([("a.json", DATA)], {"x": ["1"] * 201}, 413),
        ([("a.pkl", DATA)], {}, 415),
        ([("a.json", pickle.dumps([1]))], {}, 415),
        ([("b.json", DATA), ("a.json", pickle.dumps([1], 0))], {}, 415),
        ([("a.csv", b"a,b\n1,2\n")], {}, 415),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_of_it_stays(
    call: Call, staging: Staging, files: list[tuple[str, bytes]], fields: dict[str, Any], status: int
) -> None:
    answer = upload(call, *files, **fields)
    assert (answer.status_code, set(answer.json()) >= {"error", "next_step"}) == (status, True)
    assert [path for path in staging.root.rglob("*") if path.is_file()] == [staging.root / ".lock"]
    assert not (staging.root.parent / "a.json").exists()


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "application/json"}, b"{}", 415),
        ({"content-type": "multipart/form-data"}, b"", 415),
        ({"content-type": "multipart/form-data; boundary=x"}, b"nonsense", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\nx\r\n--x--\r\n", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 422),
        ({"content-type": f"multipart/form-data; boundary={'x' * 300}"}, b"", 400),
    ],
)
def test_a_form_that_is_none(call: Call, headers: dict[str, str], content: bytes, status: int) -> None:
    answer = call("POST", "/staging/upload-daily", headers={**SHOWN, **headers}, content=content)
    assert answer.status_code == status


def test_a_form_that_is_cut_off_leaves_nothing(call: Call, staging: Staging) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.json"\r\n\r\n' + DATA
    headers = {**SHOWN, "content-type": "multipart/form-data; boundary=x"}
    answer = call("POST", "/staging/upload-daily", headers=headers, content=part)
    assert (answer.status_code, answer.json()["error"]) == (400, "The form was cut off.")
    assert [path for path in staging.root.rglob("*") if path.is_file()] == [staging.root / ".lock"]


def test_a_digest_may_be_demanded(served: Callable[..., Call]) -> None:
    call = served(require_digests=True)
    assert upload(call).status_code == 422
    assert upload(call, sha256=DIGEST).status_code == 200


def test_what_cannot_fit_is_refused_before_its_body(call: Call, staging: Staging) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x"

    headers = {**SHOWN, "content-type": "multipart/form-data; boundary=x", "content-length": str(1 << 60)}
    large = call("POST", "/staging/upload-daily", headers=headers, content=body())
    assert large.status_code == 413
    staging._reserve = 1 << 62
    headers["content-length"] = str(2 << 20)
    answer = call("POST", "/staging/upload-daily", headers=headers, content=body())
    assert (answer.status_code, answer.headers["connection"]) == (507, "close")
    assert read == []


def test_an_upload_is_bounded(served: Callable[..., Call]) -> None:
    assert upload(served(largest=1000), ("a.json", b"[" + b" " * 2000 + b"]")).status_code == 413


@pytest.mark.parametrize("text", ["", "short", "x" * 40, "0123456789abcde", "0123456789abcdé0"])
def test_a_token_that_is_none_or_easy_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    for arguments in ((file, TOKEN), (None, text)):
        with pytest.raises(UsageError):
            read_token(*arguments)


def test_a_token_is_read_from_a_file_of_its_owner_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o640)
    with pytest.raises(UsageError, match="mode 640"):
        read_token(file, "")
    file.chmod(0o600)
    assert read_token(file, "") == read_token(None, TOKEN) == TOKEN
    with pytest.raises(UsageError, match="cannot be read"):
        read_token(tmp_path / "none", TOKEN)
