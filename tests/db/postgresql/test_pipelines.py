"""Pipelines advanced and changed on two connections at once, each step held up before every statement of it.

Whatever came of it: each work of a stage goes in once, and nothing is left that nobody would bring on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.db.pipelines.conftest import deploy, step
from tests.support.clock import at
from tests.support.interleaving import Scene, in_any_order

from clx.db.check import check
from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked

_MADE: dict[str, Any] = {}
"""The pipeline, and its two works of the first stage as those who hold them have them."""


def _end(queue: Queue, which: str, status: str) -> None:
    at(queue.works, 50).update([{**_MADE[which], "status": status}])


_STEPS: dict[str, Callable[[Queue], Any]] = {
    "succeed one": lambda queue: _end(queue, "one", "success"),
    "succeed other": lambda queue: _end(queue, "other", "success"),
    "fail one": lambda queue: _end(queue, "one", "failure"),
    "hand other back": lambda queue: _end(queue, "other", "queued"),
    "succeed both": lambda queue: at(queue.works, 50).update(
        [{**_MADE[which], "status": "success"} for which in ("other", "one")]
    ),
    "rescue": lambda queue: at(queue, 10**14).rescue(),
    "pause": lambda queue: queue.pipelines.pause([_MADE["it"]]),
    "resume": lambda queue: queue.pipelines.resume([_MADE["it"]]),
    "stop": lambda queue: queue.pipelines.stop([_MADE["it"]]),
    "retry": lambda queue: queue.pipelines.retry([_MADE["it"]]),
    "remove": lambda queue: queue.pipelines.remove([_MADE["it"]]),
}


def _prepare(queue: Queue) -> None:
    _MADE["it"] = deploy(queue, step("a", 1), step("b", 1), step("then", 2, 2), step("mend", condition="failure"))
    for name, which in (("a", "one"), ("b", "other")):
        _MADE[which] = at(queue.works, 10).withdraw(Asked((name,)))


@pytest.fixture
def scene(postgresql: str) -> Iterator[Scene]:
    with Scene(postgresql, _STEPS, _prepare) as found:
        yield found


@pytest.mark.parametrize("first", _STEPS)
def test_two_at_once_leave_a_pipeline_that_goes_on(scene: Scene, first: str) -> None:
    in_any_order(scene, _STEPS, first, lambda _second: [*_not_right(scene), *check(scene.one.database)], share=5)


def _not_right(scene: Scene) -> list[str]:
    """What a stage has brought: the next one both of its works once, or none."""
    twice = "SELECT pipeline, count(*) FROM clx.works WHERE pipeline IN ('then', 'mend') GROUP BY pipeline"
    return [
        f"{count} works of {name}"
        for name, count in scene.found(twice)
        if count != {"then": 2, "mend": 1}[name]
    ]  # fmt: skip
