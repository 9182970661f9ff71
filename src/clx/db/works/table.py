"""The works of a database: deposited, withdrawn, updated, searched; buckets and results as their clients see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from clx.db.database import Database
from clx.db.durations import Seconds, in_seconds
from clx.db.models import encode
from clx.db.transaction import Transaction
from clx.db.validation import check_choice, check_id, check_lease, check_timeout
from clx.db.wait import Bells, rest
from clx.db.workers import WorkerTable
from clx.db.works import statements as sql
from clx.db.works.depositing import deposit, enter_results, new_works, require_ended
from clx.db.works.models import STATUSES, WORK, Document, Found, by_position, found_from_row
from clx.db.works.searching import FEW, Search, Statement, place_after
from clx.db.works.updating import changes, delete, expire, note_run, rows_by_id, update
from clx.db.works.withdrawing import Accepts, Asked, withdraw
from clx.db.writer import SLICE, Writer
from clx.errors import LostRunError, LostWorkerError

if TYPE_CHECKING:
    from clx.db.jobs import Queue
    from clx.db.pipelines.table import Pipelines

Store = Literal["bucket", "results"]
_LONGEST_LEASE = 366 * 24 * 3600
"""Seconds."""
_AT_ONCE = 1000
"""Works that one transaction takes in or moves on, so that others wait for milliseconds only."""
_STRIKE_OFF_EVERY = 2.0
"""Seconds between two looks for programs that have ended."""


class Page(NamedTuple):
    """What a search has found: works, and where the next one goes on; None: there are no more."""

    works: list[Found]
    after: str | None


class Works:
    """The works of one database; :attr:`Queue.works <clx.db.jobs.Queue.works>` has them.

    A document is a mapping as :attr:`clx.work.work.Work.payload` gives it: times in seconds UTC, as floats.

    Args:
        queue: the jobs.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.database: Database = queue.database
        self._writer = Writer(queue.database)
        self._write = self._writer.write
        self._fruitful: Sequence[str] = ()  # the types that the last withdrawal asked for, where it found one
        self._struck_off_at = -_STRIKE_OFF_EVERY
        self._waiting: set[Bells] = set()

    @property
    def pipelines(self) -> Pipelines:
        """The pipelines of the same database."""
        return self._queue.pipelines

    # -- putting in -----------------------------------------------------------------------------------

    def deposit(
        self, documents: Iterable[Document], *,
        anew: Collection[int] = (), apart: Collection[str] = (), was_json: bool = False,
    ) -> list[str]:  # fmt: skip
        """Queue works; returns their ids, in their order. They can be found and withdrawn when this returns.

        A deposit that is made again within a minute is the same: one of the same pipeline, creation, user and
        parameters, unless a single call has several such. Many go in some at a time, each part all or none.

        Args:
            anew: the places of documents that are meant as further works though the same have come in before.
            apart: the ids of works that are others though alike: those of calls before, of which this is a part.
            was_json: whether they come from a JSON text, so that JSON can say all of them.

        Raises:
            QueueError: names a field that is not possible; or a work has an id that is taken.
        """
        new = new_works(list(documents), was_json=was_json)
        for index in anew:
            if 0 <= index < len(new):
                new[index] = new[index]._replace(key=None)
        ids: list[str] = []
        others = set(apart)
        for first in range(0, len(new), _AT_ONCE):
            made = self._write("deposit", partial(deposit, works=new[first : first + _AT_ONCE], apart=others))
            others.update(made)
            ids += made
        return ids

    def withdraw(
        self,
        asked: Asked,
        *,
        worker: int | None = None,
        lease: Seconds | None = None,
        wait: Seconds = 0.0,
        accepts: Accepts | None = None,
    ) -> Document | None:
        """Claim the first work, in claim order, that fits; None where none waits.

        Args:
            worker: whose it is; None: this queue's own, registered with its first claim.
            lease: seconds until it is given to another unless it was updated or renewed; None: as long as it may take.
            wait: for so many seconds at most, until there is one; the bell of its deposit ends that.
            accepts: whether who asks understands a document; what it does not is not claimed.

        Returns:
            Its document, with ``run``: by that :meth:`update` knows who holds it.

        Raises:
            LostWorkerError: the worker was struck off.
            QueueError: *lease* or *wait* is no number of seconds.
        """
        length = None if lease is None else _lease(lease)
        check_timeout(wait := in_seconds(wait))
        ends_at = time.monotonic() + wait
        found = self._withdraw(asked, worker, length, accepts)
        if found is not None or time.monotonic() >= ends_at:
            return found
        with Bells(self.database, asked.types) as bells:
            self._waiting.add(bells)
            try:
                while True:
                    bells.silence()
                    found = self._withdraw(asked, worker, length, accepts)
                    left = ends_at - time.monotonic()
                    if found is not None or left <= 0 or bells.is_woken:
                        return found
                    bells.wait(min(left, rest(self._queue)))
            finally:
                self._waiting.discard(bells)

    def wake(self) -> None:
        """Let withdrawals that wait now return; for any thread and any signal handler."""
        for bells in tuple(self._waiting):
            bells.wake()

    def _withdraw(
        self, asked: Asked, worker: int | None, lease: int | None, accepts: Accepts | None
    ) -> Document | None:
        queue = self._queue
        types = asked.types
        fruitful, self._fruitful = self._fruitful, ()
        if fruitful and queue.is_rescue_due:  # works of the silent must not wait for a backlog to end
            queue.rescue()
            self._strike_off()
        goes_on = fruitful == types  # in the middle of a backlog a look before is most likely one too many
        if not goes_on and not queue.may_claim(types):
            self.database.require_in_place()
            if not (queue.rescue() or self._strike_off()):
                return None
        me = queue.worker_for(types) if worker is None else worker
        self.database.find_marks("", types)
        found = self._write("withdraw", lambda tx: withdraw(tx, asked, me, lease, accepts))
        if found is None and goes_on:
            return self._withdraw(asked, worker, lease, accepts)
        if found is None and self._strike_off():
            found = self._write("withdraw", lambda tx: withdraw(tx, asked, me, lease, accepts))
        self._fruitful = () if found is None else types
        return None if found is None else {**found[0].document, "run": found[1]}

    def _strike_off(self) -> bool:
        """Strike off programs of this machine that have ended without a word: what they held waits again.

        Now and then at most; returns whether there was one. What it held had a lease as long as its timeout.
        """
        from clx.db.mark_dead import mark_gone_workers_dead

        now = time.monotonic()
        if now - self._struck_off_at < _STRIKE_OFF_EVERY:
            return False
        self._struck_off_at = now
        return bool(mark_gone_workers_dead(self.database))

    def held(self, worker: int) -> list[Document]:
        """The running works of a worker, each with its ``run``, those it has begun last at the end."""
        rows = self.database.read(sql.HELD, (worker,))
        return [{**found_from_row(row[:-1]).document, "run": row[-1]} for row in rows]

    def renew(self, work_id: str, run: int, lease: Seconds | None = None) -> bool:
        """Have the time begin anew in which a running work must be updated, or is given to another.

        Args:
            run: as the withdrawal told it.
            lease: seconds from now on; None: as many as it was withdrawn with.

        Returns:
            Whether whoever holds it is to go on: it is his still, and nobody has asked for it to be cancelled.

        Raises:
            QueueError: *lease* is no number of seconds.
        """
        length = None if lease is None else _lease(lease)
        for job_id in self._jobs([work_id]):
            with suppress(LostRunError):
                return self._queue.heartbeat(job_id, run, lease=length) == "go on"
        return False

    def note_run(
        self, work_id: str, run: int, *, stdout: str = "", stderr: str = "", peak_memory: int | None = None
    ) -> bool:
        """Keep what an attempt that has ended said, and what it took; :meth:`runs` has it.

        Args:
            run: as the withdrawal told it.
            stdout, stderr: of both together beginning and end are kept where they are long.
            peak_memory: bytes.

        Returns:
            Whether there is such an attempt.
        """
        check_id(run)
        said = stdout + stderr
        return self._write("note_run", lambda tx: note_run(tx, work_id, run, said, peak_memory))

    # -- changing -------------------------------------------------------------------------------------

    def update(
        self,
        documents: Iterable[Document],
        *,
        again: bool = True,
        worker: int | None = None,
        told: dict[str, Found] | None = None,
        was_json: bool = False,
    ) -> list[bool]:
        """Give works these documents, and do what a change of their status means; a running one's lease is renewed.

        Who says which ``run`` he holds is refused once another has it, or nobody; who says none, by an ``attempt``
        that is not the newest. A locked one takes only what unlocks it. What the run has said, ``_said`` with
        ``output`` and ``peak_memory`` (bytes), is kept with the attempt, as by :meth:`note_run`.

        Args:
            again: whether a work that has failed and has attempts left waits at once; false: until :meth:`audit`.
            worker: who holds one that waits, and of which a document says that it runs; None: this queue's own.
            told: gets those that were taken as they are then, by id; but steps of pipelines, for which more may follow.
            was_json: as of :meth:`deposit`.

        Returns:
            For each whether it was taken.

        Raises:
            QueueError: names a field that is not possible.
            LostWorkerError: who would hold one that a document says runs was struck off.
        """
        todo = changes(list(documents), was_json=was_json)
        begins = any(each.run is None and each.fields.status == "running" for each in todo)
        if worker is None:
            worker = self._queue.worker_for([each.fields.type for each in todo]) if begins else 0
        taken: list[bool] = []
        for first in range(0, len(todo), SLICE):
            part = todo[first : first + SLICE]
            body = partial(update, todo=part, worker=worker, again=again, told=told)
            taken += self._write("update_works", body)
        return taken

    def updated(self, document: Document, *, again: bool = True) -> Found | None:
        """Give one work this document, as :meth:`update`, and read what it is then; None where it was not taken."""
        told: dict[str, Found] = {}
        if not self.update([document], again=again, told=told)[0]:
            return None
        return told.get(document["id"]) or self.get(document["id"])

    def exchange(
        self, document: Document, asked: Asked, *,
        worker: int | None = None, lease: Seconds | None = None, was_json: bool = False,
    ) -> tuple[bool, Document | None]:  # fmt: skip
        """Update a work and withdraw the next one that fits, in one transaction.

        Args:
            document, was_json: as of :meth:`update`.
            asked, worker, lease: as of :meth:`withdraw`.

        Returns:
            Whether the document was taken, and the next work; None where none waits, or :meth:`withdraw` is to look.

        Raises:
            QueueError: names a field that is not possible, or *lease* is no number of seconds.
        """
        length = None if lease is None else _lease(lease)
        queue = self._queue
        if queue.is_rescue_due or not queue.may_claim(asked.types):
            return self.update([document], was_json=was_json)[0], None
        me = queue.worker_for(asked.types) if worker is None else worker
        todo = changes([document], was_json=was_json)
        self.database.find_marks("", asked.types)

        def body(tx: Transaction) -> tuple[bool, tuple[Found, int] | None]:
            (taken,) = update(tx, todo, me, again=True)
            return taken, withdraw(tx, asked, me, length, None)

        try:
            taken, found = self._write("exchange_works", body)
        except LostWorkerError:
            return self.update([document], was_json=was_json)[0], None
        return taken, None if found is None else {**found[0].document, "run": found[1]}

    def delete(self, ids: Iterable[str], *, store: Store | None = None) -> list[str]:
        """Remove works, but for locked ones; live ones are cancelled. Returns the ids of those that were there.

        Args:
            store: from one of the two alone: what is in the other stays there; None: altogether.
        """
        return self._writer.write_in_slices("delete_works", by_position(ids), lambda part, tx: delete(tx, part, store))

    def enter_results(self, documents: Iterable[Document]) -> list[str]:
        """Have ended works among the results; returns their pipelines. All or none.

        Those that are known are there as they are in the table; others come in as they have ended elsewhere.

        Raises:
            QueueError: one has not ended, or is among the results already; or a field is not possible.
        """
        works = new_works(list(documents))
        require_ended(works)
        if works:
            self._write("enter_results", lambda tx: enter_results(tx, works))
        return sorted({each.fields.pipeline for each in works})

    def move_on(self, *, rested: float = 0.0) -> int:
        """Move what has ended for good from the buckets to the results; returns how many that were.

        Args:
            rested: only what ended so many seconds ago.
        """
        named = {"n": _AT_ONCE, "before": self._before(rested)}
        moved = 0
        if not self.database.read(
            self.database.sql.movable_works, {**named, "n": 1}
        ):  # nobody else has to wait for nothing
            return moved
        while found := self._write("move_works", lambda tx: len(tx.execute(tx.sql.moved_works, named).fetchall())):
            moved += found
        return moved

    def _before(self, rested: float) -> int:
        """Until when something must have ended, in microseconds; whatever clients say of it where it need not rest."""
        return round((self.database.clock.now() - rested * 1000) * 1000) if rested else 2**62

    def audit(self, kind: Literal["failed", "expired", "stale"], days: float = 7.0, *, rested: float = 0.0) -> int:
        """See to works in the buckets; returns how many it concerned.

        Args:
            kind: ``failed``: those that have failed and have attempts left wait again; ``expired``: running ones whose
                time is over have failed; ``stale``: those that were created more than *days* ago are counted.
            rested: of ``failed`` only those that failed so many seconds ago.

        Raises:
            QueueError: there is no such kind.
        """
        check_choice("audit", kind, ("failed", "expired", "stale"))
        if kind == "stale":
            before = round((self.database.clock.now() - days * 86_400_000) * 1000)
            return int(self.database.read(sql.STALE, {"before": before})[0][0])
        if kind == "failed":
            return self._for_each(self.database.sql.failed_works, {"before": self._before(rested)}, self._queue.retry)
        return self._for_each(self.database.sql.overdue_works, {"now": self.database.clock.now() * 1000}, self._expire)

    def _for_each(self, query: str, named: dict[str, int], body: Callable[[list[int]], list[int]]) -> int:
        done = 0
        while rows := self.database.read(query, {**named, "n": SLICE}):
            found = len(body([row[0] for row in rows]))
            done += found
            if not found:
                break
        return done

    def _expire(self, job_ids: list[int]) -> list[int]:
        def body(tx: Transaction) -> list[int]:
            ids = [row[0] for row in tx.execute(tx.sql.ids_of_works, {"jobs": encode(job_ids)}).fetchall()]
            rows = rows_by_id(tx, ids).values()
            return [row.job_id for row in rows if row.state == "running" and expire(tx, row)]

        return self._write("expire_works", body)

    # -- by id, what is done with jobs ----------------------------------------------------------------

    def cancel(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.jobs.Queue.cancel`; returns the ids of those that are cancelled now."""
        return self._by_jobs(ids, self._queue.cancel)

    def retry(self, ids: Iterable[str]) -> list[str]:
        """Queue failed and cancelled ones again, for the attempts they have left, one at least; returns their ids."""
        return self._by_jobs(ids, self._queue.retry)

    def wait(self, ids: Iterable[str], timeout: Seconds | None = None) -> list[Found]:
        """Wait until every one of these has ended; returns them as they are then.

        Raises:
            QueueError: *timeout* is no number.
        """
        jobs = self._jobs(ids)
        self._queue.wait(list(jobs), timeout=timeout)
        return [found for work_id in jobs.values() if (found := self.get(work_id)) is not None]

    def runs(self, work_id: str) -> list[dict[str, Any]]:
        """What became of its attempts, as :meth:`clx.db.jobs.Queue.runs` tells of its job."""
        return [run for job_id in self._jobs([work_id]) for run in self._queue.runs(job_id)]

    def _jobs(self, ids: Iterable[str]) -> dict[int, str]:
        """Their jobs, and whose each is; what is not there is left out."""
        named = {"ids": encode(by_position(ids))}
        return dict(self.database.read(self.database.sql.works_by_ids, named))

    def _by_jobs(self, ids: Iterable[str], body: Callable[[list[int]], list[int]]) -> list[str]:
        jobs = self._jobs(ids)
        return [jobs[job_id] for job_id in body(list(jobs))]

    # -- looking --------------------------------------------------------------------------------------

    def get(self, work_id: str) -> Found | None:
        """The work of that id; None where there is none."""
        rows = self.database.read(f"{sql.DOCUMENTS}w.id = ?", (work_id,))
        return found_from_row(rows[0]) if rows else None

    def find(self, search: Search) -> Page:
        """The works that a search is for.

        Raises:
            QueueError: names what cannot be searched.
        """
        statement = Statement(self.database.sql, search, self._is_rare)
        rows = self.database.read(statement.rows(), statement.named)
        is_full = search.limit is not None and len(rows) == search.limit and rows
        return Page([found_from_row(row[:-1]) for row in rows], place_after(rows[-1]) if is_full else None)

    def count(self, search: Search) -> int:
        """How many works a search is for, whatever its limit.

        Raises:
            QueueError: names what cannot be searched.
        """
        statement = Statement(self.database.sql, search, self._is_rare)
        query = statement.count()
        return int(self.database.read(query, statement.named)[0][0])

    def _is_rare(self, kind: str, values: Sequence[str]) -> bool:
        if self.database.sql.counts_rows:
            return False
        named = {"kind": kind, "values": encode(list(values)), "most": FEW}
        return int(self.database.read(self.database.sql.labelled, named)[0][0]) < FEW

    def status(self, pipeline: str | None = None) -> dict[str, int]:
        """How many works of a bucket, or of all, are of each status."""
        if pipeline is None:
            rows = self.database.read(sql.STATUS_OF_ALL)
        else:
            rows = self.database.read(sql.STATUS, {"pipeline": pipeline})
        return dict.fromkeys(STATUSES, 0) | {row[0]: row[1] for row in rows}

    def status_by_bucket(self) -> dict[str, dict[str, int]]:
        """The same of each bucket in which there are works, by its pipeline."""
        found: dict[str, dict[str, int]] = {}
        for pipeline, status, count in self.database.read(sql.STATUS_BY_BUCKET):
            found.setdefault(pipeline, dict.fromkeys(STATUSES, 0))[status] = count
        return found

    def unattended(self) -> list[str]:
        """The pipelines of which works wait that nobody who lives takes, as far as is known here."""
        taken = {
            type_ for worker in WorkerTable(self.database).list() if not worker.is_gone() for type_ in worker.types
        }
        counts = self.status_by_bucket()
        return [each for each in counts if counts[each]["queued"] and f"{WORK}{each}" not in taken]

    def buckets(self) -> list[str]:
        """The pipelines of which works are in a bucket."""
        return [row[0] for row in self.database.read(self.database.sql.buckets)]

    def results(self) -> dict[str, int]:
        """How many works are among the results, by pipeline."""
        return {row[0]: row[1] for row in self.database.read(self.database.sql.results_by_pipeline)}


def _lease(seconds: Seconds) -> int:
    """A lease in milliseconds.

    Raises:
        QueueError: it is no number of seconds.
    """
    check_timeout(seconds := in_seconds(seconds))
    check_lease(length := round(min(seconds, _LONGEST_LEASE) * 1000))
    return length


def type_of(pipeline: str) -> str:
    """The type of the jobs of a pipeline."""
    return f"{WORK}{pipeline}"
