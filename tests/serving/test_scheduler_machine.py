"""The scheduler under any sequence of calls: workers come and go, models move, clients hang up, runs overrun."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.examples import examples

from clx.serving.estimates import WARM_UPS
from clx.serving.scheduler import Scheduler
from clx.serving.tickets import Batch, Refused, Ticket

MS = 1_000_000
MODELS = {"a": (3 * MS, 1), "b": (7 * MS, 8), "c": (20 * MS, 4)}
workers = st.integers(0, 5)  # more than are looked at for a request


class Machine(RuleBasedStateMachine):
    """What it must be like, seen from outside: who was accepted, who was told what."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(reply=0, backlog=20)
        self.now = self.number = 0
        self.there: dict[int, set[str]] = {}
        self.runs: dict[int, Batch] = {}
        self.accepted: dict[int, Ticket] = {}
        self.answered: dict[int, str] = {}
        for model, (took, largest) in MODELS.items():
            for size in (2**n for n in range(largest.bit_length())):
                for _ in range(WARM_UPS):
                    self.scheduler.observe(model, size, took + (took * size // 16 if size > 1 else 0))

    @initialize()
    def two_hold_everything(self) -> None:
        for executor in (0, 1):
            for model in sorted(MODELS):
                self.a_worker_holds_a_model(executor, model)

    def told(self, ticket: Ticket, what: str) -> None:
        assert ticket.number in self.accepted
        if what != "withdrawn":  # nobody is told anything twice
            assert ticket.number not in self.answered
        self.answered.setdefault(ticket.number, what)

    @rule(pause=st.integers(0, 60))
    def time_goes_on(self, pause: int) -> None:
        self.now += pause * MS
        for each in self.scheduler.overdue(self.now):
            assert each.deadline <= self.now  # the deadline alone ends what was accepted
            self.told(each, "late")

    @rule(executor=workers, model=st.sampled_from(sorted(MODELS)))
    def a_worker_holds_a_model(self, executor: int, model: str) -> None:
        self.scheduler.add_executor(executor)
        self.there.setdefault(executor, set()).add(model)
        self.scheduler.place(executor, model, MODELS[model][1])

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def a_worker_is_gone(self, data: st.DataObject) -> None:
        executor = data.draw(st.sampled_from(sorted(self.there)))
        del self.there[executor]
        self.runs.pop(executor, None)
        for each in self.scheduler.remove_executor(self.now, executor):
            assert not any(each.model in held for held in self.there.values())
            self.told(each, "nobody holds it")

    @precondition(lambda self: any(self.there.values()))
    @rule(data=st.data())
    def a_model_is_given_up(self, data: st.DataObject) -> None:
        executor = data.draw(st.sampled_from(sorted(each for each, held in self.there.items() if held)))
        model = data.draw(st.sampled_from(sorted(self.there[executor])))
        self.there[executor].discard(model)
        for each in self.scheduler.displace(self.now, executor, model):
            assert not any(model in held for held in self.there.values())
            self.told(each, "nobody holds it")

    @rule(
        model=st.sampled_from(sorted(MODELS)),
        slack=st.one_of(st.just(0), st.integers(1, 400)),
        priority=st.integers(1, 5),
        rows=st.integers(1, 3),
    )
    def a_request_comes(self, model: str, slack: int, priority: int, rows: int) -> None:
        self.number += 1
        rows = rows if MODELS[model][1] > 1 else 1
        ticket = Ticket(self.number, model, self.now, self.now + slack * MS if slack else 0, priority, rows)
        found = self.scheduler.offer(self.now, ticket)
        holders = {each for each, held in self.there.items() if model in held}
        if isinstance(found, Refused):
            assert (found.why == "absent") == (not holders)
            assert found.why in ("late", "backlog", "absent")
            assert slack or found.why != "late" or len(self.accepted) > len(self.answered)  # only for others' sake
        else:
            assert found in holders
            self.accepted[ticket.number] = ticket

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def a_free_worker_is_given_something(self, data: st.DataObject) -> None:
        waited_for = {each for each in self.there if self.scheduler.waiting(each)}
        executor = data.draw(st.sampled_from(sorted(waited_for or self.there)))
        batch = self.scheduler.dispatch(self.now, executor)
        if batch is None:
            return
        assert executor not in self.runs
        assert batch.model in self.there[executor]
        assert {each.model for each in batch.tickets} == {batch.model}
        assert sum(each.rows for each in batch.tickets) <= max(MODELS[batch.model][1], batch.tickets[0].rows)
        assert all(each.number not in self.answered for each in batch.tickets)
        same = [each for each in self.accepted.values() if each.waits and each.executor == executor]
        assert all(batch.tickets[0].due <= each.due for each in same)  # the earliest first
        self.runs[executor] = batch

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), times=st.sampled_from([0, 1, 3]))
    def a_run_ends(self, data: st.DataObject, times: int) -> None:
        executor = data.draw(st.sampled_from(sorted(self.runs)))
        batch = self.runs.pop(executor)
        for each in self.scheduler.finished(self.now, executor, took=times * batch.expected):
            if each.number not in self.answered:
                self.told(each, "done")

    @precondition(lambda self: len(self.accepted) > len(self.answered))
    @rule(data=st.data())
    def a_client_hangs_up(self, data: st.DataObject) -> None:
        open_ones = sorted(set(self.accepted) - set(self.answered))
        ticket = self.accepted[data.draw(st.sampled_from(open_ones))]
        running = any(ticket in each.tickets for each in self.runs.values())
        assert self.scheduler.withdraw(ticket) != running
        self.told(ticket, "withdrawn")

    @invariant()
    def nobody_who_was_accepted_is_forgotten(self) -> None:
        for number in set(self.accepted) - set(self.answered):
            ticket = self.accepted[number]
            runs = any(ticket in each.tickets for each in self.runs.values())
            assert ticket.waits != runs
            assert ticket.executor in self.there

    @invariant()
    def what_has_requests_is_known(self) -> None:
        waiting = {(each.executor, each.model) for each in self.accepted.values() if each.waits}
        expected = waiting | {(executor, batch.model) for executor, batch in self.runs.items()}
        for executor in self.there:
            for model in MODELS:
                assert self.scheduler.has_requests(executor, model) == ((executor, model) in expected)
        assert self.scheduler.asked() == {model for _, model in expected}

    @invariant()
    def the_next_deadline_is_the_earliest(self) -> None:
        open_ones = set(self.accepted) - set(self.answered)
        deadlines = [self.accepted[each].deadline for each in open_ones if self.accepted[each].deadline]
        assert self.scheduler.next_deadline() == min(deadlines, default=None)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
