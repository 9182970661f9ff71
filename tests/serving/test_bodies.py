"""Bodies that come compressed."""

from __future__ import annotations

import gzip
import zlib

import pytest

from clx.serving.bodies import decompressed
from clx.serving.failures import Refusal


def test_compressed_bodies_are_what_they_were() -> None:
    raw = zlib.compressobj(wbits=-15)
    packed = raw.compress(b"body") + raw.flush()
    for coding, body in (
        ("gzip", gzip.compress(b"body")),
        ("deflate", zlib.compress(b"body")),
        ("deflate", packed),
        ("identity", b"body"),
    ):
        assert decompressed(body, coding, 100) == b"body"


@pytest.mark.parametrize(
    ("coding", "body"), [("br", b"body"), ("gzip", b"body"), ("gzip", gzip.compress(b"body")[:-1]), ("deflate", b"")]
)
def test_what_is_not_compressed_as_it_says_is_refused(coding: str, body: bytes) -> None:
    with pytest.raises(Refusal) as raised:
        decompressed(body, coding, 100)
    assert raised.value.status == 400
