"""Artifacts over HTTP, as bazel's HTTP cache has them: ``GET``, ``HEAD`` and ``PUT`` of ``/cas/<sha256>``.

Beyond that: parts of objects (``Range``, ``If-Range``), a ``PUT`` that goes on where another was cut
(``Upload-Offset``, as in the IETF's draft of resumable uploads), and ``POST /cas/missing``, which tells of many objects
at once. The name of an object is the digest of its bytes, and its ``ETag``: what is there never changes.
"""

from __future__ import annotations

import asyncio
import errno
import re
import shutil
from collections.abc import AsyncIterator, Mapping

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clx.artifacts.store import ArtifactStore
from clx.artifacts.uploads import InUseError, OffsetError, Upload, Uploads
from clx.errors import ArtifactError
from clx.server.answers import JSON, Refusal
from clx.server.giving import MEDIA, PIECE, give, opened

LARGEST = 16 << 30
"""Bytes that an artifact may have."""
MOST_ASKED = 10_000
"""Digests that one call may ask about."""
RESERVE = 64 << 20
"""Bytes that uploads leave free on the disk: the job table may lie there, too."""
_LARGEST_QUESTION = MOST_ASKED * 90
_NAME = re.compile("/([0-9a-f]{64})")


class Artifacts:
    """An ASGI application: the objects of *store* below a path.

    Args:
        store: where they are kept.
        largest: bytes that one may have.
    """

    def __init__(self, store: ArtifactStore, *, largest: int = LARGEST) -> None:
        self._store = store
        self._uploads = Uploads(store)
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        headers = Headers(scope=scope)
        method = scope["method"]
        if path == "/missing":
            if method != "POST":
                raise _not_allowed("POST")
            await (await self._missing(receive))(scope, receive, send)
            return
        found = _NAME.fullmatch(path)
        if found is None:
            raise Refusal(404, "Artifacts are called /cas/<sha256, 64 hexadecimal digits>.", "Name one by its digest.")
        if method in ("GET", "HEAD"):
            await self._give(found[1], method, headers, send)
        elif method == "PUT":
            try:
                answer = await self._take(found[1], headers, receive)
            except Refusal as refusal:
                if not headers.get("content-length", "").isdecimal() or int(headers["content-length"]) > PIECE:
                    refusal.headers["connection"] = "close"  # who sends much need not send all of it
                raise
            await answer(scope, receive, send)
        else:
            raise _not_allowed("GET, HEAD, PUT")

    # -- which are there --------------------------------------------------------------------------

    async def _missing(self, receive: Receive) -> Response:
        body = bytearray()
        async for piece in _pieces(receive):
            body += piece
            if len(body) > _LARGEST_QUESTION:
                raise Refusal(413, f"At most {MOST_ASKED} digests are asked about at once.", "Ask several times.")
        try:
            asked = msgspec.json.decode(body, type=list[str] | dict[str, int | None])
        except msgspec.MsgspecError:
            raise Refusal(
                400, "The body is no JSON list of digests.", 'Send ["<sha256>", …], or {"<sha256>": size, …}.'
            ) from None
        sizes = asked if isinstance(asked, dict) else {}
        if len(asked) > MOST_ASKED:
            raise Refusal(413, f"At most {MOST_ASKED} digests are asked about at once.", "Ask several times.")
        missing = await asyncio.to_thread(
            lambda: [digest for digest in asked if not self._has(digest, sizes.get(digest))]
        )
        return JSON(missing)

    def _has(self, digest: str, size: int | None) -> bool:
        """Whether it is there, of *size* bytes where that is known.

        Then it stays for a while, for who asks is about to name it in a row.
        """
        if not self._store.has(digest, size):
            return False
        self._store.renew(digest)
        return True

    # -- out --------------------------------------------------------------------------------------

    async def _give(self, digest: str, method: str, headers: Mapping[str, str], send: Send) -> None:
        try:
            if "no-cache" in headers.get("cache-control", "").lower():  # somebody got other bytes than the name says
                await asyncio.to_thread(self._store.require_whole, digest)
            found = await asyncio.to_thread(opened, self._store, digest, method)
        except ArtifactError as error:
            absent = await self._absent(digest, headers)
            try:  # who was sending it may have ended just now, and then nothing is left of its part either
                found = await asyncio.to_thread(opened, self._store, digest, method)
            except ArtifactError:
                raise absent from error
        await give(found, digest, method, headers, send, {"content-type": MEDIA})

    async def _absent(self, digest: str, headers: Mapping[str, str]) -> Refusal:
        """That it is not there; with how much of it is, and first of all with whether there would be room."""
        offset = await asyncio.to_thread(self._uploads.offset, digest)
        length = headers.get("upload-length", "")
        if length.isdecimal():
            self._require_room(int(length) - (offset or 0))
        more = {} if offset is None else {"upload_offset": str(offset)}
        if self._uploads.is_moving(digest):
            more["retry_after"] = "1"
        return Refusal(404, f"Artifact {digest[:12]} is not here.", "Whoever needs it makes it again.", **more)

    # -- in ---------------------------------------------------------------------------------------

    async def _take(self, digest: str, headers: Mapping[str, str], receive: Receive) -> Response:
        length = headers.get("content-length", "")
        offset = _offset(headers)
        is_last = headers.get("upload-complete", "?1") != "?0"
        if offset is None and is_last and length.isdecimal() and int(length) <= min(PIECE, self._largest):
            return await self._take_at_once(digest, int(length), receive)
        if await asyncio.to_thread(self._has, digest, _whole_size(headers)):
            return _kept(digest, 200)
        if length.isdecimal():
            if int(length) + (offset or 0) > self._largest:
                raise self._too_large()
            self._require_room(int(length))
        try:
            upload = await asyncio.to_thread(self._uploads.begin, digest, offset)
            try:
                await self._receive(upload, receive)
                if not is_last:
                    return Response(status_code=202, headers={"upload-offset": str(upload.offset)})
                if not await asyncio.to_thread(upload.finish):
                    raise _other_bytes()
            finally:
                await asyncio.to_thread(self._uploads.end, upload)
        except OffsetError as error:
            raise Refusal(
                409, f"{error.offset} bytes of it are here.", "Go on there.", upload_offset=str(error.offset)
            ) from error
        except InUseError as error:
            raise Refusal(409, "It is being sent already.", "Ask again in a moment.", retry_after="1") from error
        except OSError as error:
            raise _unkept(error) from error
        return _kept(digest, 201)

    async def _take_at_once(self, digest: str, length: int, receive: Receive) -> Response:
        """Take a small object, which is not worth a part."""
        self._require_room(length)
        data = bytearray()
        async for piece in _pieces(receive):
            data += piece

        def put() -> int:
            if self._has(digest, length):
                return 200
            return 201 if self._uploads.put(digest, data) else 422

        try:
            status = await asyncio.to_thread(put)
        except OSError as error:
            raise _unkept(error) from error
        if status == 422:
            raise _other_bytes()
        return _kept(digest, status)

    async def _receive(self, upload: Upload, receive: Receive) -> None:
        """Write what comes, while the next of it is coming."""
        writing: asyncio.Task[None] | None = None
        waiting = bytearray()
        try:
            async for piece in _pieces(receive):
                waiting += piece
                if upload.offset + len(waiting) > self._largest:
                    raise self._too_large()
                if len(waiting) >= PIECE:
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(asyncio.to_thread(self._write, upload, waiting))
                    waiting = bytearray()
        finally:
            if writing is not None:
                await writing
            if waiting:  # of a sender that was cut off as well: it need not send that again
                await asyncio.to_thread(self._write, upload, waiting)

    def _write(self, upload: Upload, data: bytearray) -> None:
        """Add *data*. Others may have filled the disk since it began, and some do not say how much they send."""
        if len(data) > self._free():
            upload.discard()
            raise OSError(errno.ENOSPC, "the rest is for the job table")
        upload.write(data)

    def _too_large(self) -> Refusal:
        return Refusal(413, f"An artifact has at most {self._largest} bytes.", "Send it in several ones.")

    def _require_room(self, size: int) -> None:
        free = self._free()
        if size > free:
            raise _no_room(f"There is no room for {size} bytes: {max(0, free)} are free.")

    def _free(self) -> int:
        """Bytes that uploads may still take."""
        folder = next(each for each in (self._store.root, *self._store.root.parents) if each.is_dir())
        return shutil.disk_usage(folder).free - RESERVE


def _kept(digest: str, status: int) -> Response:
    return Response(status_code=status, headers={"etag": f'"{digest}"'}, media_type=MEDIA)


def _no_room(fact: str) -> Refusal:
    return Refusal(507, fact, "Free some space on the server: clx db prune, clx cache prune.")


def _unkept(error: OSError) -> Refusal:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return _no_room("The disk is full: what had come of it was removed.")
    return Refusal(503, f"It cannot be kept: {error.strerror}.", "Look at the server's disk.", retry_after="5")


def _other_bytes() -> Refusal:
    return Refusal(422, "The bytes are not what their name says.", "Name them by their own sha256.")


def _not_allowed(methods: str) -> Refusal:
    return Refusal(405, "This address does not take that method.", f"It takes {methods}.", allow=methods)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The body was cut off.", "Go on where it was.")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _whole_size(headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole object that is sent; None where nobody says."""
    length, whole = headers.get("content-length", ""), headers.get("upload-length", "")
    if whole.isdecimal():
        return int(whole)
    is_last = headers.get("upload-complete", "?1") != "?0"
    return int(length) + (_offset(headers) or 0) if length.isdecimal() and is_last else None


def _offset(headers: Mapping[str, str]) -> int | None:
    text = headers.get("upload-offset")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise Refusal(400, "Upload-Offset is no number of bytes.", "Send what HEAD told.")
    return int(text)
