"""What refusals are told as."""

from __future__ import annotations

import json

from clx.serving.failures import Refusal
from clx.serving.messages import Answer


def test_a_refusal_says_when_to_come_again_and_what_is_allowed() -> None:
    late = Answer.to(Refusal("refused_late", "it would be late", estimate_us=7, retry_after_s=0.2))
    assert (late.status, late.headers) == (429, b"retry-after: 1\r\n")
    assert json.loads(b"".join(late.parts)) == {
        "error": "it would be late",
        "code": "refused_late",
        "estimate_us": 7,
        "retry_after_s": 0.2,
    }
    assert Answer.to(Refusal("method", "not so", allow="GET, HEAD")).headers == b"allow: GET, HEAD\r\n"
    assert Answer.to(Refusal("unknown", "there is none")).headers == b""
