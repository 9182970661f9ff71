"""How long batches may be for the sake of others, seen from what those could wait."""

from __future__ import annotations

from clx.serving.rooms import EVERY, NONE, RARE, Guard, Rooms

MS = 1_000_000


def seen(*said: tuple[str, int, int]) -> Rooms:
    rooms = Rooms()
    for model, slack, alone in said:
        rooms.note(model, slack, alone)
    return rooms


def test_a_few_with_little_time_keep_the_batches_of_others_short() -> None:
    many = [("heavy", 500 * MS, MS)] * (EVERY - RARE)
    rooms = seen(*many, *[("quick", 5 * MS, MS)] * RARE)
    assert rooms.guard.of("heavy") == 4 * MS * 2 // 3  # of the four that such a request can wait
    assert rooms.guard.of("quick") == (500 - 1) * MS * 2 // 3


def test_one_alone_shortens_nobody() -> None:
    rooms = seen(*[("heavy", 0, MS)] * (EVERY - RARE + 1), *[("quick", 5 * MS, MS)] * (RARE - 1))
    assert rooms.guard == NONE
    assert rooms.guard.of("heavy") == 0


def test_what_can_never_be_in_time_is_not_heeded() -> None:
    assert seen(*[("quick", MS, 2 * MS)] * EVERY).guard == NONE


def test_what_was_long_ago_is_forgotten() -> None:
    rooms = seen(*[("quick", 5 * MS, MS)] * EVERY)
    assert rooms.guard == Guard(4 * MS * 2 // 3, "quick", 0)
    for _ in range(1_000):
        rooms.note("heavy", 0, MS)
    assert rooms.guard == NONE
