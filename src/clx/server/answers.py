"""Answers in JSON; every refusal has one shape: the fact, the next step, and which error it is."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from clx.commands import told_elsewhere
from clx.errors import (
    ClxError,
    DatabaseBusyError,
    DatabaseError,
    DatabaseFullError,
    JobExistsError,
    LostBatchError,
    LostRunError,
    LostWorkerError,
    UnknownJobError,
)

log = logging.getLogger("clx.server")

RETRY_AFTER = 5
"""Seconds after which a caller may try again what the table could not take."""
_STATUS: tuple[tuple[type[ClxError], int], ...] = (
    (UnknownJobError, 404),
    (JobExistsError, 409),
    (LostBatchError, 409),
    (LostRunError, 409),
    (LostWorkerError, 409),
    (DatabaseBusyError, 503),
    (DatabaseFullError, 507),
    (DatabaseError, 503),
    (ClxError, 422),
)
"""Errors and their status; the first that fits."""
_PHRASES = {
    400: "This is no request that the server understands.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
}
_ADVICE = "See /api/v1/openapi.json for what there is."


SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""Headers of every answer that has none of its own for these."""
encode = msgspec.json.Encoder(enc_hook=str).encode


class JSON(Response):
    """An answer that msgspec writes; what is no JSON in a row, another program's, is shown as the text that it is."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """*content* as JSON."""
        return encode(content)


class Refusal(Exception):
    """A request that is refused.

    Args:
        status: HTTP's.
        fact, next_step: as in :class:`clx.errors.ClxError`.
        headers: further ones of the answer.
    """

    def __init__(self, status: int, fact: str, next_step: str = "", **headers: str) -> None:
        super().__init__(fact)
        self.status = status
        self.fact = fact
        self.next_step = next_step
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def refusal_of(error: Exception) -> Refusal:
    """What is answered to *error*; of one that nobody foresaw only that it happened, the log tells the rest."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ClxError):
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        more = {"retry_after": str(RETRY_AFTER)} if status == 503 else {}
        return Refusal(status, error.fact, told_elsewhere(error.next_step), **more)
    if isinstance(error, ClientDisconnect):
        return Refusal(400, "The body ends too early.", "Send as much as Content-Length says.")
    if isinstance(error, HTTPException):
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        fact = _PHRASES.get(error.status_code, error.detail)
        return (
            Refusal(error.status_code, fact, f"It takes {allowed}.", allow=allowed)
            if allowed
            else Refusal(error.status_code, fact, _ADVICE, **(error.headers or {}))
        )
    log.error("a request failed", exc_info=error, extra={"action": "request_failed"})
    return Refusal(500, "The server made a mistake.", "Its log tells which.")


def answer_to(error: Exception) -> Response:
    """The answer that tells of *error*: ``error``, ``next_step``, and for programs ``type`` and ``detail``.

    Who sent too much, or too slowly, is not read any further.
    """
    refusal = refusal_of(error)
    document: dict[str, Any] = {"error": refusal.fact, "next_step": refusal.next_step}
    if isinstance(error, ClxError):
        document["type"] = type(error).__name__
        detail = {name: value for name, value in vars(error).items() if name not in ("fact", "next_step")}
        document["detail"] = {name: value for name, value in detail.items() if isinstance(value, str | int)}
    more = {"connection": "close"} if refusal.status in (408, 413) else {}
    told = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in refusal.headers.items()}
    return JSON(document, refusal.status, {**told, **more})
