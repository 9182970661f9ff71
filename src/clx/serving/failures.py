"""What a client is told when it gets no result: a status, a text, a word that programs can tell apart."""

from __future__ import annotations

from typing import Any, Final

STATUS: Final = {
    "malformed": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "foreign": 403,
    "unknown": 404,
    "method": 405,
    "slow": 408,
    "conflict": 409,
    "too_large": 413,
    "refused_late": 429,
    "refused_backlog": 429,
    "busy": 503,
    "failed": 500,
    "not_ready": 503,
    "missed": 504,
    "memory": 507,
}
"""Each word, and the status that goes with it."""


class Refusal(Exception):
    """A request that gets no result; it is answered with this.

    Args:
        code: one of :data:`STATUS`.
        text: what is the case, in one line.
        more: what else the answer tells, ``estimate_us`` say.
    """

    def __init__(self, code: str, text: str, **more: Any) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.more = more

    @property
    def status(self) -> int:
        """The status of HTTP."""
        return STATUS[self.code]

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": self.text, "code": self.code, **self.more}
