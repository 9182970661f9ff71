"""The works of ``/api/v1``: what :class:`clx.db.works.table.Works` does, for programs elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from clx.db.works.models import Document, Found
from clx.db.works.table import Works
from clx.errors import DatabaseBusyError
from clx.server.api import work_documents as doc
from clx.server.api.documents import Done
from clx.server.api.operations import Attended, Call, Operation


def _works(call: Call) -> Works:
    return call.queue.works


def _found(works: Iterable[Found], after: str | None = None) -> doc.WorksFound:
    return doc.WorksFound([_one(each) for each in works], after)


def _one(found: Found) -> doc.WorkFound:
    return doc.WorkFound(found.document, found.job_id, found.in_bucket, found.in_results)


def _deposit(call: Call) -> doc.WorksMade:
    asked: doc.WorksDeposited = call.body
    return doc.WorksMade(_works(call).deposit(asked.works, apart=asked.apart, was_json=True))


def _update(call: Call) -> doc.WorksTaken:
    asked: doc.WorksUpdated = call.body
    works = _works(call)
    told: dict[str, Found] | None = {} if asked.read else None
    taken = works.update(asked.works, again=asked.again, told=told, was_json=True)
    if told is not None:
        with suppress(DatabaseBusyError):  # it was done: only what has come of it cannot be told
            now = [
                (told.get(each["id"]) or works.get(each["id"])) if is_taken else None
                for each, is_taken in zip(asked.works, taken, strict=True)
            ]
            return doc.WorksTaken(taken, [None if each is None else _one(each) for each in now])
    return doc.WorksTaken(taken)


def _withdraw(call: Call) -> doc.WorkTaken:
    asked: doc.WorkWanted = call.body
    works = _works(call)
    lost = _lost(works, asked)
    if lost is not None:
        return doc.WorkTaken(lost)
    return doc.WorkTaken(works.withdraw(asked.asked(), worker=asked.worker, lease=asked.lease))


def _lost(works: Works, asked: doc.WorkSought) -> Document | None:
    """What its worker has withdrawn, and does not know of."""
    if asked.known is None:
        return None
    known = set(asked.known)
    return next((each for each in works.held(asked.worker) if each["id"] not in known), None)


def _exchange(call: Call) -> doc.WorkExchanged:
    asked: doc.WorkExchange = call.body
    works = _works(call)
    lost = _lost(works, asked)
    if lost is not None:
        return doc.WorkExchanged(works.update([asked.work], was_json=True)[0], lost)
    given, wanted = asked.work, asked.asked()
    return doc.WorkExchanged(*works.exchange(given, wanted, worker=asked.worker, lease=asked.lease, was_json=True))


def _attended(call: Call) -> Attended:
    asked: doc.WorkSought = call.body
    wanted = asked.asked()

    def give_back(answer: Any) -> None:
        if answer.work is not None:
            _works(call).update([{**answer.work, "status": "queued"}])

    def is_in_vain(answer: Any) -> bool:
        return answer.work is None

    # with conditions it may have to read a long queue; what an answer that was lost had is looked up
    is_short = wanted.is_plain and asked.known is None
    seconds = asked.wait if isinstance(asked, doc.WorkWanted) else 0.0
    return Attended(seconds, tuple(wanted.types), wanted, is_in_vain, give_back, is_short)


def _renew(call: Call) -> Done:
    asked: doc.WorkRenewed = call.body
    return Done(_works(call).renew(asked.id, asked.run, asked.lease))


def _note_run(call: Call) -> Done:
    said: doc.WorkRun = call.body
    more = {name: getattr(said, name) for name in ("stdout", "stderr", "peak_memory")}
    return Done(_works(call).note_run(said.id, said.run, **more))


def _get(call: Call) -> doc.WorksFound:
    works = _works(call)
    return _found(found for each in dict.fromkeys(call.body.ids) if (found := works.get(each)) is not None)


def _find(call: Call) -> doc.WorksFound:
    page = _works(call).find(call.body.search())
    return _found(page.works, page.after)


def _jobs(call: Call) -> list[int]:
    works = _works(call)
    return [found.job_id for each in call.body.ids if (found := works.get(each)) is not None]


WORKS = (
    Operation(
        "deposit_works", "POST", "/works", "work", "Deposit works; they can be found when this answers.",
        _deposit, doc.WorksMade, body=doc.WorksDeposited, writes=True, is_short=True, status=201,
    ),
    Operation(
        "withdraw_work", "POST", "/works/withdraw", "work", "Take the first work that waits and fits, or wait for one.",
        _withdraw, doc.WorkTaken, body=doc.WorkWanted, writes=True, errors=(409,), attended=_attended,
    ),
    Operation(
        "update_works", "POST", "/works/update", "work", "Store works as they are now, and do what their status says.",
        _update, doc.WorksTaken, body=doc.WorksUpdated, writes=True, is_short=True, errors=(409,),
    ),
    Operation(
        "exchange_work", "POST", "/works/exchange", "work", "Store a work as it is now, and take the next one.",
        _exchange, doc.WorkExchanged, body=doc.WorkExchange, writes=True, errors=(409,), attended=_attended,
    ),
    Operation(
        "renew_work", "POST", "/works/renew", "work", "Have the time of a running work begin anew.", _renew, Done,
        body=doc.WorkRenewed, writes=True,
    ),
    Operation(
        "note_run", "POST", "/works/said", "work", "Keep what an attempt that has ended said, and what it took.",
        _note_run, Done, body=doc.WorkRun, writes=True,
    ),
    Operation(
        "delete_works", "POST", "/works/delete", "admin", "Remove works, but for locked ones; live ones are cancelled.",
        lambda call: doc.WorksMade(_works(call).delete(call.body.ids, store=call.body.store)), doc.WorksMade,
        body=doc.WorksDeleted, writes=True,
    ),
    Operation(
        "get_works", "POST", "/works/get", "read", "Those of many works that there are.", _get, doc.WorksFound,
        body=doc.WorkIds,
    ),
    Operation(
        "find_works", "POST", "/works/find", "read", "Works that fit everything that is asked for, page by page.",
        _find, doc.WorksFound, body=doc.WorksWanted,
    ),
    Operation(
        "count_works", "POST", "/works/count", "read", "How many works fit.",
        lambda call: doc.Count(_works(call).count(call.body.search())), doc.Count, body=doc.WorksCounted,
    ),
    Operation(
        "work_status", "GET", "/works/status", "read", "How many works of a bucket, or of all, are of each status.",
        lambda call: doc.WorkStatus(_works(call).status(call.query.pipeline)), doc.WorkStatus, query=doc.Bucket,
    ),
    Operation(
        "buckets", "GET", "/works/buckets", "read", "The pipelines of which works are in a bucket.",
        lambda call: doc.Buckets(_works(call).buckets()), doc.Buckets,
    ),
    Operation(
        "bucket_statuses", "GET", "/works/buckets/status", "read", "How many works of each bucket are of each status.",
        lambda call: doc.BucketStatuses(_works(call).status_by_bucket()), doc.BucketStatuses,
    ),
    Operation(
        "unattended_works", "GET", "/works/unattended", "read", "The pipelines whose works wait for nobody who lives.",
        lambda call: doc.Buckets(_works(call).unattended()), doc.Buckets,
    ),
    Operation(
        "work_results", "GET", "/works/results", "read", "How many works are among the results, by pipeline.",
        lambda call: doc.WorkResults(_works(call).results()), doc.WorkResults,
    ),
    Operation(
        "cancel_works", "POST", "/works/cancel", "admin", "Cancel waiting works at once; running ones are told.",
        lambda call: doc.WorksMade(_works(call).cancel(call.body.ids)), doc.WorksMade, body=doc.WorkIds, writes=True,
    ),
    Operation(
        "retry_works", "POST", "/works/retry", "admin", "Queue failed and cancelled works again.",
        lambda call: doc.WorksMade(_works(call).retry(call.body.ids)), doc.WorksMade, body=doc.WorkIds, writes=True,
        errors=(409,),
    ),
    Operation(
        "wait_for_works", "POST", "/works/wait", "read", "Wait until works have ended, or the time is up.", _get,
        doc.WorksFound, body=doc.WorksAwaited, wait=lambda call: (call.body.timeout, lambda: _jobs(call)),
    ),
    Operation(
        "work_runs", "GET", "/works/runs", "read", "What became of the attempts of a work.",
        lambda call: doc.WorkRuns(_works(call).runs(call.query.id)), doc.WorkRuns, query=doc.OneWork,
    ),
)  # fmt: skip
"""These operations, as the document lists them."""
