"""The works of a server: what :class:`clx.db.works.table.Works` keeps there, with the same values and errors."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from clx import __version__
from clx.db.models import encode
from clx.db.validation import check_timeout
from clx.db.works.models import Document, Found, bounded, by_position
from clx.db.works.searching import Condition, Search
from clx.db.works.table import Page
from clx.db.works.withdrawing import Asked
from clx.errors import ClxError, LostWorkerError, ServerError
from clx.remote.connection import TOKEN_VARIABLE, Connection, was_lost

if TYPE_CHECKING:
    from pathlib import Path

    from clx.artifacts.store import ArtifactStore
    from clx.remote.pipelines import RemotePipelines

log = logging.getLogger("clx.work")

T = TypeVar("T")

PATIENCE = 15.0
"""Seconds for which a call that may be made twice is made again, where a server that has answered does not any more."""
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
_LONGEST_WAIT = 60.0
"""Seconds that one call waits; who waits longer calls again."""
_PAGE = 1000
_AT_ONCE = 1000
_BYTES_AT_ONCE = 8 << 20
"""Bytes of works that one call sends."""

_Ids = msgspec.defstruct("_Ids", [("ids", list[str])])
_Taken = msgspec.defstruct("_Taken", [("taken", list[bool]), ("works", list[dict[str, Any] | None] | None, None)])
_Exchanged = msgspec.defstruct("_Exchanged", [("taken", bool), ("work", dict[str, Any] | None)])
_Work = msgspec.defstruct("_Work", [("work", dict[str, Any] | None)])
_Works = msgspec.defstruct("_Works", [("works", list[dict[str, Any]]), ("after", str | None, None)])


class _Holder:
    """A worker as the server knows it, which one call at a time withdraws for.

    Attributes:
        held: the works that it has, as far as this program knows.
    """

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.held: set[str] = set()


class RemoteWorks:
    """The works of one server. Usable from several threads at once, and in a process that was forked.

    A call that changes nothing twice is made again where its answer was lost: a deposit by its id, a withdrawal by what
    the server says that this program holds, and an update as it stands.

    Args:
        url, token, ca_file, insecure: as of :class:`clx.remote.client.Client`.

    Raises:
        UsageError: *url* is no such address, or the token would be read on the way.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        insecure: bool = False,
    ) -> None:
        self._connect: Callable[[], Connection] = lambda: Connection(url, token, ca_file=ca_file, insecure=insecure)
        self._server = (url, token, ca_file, insecure)
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._connection = self._connect()
        self._has_answered = False
        self._free: list[_Holder] = []
        self._holders: dict[int, _Holder] = {}
        self._holder_of: dict[str, _Holder] = {}

    def close(self) -> None:
        """Hand back what was withdrawn and not updated, and close the connections."""
        try:
            if self._process == os.getpid():
                for holder in list(self._holders.values()):
                    self._connection.call("DELETE", f"/workers/{holder.worker}", dict[str, bool])
        except ClxError as error:  # their times tell; closing must not hide why it is closed
            log.warning("%s", error.fact)
        finally:
            self._connection.close()
            self._holders, self._free, self._holder_of = {}, [], {}

    def open_artifacts(self, root: Path) -> ArtifactStore:
        """The artifacts of the same server, with copies of those that were used below *root*.

        Raises:
            ServerError: it keeps none, does not answer, or refuses.
        """
        from clx.remote.artifacts import ArtifactServer
        from clx.remote.cached_store import CachedStore

        url, token, ca_file, insecure = self._server
        shown = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        server = ArtifactServer(url, shown, ca_file=ca_file, insecure=insecure)
        server.missing(["0" * 64])
        return CachedStore(root, server)

    @property
    def pipelines(self) -> RemotePipelines:
        """The pipelines of the same server."""
        from clx.remote.pipelines import RemotePipelines

        return RemotePipelines(self._call)

    # -- calls ----------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, kind: Any, *, again: bool = True, **more: Any) -> Any:
        """One call, which is made again where its answer was lost."""
        return self._insist(lambda _: self._one(method, path, kind, **more), again=again)

    def _one(self, method: str, path: str, kind: Any, **more: Any) -> Any:
        if self._process != os.getpid():  # the connections are its parent's, and so is what that holds
            self._lock = threading.Lock()
            self._begin()
        found = self._connection.call(method, path, kind, **more)
        self._has_answered = True
        return found

    def _insist(self, body: Callable[[bool], T], *, again: bool = True) -> T:
        """What *body* returns, which is told whether an answer of it was lost before."""
        ends_at = 0.0
        for attempt in range(1_000_000):
            try:
                return body(attempt > 0)
            except ServerError as error:
                now = time.monotonic()
                ends_at = ends_at or now + PATIENCE
                if not again or not self._has_answered or not was_lost(error) or now >= ends_at:
                    raise
                time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
        raise AssertionError

    # -- putting in, taking ---------------------------------------------------------------------------

    def enlist(self, types: Sequence[str]) -> None:
        """Have the server know this program as one that withdraws, as the first withdrawal would.

        Raises:
            AccessError: the token is none, or its role lets it withdraw nothing.
        """
        holder = self._take_holder(types)
        with self._lock:
            self._free.append(holder)

    def deposit(self, documents: Iterable[Document]) -> list[str]:
        """As :meth:`clx.db.works.table.Works.deposit`; works with an id or a creation are sent again by themselves."""
        ids: list[str] = []
        made: dict[str, list[str]] = defaultdict(list)  # by what tells works apart that have no ids
        parts = list(_parts(documents))
        for part in parts:
            again = all(each.get("id") is not None or each.get("creation") is not None for each in part)
            body: dict[str, Any] = {"works": part}
            known = [_known_by(each) for each in part] if len(parts) > 1 else []
            if apart := [work_id for key in dict.fromkeys(known) for work_id in made.get(key, ())]:
                body["apart"] = apart
            found = self._call("POST", "/works", _Ids, again=again, body=body).ids
            for key, work_id in zip(known, found, strict=False):
                if key:
                    made[key].append(work_id)
            ids += found
        return ids

    def withdraw(self, asked: Asked, *, wait: float = 0.0, lease: float | None = None) -> Document | None:
        """As :meth:`clx.db.works.table.Works.withdraw`.

        Args:
            wait: seconds to wait for one that fits.
            lease: seconds until it is given to another unless it was updated; None: as long as it may take.
        """
        check_timeout(wait)
        ends_at = time.monotonic() + wait
        body = _wanted(asked)
        while True:
            left = min(_LONGEST_WAIT, max(0.0, ends_at - time.monotonic()))
            found = self._withdraw({**body, "lease": lease, "wait": left}, asked.types, left)
            if found is not None or time.monotonic() >= ends_at:
                return found

    def wake(self) -> None:
        """As :meth:`clx.db.works.table.Works.wake`; but a wait at a server goes on."""

    def _withdraw(self, body: dict[str, Any], types: Sequence[str], wait: float) -> Document | None:
        holder = self._take_holder(types)
        try:
            found = self._for(holder, body, wait)
        except LostWorkerError:  # struck off: what it held is others' now
            self._forget(holder)
            holder = self._take_holder(types)
            found = self._for(holder, body, wait)
        with self._lock:
            self._free.append(holder)
        return found

    def _for(self, holder: _Holder, body: dict[str, Any], wait: float) -> Document | None:
        def call(is_again: bool) -> Any:
            known = {"known": sorted(holder.held)} if is_again else {}
            sent = {**body, "worker": holder.worker, **known}
            return self._one("POST", "/works/withdraw", _Work, body=sent, wait=wait)

        try:
            found: Document | None = self._insist(call).work
        except LostWorkerError:
            raise
        except ClxError:
            self._forget(holder)  # it may have one that nobody knows of: handed back with what it holds, or in time
            raise
        self._keep(holder, found)
        return found

    def _keep(self, holder: _Holder, found: Document | None) -> None:
        if found is not None:
            with self._lock:
                holder.held.add(found["id"])
                self._holder_of[found["id"]] = holder

    def _take_holder(self, types: Sequence[str]) -> _Holder:
        if self._process == os.getpid():
            with self._lock:
                if self._free:
                    return self._free.pop()
        import platform

        told = {"type": ",".join(types)[:1000], "host": platform.node(), "pid": os.getpid(), "version": __version__}
        made = _Holder(self._call("POST", "/workers", dict[str, int], body=told)["id"])
        with self._lock:
            self._holders[made.worker] = made
        return made

    def _forget(self, holder: _Holder) -> None:
        """Withdraw nothing for it any more; what it holds is handed back when this is closed."""
        if not holder.held:
            with self._lock:
                self._holders.pop(holder.worker, None)

    def renew(self, work_id: str, run: int, lease: float | None = None) -> bool:
        """As :meth:`clx.db.works.table.Works.renew`."""
        body = {"id": work_id, "run": run, "lease": lease}
        return bool(self._call("POST", "/works/renew", dict[str, bool], body=body)["changed"])

    def note_run(
        self, work_id: str, run: int, *, stdout: str = "", stderr: str = "", peak_memory: int | None = None
    ) -> bool:
        """As :meth:`clx.db.works.table.Works.note_run`."""
        body = {"id": work_id, "run": run, "stdout": bounded(stdout), "stderr": bounded(stderr)}
        told = {**body, "peak_memory": peak_memory}
        return bool(self._call("POST", "/works/said", dict[str, bool], body=told)["changed"])

    # -- changing -------------------------------------------------------------------------------------

    def update(self, documents: Iterable[Document], *, again: bool = True) -> list[bool]:
        """As :meth:`clx.db.works.table.Works.update`."""
        return [each for part in _parts(documents) for each in self._update({"works": part, "again": again}).taken]

    def updated(self, document: Document) -> Found | None:
        """As :meth:`clx.db.works.table.Works.updated`."""
        answer = self._update({"works": [document], "read": True})
        if not answer.taken[0]:
            return None
        now = answer.works[0] if answer.works else None
        return self.get(document["id"]) if now is None else _work(now)

    def exchange(self, document: Document, asked: Asked, *, lease: float | None = None) -> tuple[bool, Document | None]:
        """As :meth:`clx.db.works.table.Works.exchange`."""
        holder = self._take_holder(asked.types)
        body = {**_wanted(asked), "lease": lease, "worker": holder.worker, "work": document}
        was_repeated = False

        def call(is_again: bool) -> Any:
            nonlocal was_repeated
            was_repeated = is_again
            known = {"known": sorted({*holder.held, document["id"]})} if is_again else {}
            return self._one("POST", "/works/exchange", _Exchanged, body={**body, **known})

        try:
            answer = self._insist(call)
        except ClxError:
            self._forget(holder)
            raise
        taken = answer.taken or (was_repeated and self._was_taken(document))
        self._let_go([document])
        self._keep(holder, answer.work)
        with self._lock:
            self._free.append(holder)
        return taken, answer.work

    def _update(self, body: dict[str, Any]) -> Any:
        part: list[Document] = body["works"]
        was_repeated = False

        def call(is_again: bool) -> Any:
            nonlocal was_repeated
            was_repeated = is_again
            return self._one("POST", "/works/update", _Taken, body=body)

        answer = self._insist(call)
        if was_repeated:  # what was taken before its answer was lost has ended that attempt
            taken = [is_taken or self._was_taken(each) for each, is_taken in zip(part, answer.taken, strict=True)]
            answer = _Taken(taken)
        self._let_go(part)
        return answer

    def _let_go(self, documents: Iterable[Document]) -> None:
        """Know of works that were updated that nobody here holds them any more, unless they run."""
        with self._lock:
            for each in documents:
                if each.get("status") != "running" and (holder := self._holder_of.pop(str(each.get("id")), None)):
                    holder.held.discard(each["id"])

    def _was_taken(self, document: Document) -> bool:
        """Whether an attempt has ended as a document says."""
        outcome = {"failure": "failed", "queued": "released"}.get(str(document.get("status")))
        runs = self.runs(document["id"]) if outcome is not None and document.get("run") is not None else []
        return any((each["run"], each["outcome"]) == (document["run"], outcome) for each in runs)

    def delete(self, ids: Iterable[str], *, store: str | None = None) -> list[str]:
        """As :meth:`clx.db.works.table.Works.delete`."""
        return self._changed("/works/delete", ids, store=store)

    def cancel(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.works.table.Works.cancel`."""
        return self._changed("/works/cancel", ids)

    def retry(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.works.table.Works.retry`."""
        return self._changed("/works/retry", ids)

    def _changed(self, path: str, ids: Iterable[str], **more: Any) -> list[str]:
        told = {name: value for name, value in more.items() if value is not None}
        found: list[str] = []
        for part in _slices(by_position(ids)):
            found += self._call("POST", path, _Ids, again=False, body={"ids": part, **told}).ids
        return found

    # -- looking --------------------------------------------------------------------------------------

    def get(self, work_id: str) -> Found | None:
        """As :meth:`clx.db.works.table.Works.get`."""
        found = self._found("/works/get", [work_id])
        return found[0] if found else None

    def wait(self, ids: Iterable[str], timeout: float | None = None) -> list[Found]:
        """As :meth:`clx.db.works.table.Works.wait`."""
        check_timeout(timeout)
        named = by_position(ids)
        ends_at = None if timeout is None else time.monotonic() + timeout
        live = named
        while live:
            left = _LONGEST_WAIT if ends_at is None else min(_LONGEST_WAIT, max(0.0, ends_at - time.monotonic()))
            found = [each for part in _slices(live) for each in self._found("/works/wait", part, timeout=left)]
            live = [each.document["id"] for each in found if each.document["status"] in ("queued", "running")]
            if ends_at is not None and time.monotonic() >= ends_at:
                break
        return [each for part in _slices(named) for each in self._found("/works/get", part)]

    def _found(self, path: str, ids: Sequence[str], timeout: float | None = None) -> list[Found]:
        more = {} if timeout is None else {"timeout": timeout}
        page = self._call("POST", path, _Works, body={"ids": by_position(ids), **more}, wait=timeout or 0)
        return _works(page)

    def find(self, search: Search) -> Page:
        """As :meth:`clx.db.works.table.Works.find`; in as many calls as it takes."""
        body = _search(search)
        works: list[Found] = []
        left, after = search.limit, search.after
        while True:
            size = _PAGE if left is None else min(left, _PAGE)
            if size <= 0:
                return Page(works, None)
            skip = search.skip if not works else 0
            sent = {**body, "order": search.order, "after": after, "limit": size, "skip": skip}
            page = self._call("POST", "/works/find", _Works, body=sent)
            works += _works(page)
            left, after = None if left is None else left - len(page.works), page.after
            if after is None or left == 0:
                return Page(works, after)

    def count(self, search: Search) -> int:
        """As :meth:`clx.db.works.table.Works.count`."""
        return int(self._call("POST", "/works/count", dict[str, int], body=_search(search))["count"])

    def status(self, pipeline: str | None = None) -> dict[str, int]:
        """As :meth:`clx.db.works.table.Works.status`."""
        asked = {"pipeline": pipeline}
        return dict(self._call("GET", "/works/status", dict[str, dict[str, int]], query=asked)["status"])

    def status_by_bucket(self) -> dict[str, dict[str, int]]:
        """As :meth:`clx.db.works.table.Works.status_by_bucket`."""
        return dict(self._call("GET", "/works/buckets/status", dict[str, dict[str, dict[str, int]]])["pipelines"])

    def unattended(self) -> list[str]:
        """As :meth:`clx.db.works.table.Works.unattended`."""
        return list(self._call("GET", "/works/unattended", dict[str, list[str]])["pipelines"])

    def buckets(self) -> list[str]:
        """As :meth:`clx.db.works.table.Works.buckets`."""
        return list(self._call("GET", "/works/buckets", dict[str, list[str]])["pipelines"])

    def results(self) -> dict[str, int]:
        """As :meth:`clx.db.works.table.Works.results`."""
        return dict(self._call("GET", "/works/results", dict[str, dict[str, int]])["pipelines"])

    def runs(self, work_id: str) -> list[dict[str, Any]]:
        """As :meth:`clx.db.works.table.Works.runs`."""
        return list(self._call("GET", "/works/runs", dict[str, list[dict[str, Any]]], query={"id": work_id})["runs"])


_ASKED = ("pipelines", "site", "user", "priority", "event", "tags", "parent")


def _wanted(asked: Asked) -> dict[str, Any]:
    given = ((name, value) for name, value in zip(_ASKED, asked, strict=True) if value not in (None, ()))
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given}


def _works(page: Any) -> list[Found]:
    return [_work(each) for each in page.works]


def _work(told: dict[str, Any]) -> Found:
    return Found(told["work"], told["job_id"], told["in_bucket"], told["in_results"])


def _search(search: Search) -> dict[str, Any]:
    return {"where": [_condition(each) for each in search.where], "text": search.text}


def _condition(asked: Condition) -> dict[str, Any]:
    value = asked.value
    if asked.operator == "any":
        value = [[_condition(each) for each in every] for every in value]
    elif isinstance(value, set | frozenset):
        value = list(value)
    return {"field": asked.field, "operator": asked.operator, "value": value}


def _slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]


def _known_by(document: Document) -> str:
    """What tells a work without an id from others; nothing does where it has no creation either, nor one with an id."""
    if document.get("id") is not None or document.get("creation") is None:
        return ""
    return encode([document.get(name) for name in ("pipeline", "creation", "user", "parameters")])


def _parts(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Works in parts that one call takes."""
    given = list(documents)
    if len(given) == 1:
        yield given
        return
    part: list[Document] = []
    size = 0
    for each in given:
        length = len(encode(each))
        if part and (len(part) == _AT_ONCE or size + length > _BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(each)
        size += length
    if part:
        yield part
