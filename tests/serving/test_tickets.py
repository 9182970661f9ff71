"""By what requests stand in a queue."""

from __future__ import annotations

from clx.serving.tickets import PATIENCE, Ticket, by_due, due_of


def test_a_request_is_due_at_its_deadline_and_one_without_when_patience_ends() -> None:
    assert due_of(Ticket(1, "m", 5, 90)) == 90
    first, last = (due_of(Ticket(1, "m", 5, priority=each)) for each in (1, 5))
    assert (first, last) == (5 + PATIENCE, 5 + 5 * PATIENCE)


def test_of_those_due_at_the_same_time_the_earlier_comes_first() -> None:
    waiting = [Ticket(number, "m", 0, due=due) for number, due in ((3, 7), (1, 9), (2, 7))]
    assert [each.number for each in sorted(waiting, key=by_due)] == [2, 3, 1]
