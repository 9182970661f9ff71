"""What a worker has grown by, and by whom."""

from __future__ import annotations

from clx.serving.growth import BASE, Growth

MIB = 1 << 20


def test_it_is_too_much_beyond_its_models_and_who_ran_meanwhile_is_named() -> None:
    growth = Growth(100 * MIB)
    assert not growth.look(BASE + 50 * MIB, 50 * MIB, ["a"])
    assert not growth.look(BASE + 110 * MIB, 50 * MIB, ["a", "b"])
    assert not growth.look(BASE + 150 * MIB, 50 * MIB, ["b"])
    assert growth.look(BASE + 151 * MIB, 50 * MIB, ["c"])
    assert growth.by() == ["b", "a"]
    assert not growth.look(BASE + 151 * MIB, 51 * MIB, [])


def test_what_was_loaded_is_nobodys_growth() -> None:
    growth = Growth(100 * MIB)
    assert not growth.look(BASE, 0, ["a"])
    assert not growth.look(BASE + 500 * MIB, 500 * MIB, [])
    assert not growth.look(BASE + 900 * MIB, 900 * MIB, ["a"])  # which ran meanwhile
    assert growth.by() == []


def test_who_has_grown_it_before_the_first_look_is_named() -> None:
    growth = Growth(100 * MIB)
    growth.begin(BASE + 50 * MIB, 50 * MIB)
    growth.begin(BASE + 150 * MIB, 50 * MIB)  # a second model says nothing of what was before
    assert growth.look(BASE + 151 * MIB, 50 * MIB, ["a"])
    assert growth.by() == ["a"]
