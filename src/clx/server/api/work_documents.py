"""The shapes of works on the wire; a work itself is the mapping that :attr:`clx.work.work.Work.payload` is.

Times in a work are seconds UTC, as its clients keep them; durations of calls are seconds, as their names say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from clx.db.works.searching import MOST_CONDITIONS, Condition, Search
from clx.db.works.withdrawing import Asked
from clx.errors import QueueError
from clx.server.api.documents import MOST_AT_ONCE, Id, Moment, Name, Request, Seconds, Text, Whole

MOST_FOUND = 1000
"""Works that one call of a search gives; the next page follows."""
_DEEPEST = 8

WorkId = Annotated[str, Meta(pattern="^[^\\x00]+$", min_length=1, max_length=200)]
Lease = Annotated[float, Meta(ge=0.001, le=366 * 24 * 3600)]
Few = Meta(max_length=100)


class WorksToBe(Request, frozen=True):
    """Works to deposit, or as they are to be."""

    works: Annotated[list[dict[str, Any]], Meta(max_length=MOST_AT_ONCE)]


class WorksDeposited(WorksToBe, frozen=True):
    """Works that are to be queued.

    ``apart``: the ids that works which are alike have got, of earlier parts of one call: these are further ones.
    """

    apart: list[WorkId] = msgspec.field(default_factory=list)


class WorksUpdated(WorksToBe, frozen=True):
    """Works as they are to be; ``again``: one that failed and has attempts left waits at once.

    ``read``: those that are taken are answered as they are then.
    """

    again: bool = True
    read: bool = False


class WorkSought(Request, frozen=True):
    """What a work is to be; of several values one must fit.

    ``worker``: who holds it then, as POST /workers has registered it. ``known``: what that worker knows that it holds,
    where the answer of a withdrawal was lost: the one that it does not know of is given once more.
    """

    pipelines: Annotated[list[Name], Meta(min_length=1, max_length=100)]
    worker: Id
    site: Text | None = None
    user: Text | None = None
    priority: Annotated[int, Meta(ge=1, le=5)] | None = None
    event: Annotated[list[int], Few] = msgspec.field(default_factory=list)
    tags: Annotated[list[Text], Few] = msgspec.field(default_factory=list)
    parent: Annotated[list[Text], Few] = msgspec.field(default_factory=list)
    lease: Lease | None = None
    known: Annotated[list[WorkId], Meta(max_length=MOST_AT_ONCE)] | None = None

    def asked(self) -> Asked:
        """It as the table takes it."""
        return Asked(
            tuple(self.pipelines), self.site, self.user, self.priority, tuple(self.event), tuple(self.tags),
            tuple(self.parent),
        )  # fmt: skip


class WorkWanted(WorkSought, frozen=True):
    """What a withdrawal asks for, and how many seconds it waits for that."""

    wait: Seconds = 0


class WorkExchange(WorkSought, frozen=True, kw_only=True):
    """A work as it is to be, and what the next one is to be, which is withdrawn with that."""

    work: dict[str, Any]


class WorkIds(Request, frozen=True):
    """Works by their ids."""

    ids: Annotated[list[WorkId], Meta(max_length=MOST_AT_ONCE)]


class WorksDeleted(WorkIds, frozen=True):
    """Works to delete; ``store``: from one of the two alone."""

    store: Literal["bucket", "results"] | None = None


class WorksAwaited(WorkIds, frozen=True):
    """Works to wait for, and for how many seconds."""

    timeout: Seconds = 60


class OneWork(Request, frozen=True):
    """One work by its id."""

    id: WorkId


class WorkRenewed(OneWork, frozen=True):
    """A running work whose time begins anew; ``lease`` in seconds, none: as long as before."""

    run: Whole
    lease: Lease | None = None


class WorkRun(OneWork, frozen=True):
    """What an attempt said; of long texts beginning and end are kept."""

    run: Whole
    stdout: str = ""
    stderr: str = ""
    peak_memory: Moment | None = None


class Bucket(Request, frozen=True):
    """A pipeline; none: all of them."""

    pipeline: Name | None = None


class Asking(Request, frozen=True):
    """Something that is to be so; of ``any`` the value is a list of lists of the same, of which one must hold."""

    field: Text
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "exists", "any"] = "="
    value: Any = None


class WorksCounted(Request, frozen=True):
    """Which works: conditions that all hold, and words that all stand somewhere in them."""

    where: Annotated[list[Asking], Meta(max_length=MOST_CONDITIONS)] = msgspec.field(default_factory=list)
    text: Text = ""

    def search(self) -> Search:
        """It as the table takes it.

        Raises:
            QueueError: a condition is none, or there are too many.
        """
        return Search(_conditions(self.where, _Bound()), self.text)


class WorksWanted(WorksCounted, frozen=True):
    """Which works, in which order, and which part of them; ``after``: where the answer before this one ended."""

    order: Text = "-deposit"
    after: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_FOUND)] = 100
    skip: Annotated[int, Meta(ge=0, le=2**62)] = 0

    def search(self) -> Search:
        """It as the table takes it.

        Raises:
            QueueError: a condition is none, or there are too many.
        """
        return super().search()._replace(order=self.order, after=self.after, limit=self.limit, skip=self.skip)


class _Bound:
    """How many conditions there may yet be."""

    left = MOST_CONDITIONS

    def take(self, deep: int) -> None:
        self.left -= 1
        if self.left < 0 or deep > _DEEPEST:
            raise QueueError("That is more than one search asks for.", f"Ask for {MOST_CONDITIONS} things at most.")


def _conditions(asked: list[Asking], bound: _Bound, deep: int = 0) -> list[Condition]:
    found = []
    for each in asked:
        bound.take(deep)
        value = each.value
        if each.operator == "any":
            try:
                lists = msgspec.convert(value, list[list[Asking]])
            except msgspec.ValidationError as error:
                raise QueueError(f"{each.field} any: {error}.", "Its value is a list of lists of conditions.") from None
            for _ in lists:
                bound.take(deep)
            value = [_conditions(every, bound, deep + 1) for every in lists]
        found.append(Condition(each.field, each.operator, value))
    return found


# -- answers ------------------------------------------------------------------------------------------


class WorksMade(msgspec.Struct, frozen=True):
    """The ids of works, in the order in which they were named."""

    ids: list[str]


class WorkTaken(msgspec.Struct, frozen=True):
    """The work that is the worker's now, with its ``run``; null where none waits that fits."""

    work: dict[str, Any] | None


class WorkExchanged(msgspec.Struct, frozen=True):
    """Whether the work was taken, and the next one; null where none waits that fits, or a withdrawal is to look."""

    taken: bool
    work: dict[str, Any] | None


class WorkFound(msgspec.Struct, frozen=True):
    """A work as it is stored, and in which of the two stores its clients see it."""

    work: dict[str, Any]
    job_id: int
    in_bucket: bool
    in_results: bool


class WorksTaken(msgspec.Struct, frozen=True, omit_defaults=True):
    """For each work whether it was taken, and, where that was asked for and can be told, what it is then."""

    taken: list[bool]
    works: list[WorkFound | None] | None = None


class WorksFound(msgspec.Struct, frozen=True):
    """Works; ``after`` is where the next page goes on, null where there is none."""

    works: list[WorkFound]
    after: str | None = None


class Count(msgspec.Struct, frozen=True):
    """How many there are."""

    count: int


class WorkStatus(msgspec.Struct, frozen=True):
    """How many works of a bucket are of each status."""

    status: dict[str, int]


class BucketStatuses(msgspec.Struct, frozen=True):
    """How many works of each bucket are of each status, by its pipeline."""

    pipelines: dict[str, dict[str, int]]


class Buckets(msgspec.Struct, frozen=True):
    """Pipelines of which works are in a bucket."""

    pipelines: list[str]


class WorkResults(msgspec.Struct, frozen=True):
    """How many works are among the results, by pipeline."""

    pipelines: dict[str, int]


class WorkRuns(msgspec.Struct, frozen=True):
    """What became of the attempts of a work, oldest first."""

    runs: list[dict[str, Any]]
