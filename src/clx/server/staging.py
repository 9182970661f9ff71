"""``/staging``: files of a day over HTTP, for people and scripts: upload, download, cleanup, status.

There is one token, and whoever has it may do all of this. See docs/daily.md for the calls.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from clx import __version__
from clx.daily.staged_kinds import KindError
from clx.daily.staging import HeldError, RoomError, Staged, Staging, day_of, name_of
from clx.errors import EXIT_DONE, ArtifactError, OutputError, UsageError
from clx.regular import open_regular
from clx.server.answers import JSON, Refusal, answer_to, refusal_of
from clx.server.application import Frame
from clx.server.giving import MEDIA, PIECE, give, opened
from clx.server.guard import BodyGuard
from clx.server.place import Place, url_of
from clx.server.serving import Server, bound, configured
from clx.server.staging_form import Form
from clx.server.views.metrics import Requests

LARGEST = 16 << 30
"""Bytes that an upload may have, where nothing else is said."""
SHORTEST_TOKEN = 16
TOKEN_VARIABLE = "CLX_STAGING_TOKEN"  # noqa: S105  (a variable's name)
_LONGEST_QUESTION = 1 << 20
_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no")
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (HeldError, 409),
    (KindError, 415),
    (RoomError, 507),
    (OutputError, 503),
)


class StagingApplication(Starlette):
    """``/staging`` as an ASGI application.

    Args:
        token: what every caller shows, of at least :data:`SHORTEST_TOKEN` characters.
        largest: bytes that an upload may have.
        require_digests: whether each file needs its sha256.
    """

    def __init__(self, staging: Staging, token: str, *, largest: int = LARGEST, require_digests: bool = False) -> None:
        self._staging = staging
        self._largest = largest
        self._require_digests = require_digests
        super().__init__(
            routes=[
                Route("/healthz", _healthy),
                Route("/staging/upload-daily", self._upload, methods=["POST"], middleware=_bounded(largest)),
                Route("/staging/download", _Download(staging), methods=["GET", "HEAD"]),
                Route("/staging/cleanup", self._cleanup, methods=["POST"], middleware=_bounded(_LONGEST_QUESTION)),
                Route("/staging/status", self._status, methods=["GET"]),
            ],
            middleware=[
                Middleware(Frame, requests=Requests()),
                Middleware(ExceptionMiddleware, handlers={Exception: _refuse}),
                Middleware(_TokenGuard, token=token),
            ],
            exception_handlers={HTTPException: _refuse},
        )
        self.router.redirect_slashes = False

    async def _upload(self, request: Request) -> Response:
        length = request.headers.get("content-length", "")
        try:
            if length.isdecimal():
                self._staging.require_room(int(length))
            form = Form(self._staging, request.headers.get("content-type", ""))
            try:
                await self._receive(request, form)
                return JSON(await asyncio.to_thread(self._take, form))
            finally:
                await asyncio.shield(asyncio.to_thread(form.discard))
        except Exception as error:
            refusal = refusal_of(_refusal(error))
            if not length.isdecimal() or int(length) > PIECE:
                refusal.headers["connection"] = "close"  # who sends much need not send all of it
            raise refusal from error

    async def _receive(self, request: Request, form: Form) -> None:
        waiting = bytearray()
        async for piece in request.stream():
            waiting += piece
            if len(waiting) >= PIECE:
                await asyncio.to_thread(form.feed, bytes(waiting))
                waiting = bytearray()
        await asyncio.to_thread(form.feed, bytes(waiting))

    def _take(self, form: Form) -> dict[str, object]:
        form.finish(require_digests=self._require_digests)
        day = day_of(form.one("data_date", "date"))
        job, worker = form.one("job", "job_id"), form.one("worker", "worker_id")
        for value, what in ((job, "a job"), (worker, "a worker")):
            if value:
                name_of(value, what)
        again = _flag(form.one("replace"), "replace")
        files = self._staging.put(
            day, [each.incoming for each in form.files], job=job, worker=worker, replace=again
        )  # fmt: skip
        total = sum(each.size for each in files)
        return {"status": "success", "data_date": day, "job": job, "worker": worker, "files": files, "size": total}

    async def _cleanup(self, request: Request) -> Response:
        asked = _asked(request, await request.body())
        day = day_of(_only(asked, "data_date", "date"))
        names = asked.get("name") or None
        gone = await asyncio.to_thread(self._staging.remove, day, names)
        return JSON(
            {"status": "success", "data_date": day, "removed": [each.name for each in gone],
             "freed": sum(each.size for each in gone)}
        )  # fmt: skip

    async def _status(self, request: Request) -> Response:
        asked = _asked(request, b"")
        day = _only(asked, "data_date", "date")

        def look() -> dict[str, list[Staged]]:
            return {day_of(day): self._staging.held(day)} if day else self._staging.days()

        days = await asyncio.to_thread(look)
        return JSON(
            {"status": "ok", "version": __version__, "free": self._staging.free(), "largest": self._largest,
             "days": {day: {"size": sum(each.size for each in files), "files": files} for day, files in days.items()}}
        )  # fmt: skip


class _Download:
    """``GET /staging/download?data_date=…&name=…``."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        request = Request(scope)
        asked = _asked(request, b"")
        day, name = day_of(_only(asked, "data_date", "date")), name_of(_only(asked, "name", "filename"))
        file = await asyncio.to_thread(self._staging.find, day, name)
        if file is None:
            raise Refusal(404, f"Nothing called {name} is held of {day}.", "See what is: GET /staging/status")
        store, digest = self._staging.store, file.sha256
        try:
            if "no-cache" in request.headers.get("cache-control", ""):
                await asyncio.to_thread(store.require_whole, digest)
            found = await asyncio.to_thread(opened, store, digest, scope["method"])
        except ArtifactError as error:
            raise Refusal(404, f"The bytes of {name} are gone, or were damaged.", "Upload it again.") from error
        told = {
            "content-type": MEDIA,
            "cache-control": "private, no-cache",  # the name may get other bytes
            "content-disposition": f'attachment; filename="{name}"',
            "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:",
        }
        await give(found, digest, scope["method"], request.headers, send, told)


class _TokenGuard:
    """ASGI middleware: lets nobody through without the token; how much of it is right takes no time to say."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._digest = hashlib.sha256(token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/healthz":
            headers = Headers(scope=scope)
            kind, _, bearer = headers.get("authorization", "").partition(" ")
            sent = headers.getlist("x-api-token") + ([bearer.strip()] if kind.lower() == "bearer" else [])
            digests = [hashlib.sha256(each.encode()).digest() for each in sent]
            if not digests or not all([hmac.compare_digest(each, self._digest) for each in digests]):  # noqa: C419  (all of them, always)
                raise Refusal(
                    401, "That token is none that is taken." if sent else "A token is needed.",
                    "Send X-API-Token: TOKEN, or Authorization: Bearer TOKEN.",
                    www_authenticate='Bearer realm="clx"', connection="close",
                )  # fmt: skip
        await self._app(scope, receive, send)


def serve_staging(
    staging: Staging, token: str, place: Place, say: Callable[[str], None], *, largest: int, require_digests: bool
) -> int:
    """Serve *staging* until INT or TERM; returns the exit code.

    Args:
        say: told where it is, before it answers.

    Raises:
        StartupError: the port is taken.
        UsageError: there is no such host, or the certificate cannot be used.
    """
    with bound(place) as listener:
        place = replace(place, port=listener.getsockname()[1])
        served = StagingApplication(staging, token, largest=largest, require_digests=require_digests)
        server = Server(configured(served, place), lambda: None)
        say(f"CLX stages {staging.root} at {url_of(place)}; Ctrl-C ends it.")
        server.run(sockets=[listener])
    return EXIT_DONE


def read_token(file: Path | None, variable: str) -> str:
    """The token that callers must show.

    Args:
        file: one that its owner alone may read.
        variable: what :data:`TOKEN_VARIABLE` holds, where there is no file.

    Raises:
        UsageError: there is none, others may read it, or it is too short.
    """
    advice = "Make one: clx staging token FILE; then: clx staging serve --token-file FILE"
    text, source = variable, TOKEN_VARIABLE
    if file is not None:
        source = str(file)
        try:
            with open_regular(file) as stream:
                mode, text = file.stat().st_mode, stream.read(4096).decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The token in {file} cannot be read: {error}.", advice) from error
        if mode & 0o077:
            raise UsageError(f"Others may read the token in {file}: mode {mode & 0o777:o}.", f"Type: chmod 600 {file}")
    text = text.strip()
    if not text:
        raise UsageError("Staging needs a token, and there is no default one.", advice)
    if len(text) < SHORTEST_TOKEN or not (text.isascii() and text.isprintable()) or len(set(text)) < 6:
        raise UsageError(
            f"The token of {source} is too easy to guess: at least {SHORTEST_TOKEN} characters, of several kinds.",
            advice,
        )
    return text


def _bounded(largest: int) -> list[Middleware]:
    return [Middleware(BodyGuard, largest=largest)]


def _asked(request: Request, body: bytes) -> dict[str, list[str]]:
    """What a request asks for: of its address, and of its body in JSON or as of a form."""
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    if body.lstrip()[:1] == b"{":
        try:
            for name, given in msgspec.json.decode(body, type=dict[str, str | list[str]]).items():
                found.setdefault(name, []).extend([given] if isinstance(given, str) else given)
        except msgspec.MsgspecError as error:
            raise Refusal(400, f"The body cannot be read: {error}", 'Send {"data_date": "2026-11-27"}.') from error
    elif body:
        for name, values in parse_qs(body.decode("utf-8", "replace")).items():
            found.setdefault(name, []).extend(values)
    if "names" in found:
        found["name"] = found.get("name", []) + found.pop("names")
    return found


def _only(asked: dict[str, list[str]], *names: str) -> str:
    found = {value for name in names for value in asked.get(name, [])}
    if len(found) > 1:
        raise Refusal(422, f"There are several values of {names[0]}.", "Send one.")
    return found.pop() if found else ""


def _flag(text: str, name: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise Refusal(422, f"{name} is {text[:40]!r}, neither true nor false.", f"Send {name}=true, or leave it out.")
    return text.lower() in _YES


def _refusal(error: Exception) -> Exception:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
    if status is None:
        return error
    return Refusal(status, getattr(error, "fact", str(error)), getattr(error, "next_step", ""))


async def _refuse(_request: Request, error: Exception) -> Response:
    return answer_to(_refusal(error))


async def _healthy(_request: Request) -> Response:
    return JSON({"status": "ok"})
