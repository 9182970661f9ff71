"""Fenced blocks, as CommonMark has them."""

from __future__ import annotations

import pytest

from clx.jobtypes.notebook.fences import Fence, closes_fence, last_closings, opened_fence


@pytest.mark.parametrize(
    ("line", "signs"),
    [("```", "```"), ("   ~~~~ python", "~~~~"), ("```a`b", None), ("    ```", None), ("``", None), ("x ```", None)],
)
def test_what_opens_a_block(line: str, signs: str | None) -> None:
    assert opened_fence(line) == signs


@pytest.mark.parametrize(
    ("line", "closes"), [("```", True), ("`````  ", True), ("``` x", False), ("~~~", False), ("``", False)]
)
def test_what_closes_it(line: str, closes: bool) -> None:
    assert closes_fence(line, "```") == closes


def test_a_longer_fence_closes_a_shorter_one_too() -> None:
    assert last_closings(["```", "x", "````", "~~~ x", "# ~~~"], lambda line: line.removeprefix("# ")) == {
        ("~", 1): 4, ("~", 2): 4, ("~", 3): 4, ("`", 1): 2, ("`", 2): 2, ("`", 3): 2, ("`", 4): 2,
    }  # fmt: skip


def test_a_block_that_is_never_closed_is_none_where_that_is_asked() -> None:
    lines = ["```", "a", "```", "~~~", "b"]
    fence, closings = Fence(), last_closings(lines)
    assert [fence.read(line, index, closings) for index, line in enumerate(lines)] == [True, True, True, False, False]
    fence = Fence()
    assert [fence.read(line) for line in lines] == [True] * 5
