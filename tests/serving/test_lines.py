"""A worker's queue, and how it is played through."""

from __future__ import annotations

from random import Random

from clx.serving.estimates import WARM_UPS, Estimates
from clx.serving.lines import Line, Plans
from clx.serving.rooms import NONE, Guard
from clx.serving.tickets import Batch, Ticket, due_of

MS = 1_000_000


def known(largest: int = 1, took: int = MS) -> Estimates:
    found = Estimates(largest)
    for size in (2**n for n in range(largest.bit_length())):
        for _ in range(WARM_UPS):
            found.observe(size, took + (took * size // 32 if size > 1 else 0))
    return found


def ticket(number: int, deadline: int = 0, about: Estimates | None = None, model: str = "m") -> Ticket:
    made = Ticket(number, model, 0, deadline, known=about or known(), cost=MS)
    made.due = due_of(made)
    return made


def test_who_enters_and_leaves_in_any_order_leaves_nothing_behind() -> None:
    line, dice = Line(), Random(1)
    all_of_them = [ticket(n, dice.randrange(1, 20) * MS, model=dice.choice("ab")) for n in range(50)]
    for each in all_of_them:
        line.enter(each)
    assert [each.due for each in line.queue] == sorted(each.due for each in all_of_them)
    assert (line.load, set(line.asked())) == (50 * MS, {"a", "b"})
    dice.shuffle(all_of_them)
    for each in all_of_them:
        line.leave(each)
        assert not each.waits
    assert (line.queue, line.load, set(line.asked()), line.is_idle) == ([], 0, set(), True)


def test_what_runs_is_asked_for_too() -> None:
    line = Line()
    line.enter(ticket(1))
    first = line.queue[0]
    line.take([first])
    line.running = Batch("m", [first], MS)
    assert line.has("m")
    assert not line.is_idle
    assert (line.free(0), line.free(3 * MS)) == (MS, 5 * MS)  # one that overruns takes as long again


def test_batches_of_a_queue_are_played_as_they_are_formed() -> None:
    plans, line, about = Plans(0), Line(), known(8)
    for n in range(30):
        line.enter(ticket(n, (n % 7 + 1) * 100 * MS, about, "ab"[n % 2]))
    last = line.queue[-1]
    finish, late = plans.play(0, line.queue, NONE, last)
    at = 0
    while line.queue:
        tickets, took = plans.batch(at, line.queue, NONE)
        line.take(tickets)
        at += took
        if last in tickets:
            assert (finish, late) == (at, set())


def test_only_those_who_have_time_are_cut_short() -> None:
    plans, about = Plans(0), known(16, 10 * MS)
    guard = Guard(about.of(2), "quick", 0)
    for deadline, size in ((0, 2), (900 * MS, 2), (30 * MS, 16)):
        line = Line()
        for n in range(16):
            line.enter(ticket(n, deadline, about))
        assert len(plans.batch(0, line.queue, guard)[0]) == size


def test_it_is_told_who_would_be_late_and_not_who_comes_after_one_that_is() -> None:
    plans, line = Plans(0), Line()
    for n in range(4):
        line.enter(ticket(n, (n + 1) * MS))
    asked = line.queue[1]
    assert plans.play(0, line.queue, NONE)[1] == {0, 1, 2, 3}
    assert plans.play(0, line.queue, NONE, asked, limit=2 * MS)[1] == {0}


def test_the_first_deadline_of_those_who_wait() -> None:
    line = Line()
    assert line.first_deadline() == 0
    late, soon, patient = ticket(1, 9 * MS), ticket(2, 3 * MS), ticket(3)
    for each in (patient, late, soon):
        line.enter(each)
    assert line.first_deadline() == 3 * MS
    line.leave(soon)
    assert line.first_deadline() == 9 * MS
    line.take([late])
    assert line.first_deadline() == 0
