"""The files of works that are in the artifact store: pictures are shown, all others can only be kept.

What is a picture is told by its first bytes alone; neither the name of a file nor who deposited it has a say. A picture
is served in a sandbox without scripts, and nothing is ever served as a page.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.errors import ArtifactError
from clx.server.answers import Refusal
from clx.server.giving import MEDIA, give, opened
from clx.server.views.sections import Parts

KINDS = ("plots", "products", "logs")
_MOST = 500
"""Files of one kind that a page names."""
_LARGEST = 50_000_000
"""Bytes of a picture that a page shows by itself."""
_HEAD = 1024
"""Bytes that tell what a file is."""
_DIGEST = re.compile("[0-9a-f]{64}")
_SVG = "image/svg+xml"
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF87a", "image/gif"),
               (b"GIF89a", "image/gif"))  # fmt: skip
_SVG_BEGINS = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:(?><!--.*?-->)\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]", re.DOTALL)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class File(NamedTuple):
    """A file of a work.

    Attributes:
        path: where it lies, as whoever archived it says.
        size: bytes, as he says; None where he does not.
        media: of a picture; ``gone`` where the store has it not, empty for all else.
    """

    name: str
    path: str
    digest: str
    size: int | None
    media: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether a page shows it as a picture."""
        return self.media.startswith("image/") and (self.size or 0) <= _LARGEST


def files_of(document: Mapping[str, Any]) -> dict[str, list[File]]:
    """The files that a work names, by what they are; what another client wrote in their place is left out."""
    artifacts = document.get("artifacts")
    if not isinstance(artifacts, dict):
        return {}
    found = {kind: list(_files(artifacts.get(kind)))[:_MOST] for kind in KINDS}
    return {kind: files for kind, files in found.items() if files}


def _files(entries: Any) -> Any:
    for each in entries if isinstance(entries, list) else ():
        digest = each.get("digest") if isinstance(each, dict) else None
        if isinstance(digest, str) and _DIGEST.fullmatch(digest):
            path = str(each.get("path") or "")
            size = each.get("bytes")
            yield File(str(each.get("name") or path or digest[:12]), path, digest, size if type(size) is int else None)


def looked_at(store: ArtifactStore, files: Sequence[File]) -> list[File]:
    """The same files, each with what it is."""
    found = []
    for file in files:
        try:
            media = _media_in(store.root, file.digest)
        except (ArtifactError, OSError):  # on another machine, or removed: it may come yet
            media = "gone"
        found.append(file._replace(media=media))
    return found


@lru_cache(10_000)
def _media_in(root: Path, digest: str) -> str:
    with ArtifactStore(root).reader(digest) as stream:
        return media_of(stream.read(_HEAD))


def artifacts_of(queue: Queue) -> ArtifactStore:
    """Where the files of its works are."""
    return ArtifactStore(queue.database.state.shared / "artifacts")


def media_of(head: bytes) -> str:
    """What kind of picture begins with these bytes; empty for what is none."""
    for signature, media in _SIGNATURES:
        if head.startswith(signature):
            return media
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return _SVG if _SVG_BEGINS.match(head.removeprefix(b"\xef\xbb\xbf")) else ""


class Files:
    """An ASGI application that gives a file which a work names: ``?id=WORK&digest=SHA256``."""

    def __init__(self, parts: Parts) -> None:
        self._queue = parts.queue
        self._threads = parts.threads
        self._store = artifacts_of(parts.queue)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request."""
        asked = Request(scope).query_params
        file = await self._threads.read(partial(self._named, asked.get("id", ""), asked.get("digest", "")))
        method = scope["method"]
        try:
            found = await asyncio.to_thread(opened, self._store, file.digest, method)
            media = media_of(await asyncio.to_thread(_head, found.stream))
        except ArtifactError as error:
            raise Refusal(404, "The file is not here.", "It may be on another machine, or was removed.") from error
        is_safe = media and media != _SVG
        told = {
            "content-type": media or MEDIA,
            "content-security-policy": _POLICY,
            "content-disposition": disposition(file.name, is_inline=bool(is_safe) and "download" not in asked),
        }
        await give(found, file.digest, method, Headers(scope=scope), send, told)

    def _named(self, work_id: str, digest: str) -> File:
        """The file, if the work names it: nobody gets others by this address."""
        work = self._queue.works.get(work_id) if work_id and len(work_id) <= 500 and "\0" not in work_id else None
        for files in files_of(work.document).values() if work is not None else ():
            for each in files:
                if each.digest == digest:
                    return each
        raise Refusal(404, "No such work names such a file.", "See its page for those that it has.")


def _head(stream: Any) -> bytes:
    stream.seek(0)
    head: bytes = stream.read(_HEAD)
    stream.seek(0)
    return head


def disposition(name: str, *, is_inline: bool) -> str:
    """How a browser is to treat a file, and what it is to call it (RFC 6266); a path is only its last part."""
    last = re.sub(r"[\x00-\x1f\x7f]", "", name.replace("\\", "/").rpartition("/")[2]).strip(". ")[:200] or "file"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", last)
    told = f'{"inline" if is_inline else "attachment"}; filename="{plain}"'
    return told if plain == last else f"{told}; filename*=UTF-8''{quote(last.encode('utf-8', 'replace'), safe='')}"
