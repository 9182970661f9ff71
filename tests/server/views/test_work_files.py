"""Files of works: pictures are shown in a sandbox, all others are kept as files, and nobody gets what no work names."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.server.conftest import Served
from tests.support.pages import png

from clx.db.jobs import Queue
from clx.server.views.work_files import artifacts_of, disposition, files_of, media_of

SVG = b'<?xml version="1.0"?>\n<!-- a --><!-- b -->\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PAGE = b"<!DOCTYPE html><script>alert(1)</script>"


def entry(queue: Queue, name: str, data: bytes) -> dict[str, Any]:
    """A file in the store as a work names it."""
    digest = artifacts_of(queue).put_bytes(data)
    return {"name": name, "path": f"/archive/{name}", "digest": digest, "bytes": len(data)}


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (png(), "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"), (b"GIF87a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"), (b"RIFF\0\0\0\0WAVE", ""), (SVG, "image/svg+xml"),
        (b"\xef\xbb\xbf  <svg>", "image/svg+xml"), (b"<svgx>", ""), (PAGE, ""), (b"", ""), (b"%PDF-1.7", ""),
        (b"<html><svg>", ""), (b"<!---->" * 140 + b"x", ""), (b"<!--<svg>-->" + PAGE, ""),
    ],
)  # fmt: skip
def test_a_picture_is_told_by_its_first_bytes(head: bytes, media: str) -> None:
    assert media_of(head) == media


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plot.png", 'attachment; filename="plot.png"'),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ('a"\r\nb: c', "attachment; filename=\"a_b_ c\"; filename*=UTF-8''a%22b%3A%20c"),
        ("größe.png", "attachment; filename=\"gr__e.png\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.png"),
        ("..", 'attachment; filename="file"'),
    ],
)  # fmt: skip
def test_files_are_called_by_their_last_name(name: str, told: str) -> None:
    assert disposition(name, is_inline=False) == told


def test_what_others_wrote_in_place_of_files_is_left_out() -> None:
    digest = "0" * 64
    assert files_of({}) == files_of({"artifacts": "x"}) == files_of({"artifacts": {"plots": digest}}) == {}
    odd = [None, {}, {"digest": 7}, {"digest": "x" * 64}, {"digest": digest, "bytes": "many", "name": [1]}]
    (only,) = files_of({"artifacts": {"plots": odd, "other": [{"digest": digest}]}})["plots"]
    assert (only.digest, only.size, only.name) == (digest, None, "[1]")


@pytest.fixture
def work_id(queue: Queue) -> str:
    """A work with files of every kind."""
    plots = [entry(queue, "waterfall.png", png()), entry(queue, "map.svg", SVG), entry(queue, "evil.png", PAGE)]
    gone = {"name": "gone.png", "path": "", "digest": "1" * 64, "bytes": 3}
    products = [entry(queue, "table.csv", b"a,b\n" * 500_000)]
    document = {
        "pipeline": "p", "plots": ["waterfall.png", "elsewhere.png"], "products": ["/data/table.csv"],
        "artifacts": {"plots": [*plots, gone], "products": products, "logs": [entry(queue, "work.log", b"said\n")]},
    }  # fmt: skip
    return queue.works.deposit([document])[0]


def test_plots_are_shown_and_products_are_kept(served: Served, work_id: str) -> None:
    text = served.get(f"/works/{work_id}", role="read").text
    assert text.count("<img ") == 2
    assert 'alt="waterfall.png"' in text
    assert "elsewhere.png" in text
    assert "not on this machine" in text
    assert "1.9 MiB" in text
    for name in ("evil.png", "table.csv", "work.log"):
        assert f'download=1">{name}</a>' in text


@pytest.mark.parametrize(
    ("data", "media", "is_inline"),
    [(png(), "image/png", True), (SVG, "image/svg+xml", False), (PAGE, "application/octet-stream", False),
     (b"a,b\n" * 500_000, "application/octet-stream", False)],
)  # fmt: skip
def test_a_file_is_never_a_page(served: Served, work_id: str, data: bytes, media: str, is_inline: bool) -> None:
    address = f"/works/file?id={work_id}&digest={hashlib.sha256(data).hexdigest()}"
    answer = served.get(address, role="read")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, media, data)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert answer.headers["content-disposition"].startswith("inline" if is_inline else "attachment")
    assert served.get(f"{address}&download=1").headers["content-disposition"].startswith("attachment")
    part = served.get(address, headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, data[1:4])
    assert served.call("HEAD", address).headers["content-length"] == str(len(data))
    assert served.get(address, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert served.get(address, role=None).status_code == 401


def test_nobody_gets_what_no_work_names(served: Served, queue: Queue, work_id: str) -> None:
    secret = artifacts_of(queue).put_bytes(b"secret")
    other = queue.works.deposit([{"pipeline": "p", "id": "file", "parameters": {"digest": secret}}])[0]
    for address in (
        f"id={work_id}&digest={secret}", f"id={other}&digest={secret}", f"digest={secret}", f"id={work_id}", "",
        f"id={work_id}&digest={'1' * 64}", f"id={work_id}&digest=../../etc/passwd", f"id={'x' * 9000}&digest={secret}",
        f"id=%00&digest={secret}",
    ):  # fmt: skip
        assert served.get(f"/works/file?{address}").status_code == 404, address
    assert served.post(f"/works/file?id={work_id}").status_code == 405
    assert "<h1>Work" in served.get("/works/one?id=file").text
