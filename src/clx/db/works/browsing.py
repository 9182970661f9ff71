"""Looking through a long table of works page by page: however many there are, one look takes a fraction of a second.

As :mod:`clx.db.browsing` does with jobs: works are looked through in stretches along an index, from one end on, until
the page is full or the time is over. Then the page says so, and the next look goes on there.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clx.db.database import Database
from clx.db.live import newest_job
from clx.db.models import encode, told_or_shown
from clx.db.odd_rows import Reader
from clx.db.queries import Lookup
from clx.db.works.models import LIVE_AND_ENDED, STATUSES, WORK
from clx.db.works.searching import FEW, Condition, Search, Statement, place, place_of
from clx.errors import QueueError
from clx.settings.problems import shortened

ORDERS = ("-deposit", "deposit", "-creation", "creation")
"""By what a long table is looked through: what an index has in order."""
_NAMES = ("job_id", "id", "pipeline", "site", "owner", "creation", "start", "stop", "attempt", "retries", "status")
_OF_JOB = ("priority", "worker_id", "error")
_COLUMNS = ", ".join([*(f"w.{name}" for name in _NAMES), "w.locked", *(f"j.{name}" for name in _OF_JOB)])
_READER = Reader(*(f"works.{name}" for name in _NAMES), "works.locked", *(f"jobs.{name}" for name in _OF_JOB))
_LABEL = Reader("work_labels.job_id", "work_labels.kind", "work_labels.value")
_STATES = {status: state for state, status in LIVE_AND_ENDED.items()}
_FIRST = 2_000
"""Works of the first stretch."""
_WIDER = 4
_MOST = 2**62
_KINDS = ("event", "parent", "group", "tag")
_Place = tuple[int, int]
"""By what a list is ordered there, and the id of the job."""


class Listed(NamedTuple):
    """What a list says of a work; times in milliseconds UTC.

    Attributes:
        tags, events, groups: as text, in their order as text.
    """

    job_id: int
    id: str
    pipeline: str
    site: str
    user: str
    creation: int
    start: int | None
    stop: int | None
    attempt: int
    retries: int
    status: str
    locked: bool
    priority: int
    worker_id: int | None
    error: dict[str, Any] | None
    tags: list[str]
    events: list[str]
    groups: list[str]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which works; what is empty is not asked for.

    Attributes:
        since, until: when they were created, seconds UTC; from the first on, before the second.
        text: words that all stand somewhere in the work, or in its error.
    """

    pipeline: str = ""
    statuses: tuple[str, ...] = ()
    user: str = ""
    site: str = ""
    tag: str = ""
    event: str = ""
    group: str = ""
    parent: str = ""
    since: float | None = None
    until: float | None = None
    text: str = ""

    def conditions(self) -> list[Condition]:
        """What a search asks for."""
        names = ("pipeline", "user", "site")
        found = [*self.labels(), *(Condition(name, "=", value) for name in names if (value := getattr(self, name)))]
        if self.statuses:
            found.append(Condition("status", "in", list(self.statuses)))
        if self.since is not None:
            found.append(Condition("creation", ">=", self.since))
        if self.until is not None:
            found.append(Condition("creation", "<", self.until))
        return found

    def labels(self) -> list[Condition]:
        """What of it asks for labels."""
        return [Condition(kind, "=", value) for kind in _KINDS if (value := getattr(self, kind))]


class Page(NamedTuple):
    """Some works, in their order.

    Attributes:
        after: give this to have the next page; None: there is none.
        is_whole: whether all there is up to there was looked at; false where the time was over first.
    """

    works: list[Listed]
    after: str | None
    is_whole: bool


def browse(
    database: Database, which: Filter, *, order: str = "-deposit", after: str | None = None, limit: int = 50,
    seconds: float = 0.02,
) -> Page:  # fmt: skip
    """Works that fit, as far as *seconds* lead.

    Args:
        order: one of :data:`ORDERS`.
        after: where the page before ended.
        limit: how many at most.

    Raises:
        QueueError: a value of the filter, the order or the place is none that there can be.
    """
    if order not in ORDERS:
        raise QueueError(f"Works are not listed by {shortened(order)}.", f"Choose one of {', '.join(ORDERS)}.")
    if strange := set(which.statuses) - set(STATUSES):
        raise QueueError(f"No work is {shortened(min(strange))}.", f"They are {', '.join(STATUSES)}.")
    look = _Look(database, which, order)
    last = None if after is None else _checked(after)
    rows: list[tuple[Any, ...]] = []
    for width in _widths(seconds):
        end = look.end_of(last, width)
        rows += look.between(last, end, limit + 1 - len(rows))
        if len(rows) > limit:
            return Page(_listed(database, rows[:limit]), place(rows[limit - 1][-1], rows[limit - 1][0]), True)
        if end is None:
            return Page(_listed(database, rows), None, True)
        last = end
    return Page(_listed(database, rows), None if last is None else place(*last), False)


def _checked(text: str) -> _Place:
    at, job_id = place_of(text)
    if not (isinstance(at, int) and -_MOST <= at <= _MOST and -_MOST <= job_id <= _MOST):
        raise QueueError(f"{shortened(text)} is no place in a list.", "Begin with its first page.")
    return at, job_id


def _widths(seconds: float) -> Iterator[int]:
    """How far each stretch reaches, while the time lasts: as what went before allows."""
    begun = time.monotonic()
    width, reached = _FIRST, 0
    while True:
        yield width
        reached += width
        spent = time.monotonic() - begun
        if spent >= seconds:
            return
        width = max(_FIRST, min(width * _WIDER, int(reached / max(spent, 1e-4) * (seconds - spent))))


class _Look:
    """One way through the table."""

    def __init__(self, database: Database, which: Filter, order: str) -> None:
        self._database = database
        self._which = which
        self._order = order
        self._is_down = order.startswith("-")
        self._by_creation = order.endswith("creation")
        rare = [each for each in which.labels() if self._is_rare(each.field, [each.value])]
        self._in_one = bool(rare)
        # the first label leads along its index
        self._conditions = [*rare, *(each for each in which.conditions() if each not in rare)]
        since, until = which.since, which.until
        self._window = (
            -_MOST if since is None else round(since * 1_000_000), _MOST if until is None else round(until * 1_000_000)
        )  # fmt: skip
        self._newest = newest_job(database)
        is_led = self._by_creation or self._in_one or not which.statuses or "success" in which.statuses
        self._parts = [] if is_led else self._of_states()

    def _of_states(self) -> list[str]:
        states = [_STATES.get(each, each) for each in self._which.statuses]
        return Lookup(self._database).parts(states, has_key=False)

    def _is_rare(self, kind: str, values: Sequence[str]) -> bool:
        named = {"kind": kind, "values": encode(list(values)), "most": FEW}
        return int(self._database.read(self._database.sql.labelled, named)[0][0]) < FEW

    def end_of(self, last: _Place | None, width: int) -> _Place | None:
        """The last place of a stretch after *last*; None: of the last one."""
        if self._in_one:
            return None
        if self._by_creation:
            return self._creation_after(last, width)
        if self._is_down:
            low = (self._newest + 1 if last is None else last[1]) - width
            return (low, low) if low > 1 else None
        high = (0 if last is None else last[1]) + width
        return (high, high) if high < self._newest else None

    def _creation_after(self, last: _Place | None, width: int) -> _Place | None:
        since, until = self._window
        way, sign, first = (" DESC", "<", until) if self._is_down else ("", ">=", since)
        begin = (first, -_MOST) if last is None else last
        rows = self._database.read(
            f"SELECT creation, job_id FROM works WHERE (creation, job_id) {sign} (:at, :id) "
            f"ORDER BY creation{way}, job_id{way} LIMIT 1 OFFSET :n",
            {"at": begin[0], "id": begin[1], "n": width},
        )
        if not rows:
            return None
        creation, job_id = rows[0]
        return (creation, job_id) if since <= creation < until else None

    def between(self, last: _Place | None, end: _Place | None, most: int) -> Sequence[tuple[Any, ...]]:
        """The first *most* rows after one place, up to another, that fit."""
        search = Search(
            self._conditions, self._which.text, self._order, None if last is None else place(*last), most,
            until=None if end is None else place(*end),
        )  # fmt: skip
        among, named = self._among(last, end)
        statement = Statement(self._database.sql, search, self._is_rare, among=among)
        query = statement.rows(_COLUMNS)
        return self._database.read(query, {**named, **statement.named})

    def _among(self, last: _Place | None, end: _Place | None) -> tuple[str, dict[str, Any]]:
        """The works of a stretch as a query, where another index might be taken for better than that of the stretch."""
        low, high = (end, last) if self._is_down else (last, end)
        (low_at, low_id), (high_at, high_id) = low or (-_MOST, 0), high or (_MOST, _MOST)
        if self._by_creation and not self._in_one:
            since, until = self._window
            named: dict[str, Any] = {"low": max(low_at, since), "high": min(high_at, until)}
            return "SELECT job_id AS id FROM works WHERE creation >= :low AND creation <= :high", named
        named = {"low": low_id, "high": high_id}
        type_ = ""
        if self._which.pipeline:
            type_ = " AND type = :type"
            named["type"] = f"{WORK}{self._which.pipeline}"
        parts = (f"SELECT id FROM jobs {part} AND id >= :low AND id <= :high{type_}" for part in self._parts)
        return " UNION ALL ".join(parts), named if self._parts else {}


def work_ids(database: Database, job_ids: Sequence[int]) -> list[str]:
    """The ids of the works of some jobs; jobs that are none are left out."""
    return [row[0] for row in database.read(database.sql.ids_of_works, {"jobs": encode(list(job_ids))})]


def _listed(database: Database, rows: Sequence[tuple[Any, ...]]) -> list[Listed]:
    ids = [row[0] for row in rows if isinstance(row[0], int)]
    labels: dict[tuple[int, str], list[str]] = defaultdict(list)
    query = (
        f"SELECT job_id, kind, value FROM work_labels WHERE job_id IN ({database.sql.ids('ids')}) "
        "ORDER BY job_id, kind, value"
    )
    for row in database.read(query, {"ids": encode(ids)}) if ids else ():
        job_id, kind, value = _LABEL.read(row)[0]
        labels[job_id, kind].append(value)
    found = []
    for row in rows:
        values, _ = _READER.read(row[:-1])
        values[5:8] = [None if each is None else each // 1000 for each in values[5:8]]
        values[11] = bool(values[11])
        values[-1] = None if row[-2] is None else told_or_shown(row[-2])
        found.append(Listed(*values, *(labels[values[0], kind] for kind in ("tag", "event", "group"))))
    return found
