"""The scheduler, whose time the tests move: what it promises, on drawn requests and drawn service times."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from clx.serving.estimates import WARM_UPS
from clx.serving.scheduler import Scheduler
from clx.serving.tickets import Batch, Refused, Ticket

MS = 1_000_000


def warm(scheduler: Scheduler, model: str, took: int, sizes: tuple[int, ...] = (1,)) -> None:
    for size in sizes:
        for _ in range(WARM_UPS):
            scheduler.observe(model, size, took + (took * size // 32 if size > 1 else 0))


def one_worker(took: int = 10 * MS, **options: int) -> Scheduler:
    scheduler = Scheduler(reply=0, **options)
    scheduler.add_executor(0)
    scheduler.place(0, "m")
    warm(scheduler, "m", took)
    return scheduler


def test_a_model_that_nobody_holds_is_absent() -> None:
    scheduler = Scheduler()
    assert scheduler.offer(0, Ticket(1, "m", 0)) == Refused("absent")


def test_nothing_is_accepted_before_a_model_was_measured() -> None:
    scheduler = Scheduler()
    scheduler.add_executor(0)
    scheduler.place(0, "m")
    for _ in range(WARM_UPS - 1):
        scheduler.observe("m", 1, MS)
    assert scheduler.offer(0, Ticket(1, "m", 0)) == Refused("cold")
    scheduler.observe("m", 1, MS)
    assert scheduler.offer(0, Ticket(2, "m", 0)) == 0


def test_what_would_be_late_is_refused_with_the_time_at_which_it_would_be_finished() -> None:
    scheduler = one_worker()
    assert scheduler.offer(0, Ticket(1, "m", 0, 11 * MS)) == 0
    assert scheduler.offer(0, Ticket(2, "m", 0, 21 * MS)) == Refused("late", 22 * MS)
    assert scheduler.offer(0, Ticket(3, "m", 0, 22 * MS)) == 0


def test_what_would_make_somebody_else_late_is_refused() -> None:
    scheduler = one_worker()
    assert scheduler.offer(0, Ticket(1, "m", 0, 15 * MS)) == 0
    refused = scheduler.offer(0, Ticket(2, "m", 0, 12 * MS))  # it would be first, and number 1 late
    assert isinstance(refused, Refused)
    assert refused.why == "late"


def test_a_run_that_takes_longer_than_expected_admits_nothing_that_would_suffer() -> None:
    scheduler = one_worker()
    scheduler.offer(0, Ticket(1, "m", 0, 15 * MS))
    assert scheduler.dispatch(0, 0) is not None
    now = 31 * MS  # 20 ms over its time: as much again is expected
    assert isinstance(scheduler.offer(now, Ticket(2, "m", now, now + 30 * MS)), Refused)
    assert scheduler.offer(now, Ticket(3, "m", now, now + 32 * MS)) == 0


def test_a_worker_that_is_gone_hands_its_requests_to_one_that_holds_the_model_too() -> None:
    scheduler = Scheduler(reply=0)
    for executor, models in ((0, "ab"), (1, "a")):
        scheduler.add_executor(executor)
        for model in models:
            scheduler.place(executor, model)
            warm(scheduler, model, MS)
    only_there, both = Ticket(1, "b", 0, 90 * MS), Ticket(2, "a", 0, 90 * MS)
    scheduler.offer(0, only_there)
    scheduler.dispatch(0, 0)
    scheduler.offer(0, Ticket(3, "a", 0, 90 * MS))
    scheduler.dispatch(0, 1)
    scheduler.offer(0, both)
    assert scheduler.remove_executor(MS, 0) == [only_there]
    scheduler.finished(2 * MS, 1)
    batch = scheduler.dispatch(2 * MS, 1)
    assert batch is not None
    assert batch.tickets == [both]


def test_a_free_worker_takes_what_waits_for_another_one() -> None:
    scheduler = Scheduler(reply=0)
    for executor in (0, 1):
        scheduler.add_executor(executor)
        scheduler.place(executor, "m")
    warm(scheduler, "m", MS)
    placed = [scheduler.offer(0, Ticket(n, "m", 0, 90 * MS)) for n in range(4)]
    assert sorted(placed) == [0, 0, 1, 1]
    seen = []
    for _ in range(4):
        batch = scheduler.dispatch(0, 0)
        assert batch is not None
        seen += [each.number for each in batch.tickets]
        scheduler.finished(0, 0, took=MS)
    assert sorted(seen) == [0, 1, 2, 3]
    assert scheduler.dispatch(0, 0) is None


def test_batches_are_as_large_as_pays_and_never_waited_for() -> None:
    scheduler = Scheduler(reply=0)
    scheduler.add_executor(0)
    scheduler.place(0, "m", largest=16)
    warm(scheduler, "m", MS, (1, 2, 4, 8, 16))
    for n in range(20):
        assert scheduler.offer(0, Ticket(n, "m", 0, 90 * MS)) == 0
    sizes = []
    while (batch := scheduler.dispatch(0, 0)) is not None:
        sizes.append(len(batch.tickets))
        scheduler.finished(0, 0, took=0)
    assert sizes == [16, 4]


def test_a_model_whose_batches_gain_nothing_runs_one_by_one() -> None:
    scheduler = Scheduler(reply=0)
    scheduler.add_executor(0)
    scheduler.place(0, "m", largest=16)
    for size in (1, 2, 4):
        for _ in range(WARM_UPS):
            scheduler.observe("m", size, size * MS)
    for n in range(3):
        scheduler.offer(0, Ticket(n, "m", 0, 90 * MS))
    batch = scheduler.dispatch(0, 0)
    assert batch is not None
    assert [each.number for each in batch.tickets] == [0]


def test_a_batch_is_no_larger_than_its_earliest_request_allows() -> None:
    scheduler = Scheduler(reply=0)
    scheduler.add_executor(0)
    scheduler.place(0, "m", largest=16)
    warm(scheduler, "m", 10 * MS, (1, 2, 4, 8, 16))  # 11.3 ms alone, 16.5 ms for sixteen
    scheduler.offer(0, Ticket(0, "m", 0, 12 * MS))
    for n in range(1, 16):
        assert scheduler.offer(0, Ticket(n, "m", 0, 900 * MS)) == 0
    batch = scheduler.dispatch(0, 0)
    assert batch is not None
    assert batch.expected <= 12 * MS


def test_the_deadline_alone_ends_what_was_accepted_and_it_is_told_once() -> None:
    scheduler = one_worker()
    runs, waits = Ticket(1, "m", 0, 15 * MS), Ticket(2, "m", 0, 30 * MS)
    scheduler.offer(0, runs)
    scheduler.offer(0, waits)
    scheduler.dispatch(0, 0)
    assert scheduler.next_deadline() == 15 * MS
    assert scheduler.overdue(15 * MS - 1) == []
    assert scheduler.overdue(15 * MS) == [runs]
    assert scheduler.overdue(40 * MS) == [waits]
    assert scheduler.overdue(50 * MS) == []
    assert scheduler.finished(60 * MS, 0) == [runs]
    assert scheduler.dispatch(60 * MS, 0) is None
    assert scheduler.next_deadline() is None


def test_more_than_the_backlog_holds_is_refused() -> None:
    scheduler = one_worker(backlog=2)
    assert [scheduler.offer(0, Ticket(n, "m", 0)) for n in range(2)] == [0, 0]
    assert scheduler.offer(0, Ticket(3, "m", 0)) == Refused("backlog", 0)


def test_who_asked_and_is_gone_waits_no_more() -> None:
    scheduler = one_worker()
    first, second = Ticket(1, "m", 0, 90 * MS), Ticket(2, "m", 0, 91 * MS)
    scheduler.offer(0, first)
    scheduler.offer(0, second)
    scheduler.dispatch(0, 0)
    assert scheduler.withdraw(second)
    assert not scheduler.withdraw(second)
    assert not scheduler.withdraw(first)  # it runs
    scheduler.finished(MS, 0)
    assert scheduler.dispatch(MS, 0) is None


def test_long_deadlines_leave_half_of_a_worker_without_rest_to_short_ones() -> None:
    scheduler = one_worker(took=MS)
    number = 0
    for now in range(0, 400 * MS, MS):  # one long request a millisecond, for 0.4 s
        number += 1
        scheduler.offer(now, Ticket(number, "m", now, now + 200 * MS))
        if scheduler.dispatch(now, 0) is None:
            scheduler.finished(now, 0, took=MS)
            scheduler.dispatch(now, 0)
    assert scheduler.offer(now, Ticket(number + 1, "m", now, now + 5 * MS)) == 0


# -- what holds whatever comes ------------------------------------------------------------------------


@dataclass(slots=True)
class World:
    """Workers that take just as long as is expected, and everything that became of the requests."""

    scheduler: Scheduler
    took: dict[str, int]
    finished: dict[int, int] = field(default_factory=dict)
    overdue: set[int] = field(default_factory=set)
    _ends: list[tuple[int, int]] = field(default_factory=list)

    def until(self, now: int) -> None:
        while self._ends and self._ends[0][0] <= now:
            at, executor = heapq.heappop(self._ends)
            self.overdue |= {each.number for each in self.scheduler.overdue(at - 1)}
            for each in self.scheduler.finished(at, executor, took=0):
                self.finished[each.number] = at
            self.start(at)
        self.overdue |= {each.number for each in self.scheduler.overdue(now - 1)}

    def start(self, now: int) -> None:
        for executor in (0, 1):
            batch: Batch | None = self.scheduler.dispatch(now, executor)
            if batch is not None:
                heapq.heappush(self._ends, (now + batch.expected, executor))


def world(models: dict[str, int], largest: int) -> World:
    scheduler = Scheduler(reply=0)
    for executor in (0, 1):
        scheduler.add_executor(executor)
    for place, (model, took) in enumerate(models.items()):
        for executor in (0, 1) if place == 0 else (place % 2,):
            scheduler.place(executor, model, largest)
        warm(scheduler, model, took, tuple(2**n for n in range(largest.bit_length())))
    return World(scheduler, models)


requests = st.lists(
    st.tuples(
        st.integers(0, 20),  # milliseconds since the last
        st.sampled_from("abc"),
        st.one_of(st.just(0), st.integers(1, 300)),  # milliseconds until the deadline
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=examples(150), deadline=None)
@given(requests, st.sampled_from([1, 4, 8]))
def test_everyone_accepted_is_finished_in_time_when_the_estimates_hold(
    drawn: list[tuple[int, str, int, int]], largest: int
) -> None:
    its = world({"a": 3 * MS, "b": 7 * MS, "c": 20 * MS}, largest)
    now, accepted = 0, {}
    for number, (pause, model, slack, priority) in enumerate(drawn):
        now += pause * MS
        its.until(now)
        ticket = Ticket(number, model, now, now + slack * MS if slack else 0, priority)
        if not isinstance(its.scheduler.offer(now, ticket), Refused):
            accepted[number] = ticket
        its.start(now)
    its.until(now + 3_600_000 * MS)
    assert set(its.finished) == set(accepted)  # nobody is forgotten, nobody refused is run
    assert its.overdue == set()
    assert all(its.finished[n] <= each.deadline for n, each in accepted.items() if each.deadline)


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 50))
def test_a_request_without_a_deadline_is_served_while_others_with_one_never_stop_coming(seed: int, rate: int) -> None:
    its = world({"a": 3 * MS}, 1)
    dice, now = Random(seed), 0
    patient = Ticket(0, "a", 0)
    its.scheduler.offer(0, patient)
    number = 0
    while 0 not in its.finished and now < 10_000 * MS:
        number += 1
        now += int(dice.expovariate(rate / 10) * MS)
        its.until(now)
        its.scheduler.offer(now, Ticket(number, "a", now, now + dice.choice((10, 60, 300)) * MS))
        its.start(now)
    assert its.finished.get(0, now) <= 3_500 * MS


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_service_times_there_are_each_accepted_request_ends_once(seed: int) -> None:
    dice, scheduler = Random(seed), one_worker(took=5 * MS)
    now, accepted, ended = 0, set(), []
    for number in range(200):
        now += int(dice.expovariate(1 / 4) * MS)
        ended += [each.number for each in scheduler.overdue(now)]
        ticket = Ticket(number, "m", now, now + dice.choice((10, 60, 300)) * MS)
        if not isinstance(scheduler.offer(now, ticket), Refused):
            accepted.add(number)
        if dice.random() < 0.7:
            told = set(ended)
            ended += [each.number for each in scheduler.finished(now, 0) if each.number not in told]
        scheduler.dispatch(now, 0)
    now += 1_000_000 * MS
    told = set(ended)
    ended += [each.number for each in scheduler.overdue(now)]
    assert told <= set(ended)
    ended += [each.number for each in scheduler.finished(now, 0) if each.number not in set(ended)]
    assert sorted(ended) == sorted(accepted)


@pytest.mark.parametrize("share", ["few", "many"])
def test_a_refusal_names_a_time_at_which_it_would_have_been_finished(share: str) -> None:
    scheduler = one_worker()
    for n in range(3 if share == "few" else 40):
        scheduler.offer(0, Ticket(n, "m", 0, 5_000 * MS))
    refused = scheduler.offer(0, Ticket(99, "m", 0, 5 * MS))
    assert isinstance(refused, Refused)
    assert refused.finish >= 11 * MS


def test_a_few_disturbed_runs_do_not_have_batches_be_given_up() -> None:
    scheduler = one_worker(MS)
    scheduler.place(0, "m", 4)
    for number in range(WARM_UPS):
        scheduler.observe("m", 2, 50 * MS if number < 3 else MS)
    assert scheduler.may_pay("m", 4)
