"""Copies in a bucket, at a real server that speaks as S3 does, in an environment of its own."""

from __future__ import annotations

import io
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

import pytest
from tests.support.clients import client
from tests.support.scene import until

from clx.errors import UsageError
from clx.work.archiving.places import Bucket, NotKept


def _answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with the bucket ``shelf``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = client("moto-5.2.5").program("moto_server")
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: process.poll() is not None or _answers(port))
        url = f"http://127.0.0.1:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/shelf", method="PUT")).close()
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def variables(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tools for buckets read."""
    for name, value in (
        ("AWS_ENDPOINT_URL", server),
        ("AWS_ACCESS_KEY_ID", "k"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)


def _keep(bucket: Bucket, data: bytes, name: str) -> tuple[str, str, int]:
    return bucket.keep(io.BytesIO(data), "20200101/p/1", name)


def test_copies_are_there_under_names_that_nothing_else_has() -> None:
    bucket = Bucket("s3://shelf/below")
    first = _keep(bucket, b"one", "a.txt")
    assert first == ("s3://shelf/below/20200101/p/1/a.txt", sha256(b"one").hexdigest(), 3)
    assert _keep(bucket, b"one", "a.txt") == first  # that of an earlier attempt serves
    assert _keep(bucket, b"two", "a.txt")[0] == "s3://shelf/below/20200101/p/1/a-1.txt"
    assert bucket._digest("20200101/p/1/a.txt") == sha256(b"one").hexdigest()
    assert bucket._digest("20200101/p/1/a-1.txt") == sha256(b"two").hexdigest()


def test_large_ones_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.work.archiving.places._WHOLE", 1)
    bucket, data = Bucket("s3://shelf"), bytes(range(256)) * 50_000
    assert _keep(bucket, data, "large") == ("s3://shelf/20200101/p/1/large", sha256(data).hexdigest(), len(data))
    assert _keep(bucket, data[1:], "large")[0].endswith("/large-1")


def test_what_a_bucket_does_not_take_is_said() -> None:
    with pytest.raises(NotKept, match="s3://nowhere did not take it"):
        _keep(Bucket("s3://nowhere"), b"one", "a.txt")
    with pytest.raises(UsageError, match="is no bucket"):
        Bucket("https://shelf")
