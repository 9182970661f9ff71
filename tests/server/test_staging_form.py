"""Forms with files, however their bytes are cut into pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.daily.staging import Staging
from clx.server.answers import Refusal
from clx.server.staging_form import Form

TYPE = 'multipart/form-data; boundary="x y"'
BODY = (
    b'--x y\r\nContent-Disposition: form-data; name="data_date"\r\n\r\n 2026-11-27 \r\n'
    b'--x y\r\ncontent-disposition: form-data; name="a"; filename="a.json"\r\nContent-Type: text/x\r\n\r\n'
    b"[\r\n--x\r\n]\r\n"
    b'--x y\r\nContent-Disposition: form-data; name="b"; filename="b.json"\r\n\r\n{}\r\n--x y--\r\nepilogue'
)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", reserve=0)


def left(staging: Staging) -> list[Path]:
    return list((staging.store.root / "tmp").iterdir())


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_form_is_the_same_in_whatever_pieces_it_comes(staging: Staging, size: int) -> None:
    form = Form(staging, TYPE)
    for begin in range(0, len(BODY), size):
        form.feed(BODY[begin : begin + size])
    form.finish(require_digests=False)
    assert form.fields == {"data_date": ["2026-11-27"]}
    assert [(each.field, each.incoming.name, each.incoming.size) for each in form.files] == [
        ("a", "a.json", 9), ("b", "b.json", 2),
    ]  # fmt: skip
    assert len(left(staging)) == 2
    form.discard()
    assert left(staging) == []


def test_a_form_that_is_over_takes_no_more(staging: Staging) -> None:
    form = Form(staging, TYPE)
    form.feed(BODY[:150])
    form.discard()
    form.feed(BODY[150:])
    assert left(staging) == []
    with pytest.raises(Refusal, match="cut off"):
        form.finish(require_digests=False)
