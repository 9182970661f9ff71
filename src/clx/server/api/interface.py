"""The operations of ``/api/v1``: what :class:`clx.db.jobs.Queue` does, for programs elsewhere."""

from __future__ import annotations

from typing import Any

from clx.db.batches import BatchTable
from clx.db.models import Failure, Job, Report, Success
from clx.db.summary import live_batches
from clx.db.tokens import TokenTable
from clx.db.workers import WorkerTable
from clx.errors import LostRunError, UnknownJobError
from clx.server.answers import Refusal
from clx.server.api import documents as doc
from clx.server.api.documents import told
from clx.server.api.models import MODELS
from clx.server.api.operations import Call, Operation
from clx.server.api.pipelines import PIPELINES
from clx.server.api.upkeep import UPKEEP
from clx.server.api.works import WORKS

_NOT_THERE, _TAKEN, _REFUSED = 404, 409, 422

# -- jobs ---------------------------------------------------------------------------------------------


def _jobs(jobs: list[Job]) -> list[Any]:
    return [told(doc.JobDocument, job) for job in jobs]


def _enqueue(call: Call) -> doc.Enqueued:
    return doc.Enqueued(call.queue.enqueue(call.body.job(), on_conflict=call.body.on_conflict))


def _enqueue_many(call: Call) -> doc.Changed:
    body: doc.ManyJobs = call.body
    jobs = [each.job() for each in body.jobs]
    return doc.Changed(call.queue.enqueue_many(jobs, batch=body.batch, on_conflict=body.on_conflict))


def _enqueue_batch(call: Call) -> doc.BatchMade:
    jobs = [each.job() for each in call.body.jobs]
    return doc.BatchMade(*call.queue.enqueue_batch(jobs, call.body.callback.job(), name=call.body.name))


def _search(call: Call) -> doc.Jobs:
    asked: doc.Search = call.query
    given = {name: getattr(asked, name) for name in ("type", "pool", "key", "batch", "worker", "before", "limit")}
    found = call.queue.search(state=asked.state or None, **given)
    return doc.Jobs(_jobs(found), found[-1].id if len(found) == asked.limit else None)


def _existing(call: Call) -> Job:
    job = call.queue.get(call.id)
    if job is None:
        raise UnknownJobError(call.id)
    return job


def _get(call: Call) -> Any:
    return told(doc.JobDocument, _existing(call))


def _get_many(call: Call) -> doc.Jobs:
    return doc.Jobs(_jobs(call.queue.get_many(call.body.ids)))


def _result(call: Call) -> doc.Outcome:
    job = _existing(call)
    return doc.Outcome(job.id, job.state, job.result, job.error)


def _history(call: Call) -> doc.History:
    job = _existing(call)
    return doc.History(call.queue.runs(job.id), call.queue.needs(job.id))


def _cancel(call: Call) -> doc.Changed:
    return doc.Changed(call.queue.cancel(call.body.ids))


def _retry(call: Call) -> doc.Changed:
    return doc.Changed(call.queue.retry(call.body.ids))


def _stats(call: Call) -> doc.Counts:
    return doc.Counts(call.queue.stats())


def _results(call: Call) -> doc.Results:
    return doc.Results(call.queue.results(call.body.keys, type=call.body.type))


def _one(call: Call) -> tuple[float, list[int]]:
    return call.query.wait, [call.id]


def _several(call: Call) -> tuple[float, list[int]]:
    return call.body.timeout, call.body.ids


# -- workers ------------------------------------------------------------------------------------------


def _workers(call: Call) -> doc.Workers:
    return doc.Workers([told(doc.WorkerDocument, row) for row in WorkerTable(call.queue.database).list()])


_ELSEWHERE = "elsewhere"
"""The identity of workers that register here: none that a machine could judge, so their leases tell if they live."""


def _register(call: Call) -> doc.Registered:
    asked = {name: getattr(call.body, name) for name in doc.WorkerToBe.__struct_fields__}
    table = WorkerTable(call.queue.database)
    return doc.Registered(table.register(**asked, mode="direct", identity=_ELSEWHERE, elsewhere=True))


def _beat(call: Call) -> doc.Done:
    return doc.Done(WorkerTable(call.queue.database).beat(call.id, elsewhere=True) is not None)


def _end_worker(call: Call) -> doc.Done:
    row = WorkerTable(call.queue.database).get(call.id)
    if row is None or row.identity != _ELSEWHERE:
        raise Refusal(404, f"There is no worker {call.id} that was registered here.", "See /api/v1/workers.")
    call.queue.release_worker(call.id)
    return doc.Done(WorkerTable(call.queue.database).end(call.id, "closed"))


def _settle(call: Call) -> doc.Settled:
    asked: doc.Settle = call.body
    if not asked.reports:
        taken = call.queue.claim(asked.types, asked.n, worker=asked.worker, pool=asked.pool, lease=asked.lease)
        return doc.Settled(_jobs(taken), [])
    reports = [_report(each) for each in asked.reports]
    done = call.queue.settle(reports, asked.types, asked.n, worker=asked.worker, pool=asked.pool, lease=asked.lease)
    return doc.Settled(_jobs(done.claimed), [(each.job_id, each.run) for each in done.lost])


def _report(told_: doc.SuccessReport | doc.FailureReport) -> Report:
    kind = Success if isinstance(told_, doc.SuccessReport) else Failure
    return kind(**{name: getattr(told_, name) for name in told_.__struct_fields__})


def _heartbeat(call: Call) -> doc.Answer:
    body: doc.Heartbeat = call.body
    return doc.Answer(call.queue.heartbeat(call.id, body.run, lease=body.lease, progress=body.progress))


def _release(call: Call) -> doc.Done:
    try:
        call.queue.release(call.id, call.body.run, delay=call.body.delay)
    except LostRunError:
        return doc.Done(False)
    return doc.Done(True)


# -- batches, tokens ----------------------------------------------------------------------------------


def _batches(call: Call) -> doc.Batches:
    return doc.Batches(live_batches(call.queue.database))


def _batch(call: Call) -> Any:
    found = BatchTable(call.queue.database).get(call.id)
    if found is None:
        raise Refusal(404, f"There is no batch {call.id}.", "See /api/v1/batches; old ones are pruned.")
    return told(doc.BatchDocument, found)


def _tokens(call: Call) -> doc.Tokens:
    return doc.Tokens([told(doc.TokenDocument, token) for token in TokenTable(call.queue.database).list()])


JOBS = (
    Operation(
        "enqueue", "POST", "/jobs", "work", "Queue one job; it is in the table when this answers.", _enqueue,
        doc.Enqueued, body=doc.OneJob, writes=True, is_short=True, status=201, errors=(_NOT_THERE, _TAKEN),
    ),
    Operation(
        "enqueue_many", "POST", "/jobs/many", "work", "Queue many jobs in one transaction, all or none.",
        _enqueue_many, doc.Changed, body=doc.ManyJobs, writes=True, status=201, errors=(_NOT_THERE, _TAKEN),
    ),
    Operation(
        "enqueue_batch", "POST", "/batches", "work", "Queue jobs, and one that follows when all have ended.",
        _enqueue_batch, doc.BatchMade, body=doc.BatchToBe, writes=True, status=201, errors=(_NOT_THERE, _TAKEN),
    ),
    Operation(
        "search", "GET", "/jobs", "read", "Jobs that fit everything given, newest first.", _search, doc.Jobs,
        query=doc.Search,
    ),
    Operation(
        "get", "GET", "/jobs/{id}", "read", "One job, at once or when it has ended.", _get, doc.JobDocument,
        query=doc.Wait, wait=_one, errors=(_NOT_THERE,),
    ),
    Operation(
        "get_many", "POST", "/jobs/get", "read", "Those of many jobs that there are, by id.", _get_many, doc.Jobs,
        body=doc.JobIds,
    ),
    Operation(
        "wait", "POST", "/jobs/wait", "read", "Wait until jobs have ended, or the time is up; what they are then.",
        _get_many, doc.Jobs, body=doc.WaitFor, wait=_several,
    ),
    Operation(
        "result", "GET", "/jobs/{id}/result", "read", "How a job ended, at once or when it has.", _result, doc.Outcome,
        query=doc.Wait, wait=_one, errors=(_NOT_THERE,),
    ),
    Operation(
        "history", "GET", "/jobs/{id}/runs", "read", "The runs of a job, and the jobs it needs.", _history,
        doc.History, errors=(_NOT_THERE,),
    ),
    Operation(
        "cancel", "POST", "/jobs/cancel", "admin", "Cancel queued jobs at once; running ones are told.", _cancel,
        doc.Changed, body=doc.JobIds, writes=True,
    ),
    Operation(
        "retry", "POST", "/jobs/retry", "admin", "Queue failed and cancelled jobs again.", _retry, doc.Changed,
        body=doc.JobIds, writes=True, errors=(_TAKEN,),
    ),
    Operation("stats", "GET", "/stats", "read", "Number of jobs by type and state.", _stats, doc.Counts),
    Operation(
        "results", "POST", "/results", "read", "Kept results of keys.", _results, doc.Results, body=doc.Keys,
        writes=True,
    ),
)  # fmt: skip
WORKERS = (
    Operation("workers", "GET", "/workers", "read", "Workers that live.", _workers, doc.Workers),
    Operation(
        "register", "POST", "/workers", "work", "Enter a worker of another machine.", _register, doc.Registered,
        body=doc.WorkerToBe, writes=True, status=201,
    ),
    Operation(
        "beat", "POST", "/workers/{id}/beat", "work", "Say that a worker lives.", _beat, doc.Done, writes=True,
    ),
    Operation(
        "end_worker", "DELETE", "/workers/{id}", "work", "Strike a worker off, and hand its jobs back.", _end_worker,
        doc.Done, writes=True, errors=(_NOT_THERE,),
    ),
    Operation(
        "settle", "POST", "/settle", "work", "Report ended runs and take the next jobs, in one transaction.", _settle,
        doc.Settled, body=doc.Settle, writes=True, errors=(_TAKEN,),
    ),
    Operation(
        "heartbeat", "POST", "/jobs/{id}/heartbeat", "work", "Renew the lease of a running job.", _heartbeat,
        doc.Answer, body=doc.Heartbeat, writes=True, errors=(_TAKEN,),
    ),
    Operation(
        "release", "POST", "/jobs/{id}/release", "work", "Hand a running job back, uncounted.", _release, doc.Done,
        body=doc.RunOf, writes=True,
    ),
)  # fmt: skip
OTHERS = (
    Operation("batches", "GET", "/batches", "read", "Batches that have not ended.", _batches, doc.Batches),
    Operation("batch", "GET", "/batches/{id}", "read", "One batch.", _batch, doc.BatchDocument, errors=(_NOT_THERE,)),
    Operation("tokens", "GET", "/tokens", "admin", "Tokens, without their texts.", _tokens, doc.Tokens),
)
OPERATIONS = (*JOBS, *WORKERS, *WORKS, *PIPELINES, *OTHERS, *UPKEEP, *MODELS)
"""Every operation, as the document lists them."""
