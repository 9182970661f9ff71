"""What happened in a day: its steps as they stand, and everything in its order, from the rows of their jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from clx.daily.flow import Mark
from clx.daily.registering import task_id
from clx.db.browsing import Filter, keyed
from clx.db.jobs import Queue
from clx.db.workers import WorkerTable
from clx.routines.tree import tree_of

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.daily.lake import Lake
    from clx.db.database import Database
    from clx.db.lake.table import VersionRow
    from clx.db.models import Job
    from clx.routines.tree import Node


class StepState(NamedTuple):
    """A step of a day, for one of its items.

    Attributes:
        item: empty: the step has none.
        job: what does it; None: a kept result answered.
        state: ``queued``, ``working``, ``done``, ``cached``, ``failed``, ``cancelled``, ``pruned`` (its job was
            removed).
        runs: that were begun, those that were handed back among them.
        seconds: that its newest run has taken by now; None: it has not begun.
        host: the machine of its newest run; empty: it has not begun, or its worker was removed from the table.
        why: of one that has failed.
    """

    step: str
    item: str
    job: int | None
    state: str
    runs: int
    seconds: float | None
    host: str
    why: str


class Event(NamedTuple):
    """Something that happened in a day.

    Attributes:
        at: milliseconds UTC.
        what: ``asked``, ``begun``, ``published``, or how a run ended: ``succeeded``, ``failed``, ``rescued`` (its
            worker was gone or silent, and another one gets it), ``released`` (handed back), ``cancelled``.
        name: the step with its item, the dataset with its version; the flow itself.
        run: which of its job; 0: it is of none.
        why: of a run that did not succeed.
    """

    at: int
    what: str
    name: str
    job: int | None
    run: int
    host: str
    why: str


class Published(NamedTuple):
    """A version that a day has published.

    Attributes:
        size: bytes of its files.
        folder: where the newest one lies.
        missing: what should have gone in and was not there.
    """

    dataset: str
    version: int
    rows: int
    size: int
    folder: str
    missing: list[str]


def runs_of(database: Database, flow: str, most: int) -> list[Job]:
    """The runs of every day of a flow, newest first, at most so many."""
    return Queue(database).search(type=f"workflow:{flow}", limit=most)


def run_of(database: Database, flow: str, day: str) -> Job | None:
    """The newest run of a day; None: there is none."""
    found = keyed(database, Filter(type=f"workflow:{flow}"), day, day, limit=1)
    return Queue(database).get(found[0].id) if found else None


def steps_of(database: Database, flow: Flow, run: Job) -> list[StepState]:
    """The steps of a day's *run*, in the order of the flow; of those that have not been asked for none.

    Raises:
        DatabaseError: the table cannot be read.
    """
    queue, hosts = Queue(database), _Hosts(database)
    return [
        StepState(
            name, item, node.job, node.state.lower(), 0 if job is None else job.run, node.seconds,
            "" if job is None else hosts.of_newest(queue, job), node.message,
        )
        for node, name, item, job in _asked(queue, flow, run)
    ]  # fmt: skip


def _asked(queue: Queue, flow: Flow, run: Job) -> list[tuple[Node, str, str, Job | None]]:
    """What a day's *run* has asked for, with its step, item and job, in the order of the flow."""
    names = {task_id(flow.name, name): name for name in flow.steps}
    found = []
    for node in tree_of(queue, run).children:
        if (name := names.get(node.routine)) is not None:
            job = queue.get(node.job) if node.job is not None else None
            found.append((node, name, "" if job is None else _item(flow, name, job), job))
    order = [each.name for each in flow.order]
    return sorted(found, key=lambda each: (order.index(each[1]), each[2].zfill(9)))


def history_of(database: Database, flow: Flow, run: Job, lakes: Sequence[Lake], day: str) -> list[Event]:
    """Everything that happened in a day's *run* and in *lakes* for that day, oldest first.

    Raises:
        DatabaseError: a table cannot be read.
    """
    queue, hosts = Queue(database), _Hosts(database)
    found = list(_events(queue, hosts, run, flow.name))
    for _, step, item, job in _asked(queue, flow, run):
        if job is not None:
            found += _events(queue, hosts, job, f"{step}[{item}]" if item else step)
    for lake in lakes:
        for newest in _newest(lake, flow, day):
            for row in lake.table.list(newest.lake, newest.dataset, day, day):
                what = f"{row.dataset} version {row.version}"
                found.append(Event(row.made_at, "published", what, None, 0, row.host, ""))
    return sorted(found, key=lambda each: each.at)


def published_in(lake: Lake, flow: Flow, day: str) -> list[Published]:
    """The newest versions that a flow has published of a day.

    Raises:
        DatabaseError: the table cannot be read.
    """
    return [
        Published(
            row.dataset, row.version, row.rows, sum(each["size"] for each in json.loads(row.files)),
            str(lake.path(row.dataset, day)), json.loads(row.missing),
        )
        for row in _newest(lake, flow, day)
    ]  # fmt: skip


def _newest(lake: Lake, flow: Flow, day: str) -> list[VersionRow]:
    """The newest version of each dataset that the flow has published of a day."""
    mark = lake.known_mark  # a machine that does not have the lake makes none
    return [row for row in lake.table.of_flow(flow.name, day, day) if row.lake == mark]


def _events(queue: Queue, hosts: _Hosts, job: Job, name: str) -> Iterator[Event]:
    yield Event(job.created_at, "asked", name, job.id, 0, "", "")
    for run in queue.runs(job.id):
        host = hosts.of(run["worker_id"])
        error = run["error"] if isinstance(run["error"], dict) else {}
        why = str(error.get("message") or "") or (run["cause"] if isinstance(run["cause"], str) else "")
        yield Event(run["started_at"], "begun", name, job.id, run["run"], host, "")
        yield Event(run["ended_at"], run["outcome"], name, job.id, run["run"], host, why)
    if job.state == "running" and job.started_at is not None and job.worker_id is not None:
        yield Event(job.started_at, "begun", name, job.id, job.run, hosts.of(job.worker_id), "")


def _item(flow: Flow, step: str, job: Job) -> str:
    """For which item of its step a job is."""
    parameter = next((name for name, value in flow.steps[step].inputs.items() if value is Mark.EACH), None)
    arguments = job.payload.get("arguments") if isinstance(job.payload, dict) else None
    return str(arguments.get(parameter, "")) if parameter and isinstance(arguments, dict) else ""


class _Hosts:
    """The machines of workers."""

    def __init__(self, database: Database) -> None:
        self._table = WorkerTable(database)
        self._known: dict[int, str] = {}

    def of(self, worker: int | None) -> str:
        if worker is None:
            return ""
        if worker not in self._known:
            row = self._table.get(worker)
            self._known[worker] = "" if row is None else row.host
        return self._known[worker]

    def of_newest(self, queue: Queue, job: Job) -> str:
        """That of a job's newest run."""
        if job.state == "running":
            return self.of(job.worker_id)
        runs = queue.runs(job.id)
        return self.of(runs[-1]["worker_id"]) if runs else ""
