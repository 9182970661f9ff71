"""Artifacts of another machine: ``/cas/<sha256>`` of ``clx server``, or of whatever else speaks bazel's HTTP cache.

A transfer that is cut goes on where it was, as long as it makes progress now and then. The bytes that come are hashed
here, whatever the server did; what leaves is hashed by the server.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
import urllib3

from clx.errors import AccessError, ArtifactError, ArtifactMissingError, ServerError
from clx.remote.connection import make_pool

T = TypeVar("T")
AT_ONCE = 8
"""Transfers that run side by side."""
_ASKED_AT_ONCE = 10_000
_PIECE = 1 << 18
_LARGE = 4 << 20
"""Bytes from which on it is asked first whether a part of an object is there already, and whether there is room."""
_LONGEST_PAUSE = 5.0
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses after which another try may succeed."""


class _Cut(Exception):
    """A try that failed in a way that another one may not."""


class _Patience:
    """How long to try: until nothing has moved for a while.

    Args:
        seconds: for how long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._pause = 0.1

    def progress(self) -> None:
        """Something moved."""
        self._ends_at = time.monotonic() + self._seconds
        self._pause = 0.1

    def pause(self) -> bool:
        """Wait before the next try; false when there is to be none."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, self._pause * random.uniform(0.5, 1.0)))  # noqa: S311  (so that not all come at once)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True


class ArtifactServer:
    """The artifacts of one server. Usable from several threads at once.

    Args:
        url: ``http://HOST:PORT``, with a path where they are below one.
        token: what it is shown.
        ca_file: the certificate of who vouches for the server's, where the system does not know it.
        insecure: whether the token may go to another machine unencrypted.
        patience: seconds for which a call that makes no progress is tried again.
        still: seconds without a byte after which a connection counts as cut.

    Raises:
        UsageError: the URL is none, or the token would be read on the way.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        ca_file: str | os.PathLike[str] | None = None,
        insecure: bool = False,
        patience: float = 60.0,
        still: float = 20.0,
    ) -> None:
        self._pool = make_pool(url, token, ca_file=ca_file, insecure=insecure, maxsize=AT_ONCE, blocksize=_PIECE)
        self.url = url.rstrip("/")
        self._connections = self._pool.connection_from_url(url)  # the manager looks at the URL each time
        self._path = urlsplit(self.url).path
        self.sent = 0
        """Bytes of objects that left this machine, those that were sent again among them."""
        self._patience = patience
        self._timeout = urllib3.Timeout(connect=min(10.0, still), read=still)
        self._knows_missing = True

    # -- which are there --------------------------------------------------------------------------

    def missing(self, digests: Collection[str], sizes: Mapping[str, int] = MappingProxyType({})) -> set[str]:
        """Which of *digests* are not there; those that are will stay for a while.

        Args:
            sizes: bytes of those where they are known: what is there with others is damaged.

        Raises:
            ServerError: the server does not answer, or refuses.
        """
        asked = sorted(set(digests))
        found: set[str] = set()
        for start in range(0, len(asked), _ASKED_AT_ONCE):
            found |= self._missing(asked[start : start + _ASKED_AT_ONCE], sizes)
        return found

    def _missing(self, digests: list[str], sizes: Mapping[str, int]) -> set[str]:
        if self._knows_missing:
            asked = {digest: sizes.get(digest) for digest in digests} if sizes else digests
            answer = self._call("POST", "missing", lambda: msgspec.json.encode(asked))
            if answer.status == 200:
                try:
                    return set(msgspec.json.decode(answer.data, type=list[str])) & set(digests)
                except msgspec.MsgspecError:
                    raise self._odd(answer.status) from None
            if answer.status not in (400, 404, 405, 501):
                raise self._refused(answer)
            self._knows_missing = False  # a server of others, which has /cas/<sha256> alone
        return set(self._each(digests, lambda digest: None if self._has(digest, sizes.get(digest)) else digest))

    def _has(self, digest: str, size: int | None) -> bool:
        answer = self._call("HEAD", digest)
        if answer.status not in (200, 404):
            raise self._refused(answer)
        return bool(answer.status == 200) and _may_have(answer, size)

    def _each(self, items: Sequence[T], work: Callable[[T], str | None]) -> Iterator[str]:
        if len(items) < 2:
            yield from filter(None, map(work, items))
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(items)), "artifacts") as pool:
            yield from filter(None, pool.map(work, items))

    # -- there ------------------------------------------------------------------------------------

    def put(self, files: Sequence[tuple[str, Path]]) -> None:
        """Send objects, each a digest and the file with its bytes; several at a time.

        Raises:
            ArtifactError: the bytes of one are not what its name says.
            ServerError: the server does not answer, has no room, or refuses.
        """
        list(self._each(files, lambda file: self._put(*file)))

    def _put(self, digest: str, path: Path) -> None:
        patience = _Patience(self._patience)
        size = path.stat().st_size
        part = _Part(0) if size < _LARGE else None
        known = 0
        while True:
            try:
                part = part or self._part(digest, size)
                if part.offset > known:
                    known = part.offset
                    patience.progress()
                if part.is_whole:
                    return
                if part.is_moving:
                    raise _Cut("it is being sent by somebody else")  # noqa: TRY301  (as one that another try may not)
                self._send(digest, path, part.offset, size)
            except _Cut as cut:
                part = None
                if not patience.pause():
                    raise self._gave_up(str(cut)) from cut.__cause__
            else:
                return

    def _part(self, digest: str, size: int) -> _Part:
        """How much of an object is there."""
        answer = self._try("HEAD", digest, headers={"upload-length": str(size)})
        if answer.status == 200:  # one of another size was damaged on the server's disk: it is sent anew
            return _Part(size, is_whole=True) if _may_have(answer, size) else _Part(0)
        if answer.status != 404:
            raise self._refused(answer)
        text = answer.headers.get("upload-offset", "0")
        offset = int(text) if text.isdecimal() and int(text) <= size else 0
        return _Part(offset, is_moving="retry-after" in answer.headers)

    def _send(self, digest: str, path: Path, offset: int, size: int) -> None:
        headers = {"content-length": str(size - offset), "content-type": "application/octet-stream"}
        if offset:
            headers["upload-offset"] = str(offset)
        with path.open("rb") as stream:
            stream.seek(offset)
            answer = self._try("PUT", digest, body=self._counted(stream) if size > offset else b"", headers=headers)
        if answer.status == 422:
            raise ArtifactError(
                f"Artifact {digest[:12]} is damaged: its bytes are not what its name says.",
                "Type: clx db check; then build again to make it anew.",
            )
        if answer.status not in (200, 201, 204):
            raise self._refused(answer)

    def _counted(self, stream: IO[bytes]) -> Iterator[bytes]:
        while piece := stream.read(_PIECE):
            yield piece
            self.sent += len(piece)

    # -- here -------------------------------------------------------------------------------------

    def get(self, digest: str, stream: IO[bytes]) -> None:
        """Write an object into *stream*, which is empty; what it holds is verified.

        Raises:
            ArtifactMissingError: it is not there.
            ArtifactError: what came is not what its name says.
            ServerError: the server does not answer, or refuses.
        """
        patience = _Patience(self._patience)
        taken = _Taken(stream)
        while True:
            before = taken.size
            try:
                self._take(digest, taken)
                break
            except _Cut as cut:
                if taken.size > before:
                    patience.progress()
                if not patience.pause():
                    raise self._gave_up(str(cut)) from cut.__cause__
        if taken.hash.hexdigest() != digest:
            if self._is_damaged_there(digest):
                raise ArtifactMissingError(
                    f"Artifact {digest[:12]} was damaged on {self.url}, which has removed it.",
                    "Build again to make it anew.",
                )
            raise ArtifactError(
                f"{self.url} sent other bytes for artifact {digest[:12]} than its name says.",
                "Look at the server: the artifact is damaged there, or on the way.",
            )

    def _is_damaged_there(self, digest: str) -> bool:
        """Have the server look at the bytes themselves; whether it has the object no more then."""
        try:
            return bool(self._try("HEAD", digest, headers={"cache-control": "no-cache"}).status == 404)
        except _Cut:
            return False

    def _take(self, digest: str, taken: _Taken) -> None:
        headers = {"accept-encoding": "identity"}
        if taken.size:
            headers |= {"range": f"bytes={taken.size}-", "if-range": f'"{digest}"'}
        answer = self._try("GET", digest, headers=headers, preload_content=False)
        try:
            if answer.status == 404:
                raise ArtifactMissingError(
                    f"Artifact {digest[:12]} is not on {self.url}.", "Build again to make it anew."
                )
            if answer.status == 416:  # nothing was left to come
                return
            if answer.status not in (200, 206):
                raise self._refused(answer)
            if answer.status == 200:
                taken.begin_anew()
            for piece in answer.stream(_PIECE, decode_content=False):
                taken.add(piece)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            answer.close()
            raise _Cut(_reason(error)) from error
        finally:
            answer.release_conn()

    # -- calls ------------------------------------------------------------------------------------

    def _call(self, method: str, name: str, body: Callable[[], bytes] | None = None) -> Any:
        """The answer to a call that may be made several times."""
        patience = _Patience(self._patience)
        while True:
            try:
                return self._try(method, name, body=body() if body is not None else None)
            except _Cut as cut:
                if not patience.pause():
                    raise self._gave_up(str(cut)) from cut.__cause__

    def _try(self, method: str, name: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """One request.

        Raises:
            _Cut: another one may succeed.
        """
        try:
            answer = self._connections.urlopen(
                method, f"{self._path}/cas/{name}", headers={**self._pool.headers, **(headers or {})},
                timeout=self._timeout, retries=False, redirect=False, assert_same_host=False, **more,
            )  # fmt: skip
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _Cut(_reason(error)) from error
        if answer.status in _AGAIN:
            if not more.get("preload_content", True):
                answer.drain_conn()
            raise _Cut(f"status {answer.status}")
        return answer

    def _refused(self, answer: Any) -> ServerError:
        try:
            told = msgspec.json.decode(answer.data, type=dict[str, Any])
            fact, next_step = str(told["error"]), str(told.get("next_step", ""))
        except (msgspec.MsgspecError, KeyError):
            fact = "it has no room" if answer.status == 507 else f"it answers {answer.status}"
            next_step = "Look at the server."
        kind = AccessError if answer.status in (401, 403) else ServerError
        if kind is AccessError:
            next_step = "Set artifacts.token (CLX_ARTIFACTS__TOKEN) to a token with the role work."
        return kind(f"{self.url} takes or gives no artifacts: {fact.rstrip('.')}.", next_step)

    def _odd(self, status: int) -> ServerError:
        return ServerError(
            f"{self.url} answers ({status}), but not as a server of artifacts.",
            "Correct artifacts.url, or --artifacts: it is the address of `clx server`.",
        )

    def _gave_up(self, reason: str) -> ServerError:
        return ServerError(
            f"{self.url} does not give or take artifacts: {reason}, for {self._patience:g} s.",
            "Is `clx server` running there, and reached from here? Longer: artifacts.patience.",
        )

    def close(self) -> None:
        """Close its connections."""
        self._pool.clear()


class _Part(NamedTuple):
    """How much of an object a server has, and whether somebody else is sending it."""

    offset: int
    is_moving: bool = False
    is_whole: bool = False


class _Taken:
    """What has come of an object so far."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what had come."""
        self._stream.seek(0)
        self._stream.truncate()
        self.size = 0
        self.hash = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """More of it."""
        self._stream.write(piece)
        self.hash.update(piece)
        self.size += len(piece)


def _reason(error: Exception) -> str:
    """Why nothing came of a request, in a few words."""
    cause = getattr(error, "reason", None) or error
    return str(cause).rpartition(": ")[2].rstrip(".") or type(cause).__name__


def _may_have(answer: Any, size: int | None) -> bool:
    """Whether what an answer to ``HEAD`` tells of has *size* bytes, as far as anything is known."""
    told = answer.headers.get("content-length")
    return size is None or told is None or told == str(size)
