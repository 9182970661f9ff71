"""What a process that failed has said last becomes a message."""

from __future__ import annotations

import pytest

from clx.workers.supervision.worker_group import last_error


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", ("it said nothing", "")),
        ("a\nb", ("b", "")),
        ("Error: It runs.\nStop it: clx stop-services", ("It runs.", "Stop it: clx stop-services")),
        ("Error: old\nx\nError: It runs.", ("It runs.", "")),
    ],
)
def test_the_fact_of_an_error_is_not_lost_behind_its_next_step(said: str, told: tuple[str, str]) -> None:
    assert last_error(said) == told
