"""Which models are given up for the memory of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clx.serving.budget import Budget, Held, bytes_of, load_estimate
from clx.serving.failures import Refusal


def held(*those: tuple[str, int, int, str]) -> list[Held]:
    return [Held(name, name, size, asked, stays) for name, size, asked, stays in those]


def test_nothing_goes_while_there_is_room_or_no_budget() -> None:
    there = held(("a", 50, 1, ""), ("b", 40, 2, ""))
    assert Budget(100).given_up("c", 10, there) == []
    assert Budget().given_up("c", 1 << 60, there) == []
    assert Budget(100).has_room(10, there)
    assert not Budget(100).has_room(11, there)
    assert Budget().has_room(1 << 60, there)


def test_the_least_recently_asked_go_and_no_more_than_needed() -> None:
    there = held(("new", 30, 9, ""), ("old", 30, 1, ""), ("middle", 30, 5, ""))
    assert [each.name for each in Budget(100).given_up("c", 20, there)] == ["old"]
    assert [each.name for each in Budget(100).given_up("c", 50, there)] == ["old", "middle"]
    assert [each.name for each in Budget(100).given_up("c", 100, there)] == ["old", "middle", "new"]


def test_a_small_one_stays_where_a_larger_one_has_to_go_after_all() -> None:
    there = held(("small", 5, 1, ""), ("large", 90, 2, ""))
    assert [each.name for each in Budget(100).given_up("c", 50, there)] == ["large"]


def test_what_stays_is_named_with_its_bytes() -> None:
    there = held(("a", 60, 1, "warm"), ("b", 30, 2, "has requests"), ("c", 10, 3, ""))
    with pytest.raises(Refusal, match=r"takes 20 bytes of 100, .* by a \(60, warm\), b \(30, has requests\)") as raised:
        Budget(100).given_up("d", 20, there)
    assert raised.value.status == 507
    assert raised.value.more["filled_by"] == [
        {"name": "a", "bytes": 60, "why": "warm"},
        {"name": "b", "bytes": 30, "why": "has requests"},
    ]
    with pytest.raises(Refusal, match="more than the 100 of all"):
        Budget(100).given_up("d", 101, [])


_ASKED = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 40), st.sampled_from(["", "", "", "warm", "loading"])))


@given(st.integers(1, 100), _ASKED)
def test_a_history_never_fills_more_than_there_is_and_what_stays_stays(
    most: int, history: list[tuple[int, int, str]]
) -> None:
    budget, there = Budget(most), dict[int, Held]()
    for now, (model, size, stays) in enumerate(history):
        others = [each for key, each in there.items() if key != model]
        try:
            gone = budget.given_up(str(model), size, others)
        except Refusal:  # all that could go was too little
            assert size + sum(each.size for each in others if each.stays) > most
            continue
        assert not any(each.stays for each in gone)
        for each in gone:
            del there[int(each.key)]
        there[model] = Held(str(model), str(model), size, now, stays)
        left = sum(each.size for each in there.values())
        assert left <= most
        assert all(left + each.size > most for each in gone)  # each had to go


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("7b", 7), ("2k", 2048), ("500M", 500 << 20), ("1g", 1 << 30), ("1G", 1 << 30)]
)
def test_bytes_are_written_with_a_letter(text: str, number: int) -> None:
    assert bytes_of(text) == number


@pytest.mark.parametrize("text", ["", "0", "M", "-1", "1.5G", "1 G", "1T", "١", "9" * 30])
def test_what_is_no_number_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no number of bytes"):
        bytes_of(text)


def test_a_load_takes_as_long_as_the_last_one_or_what_the_file_suggests() -> None:
    assert load_estimate(7, 1 << 30) == 7
    assert load_estimate(0, 50_000_000) == 1_200_000_000
