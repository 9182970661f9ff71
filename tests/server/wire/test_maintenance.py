"""Works are audited and moved on by the server, after a time in which clients may do so; or only by these."""

from __future__ import annotations

import pytest
from tests.support.clock import SetClock
from tests.support.workflow import OF_2

from clx import Queue
from clx.db.works.searching import Search
from clx.db.works.withdrawing import Asked
from clx.server.sweeping import RESTED, Sweep


def fail(queue: Queue) -> None:
    held = queue.works.withdraw(Asked(("sample",)))
    assert held is not None
    assert queue.works.update([{**held, "status": "failure"}], again=False) == [True]


def seen(queue: Queue) -> tuple[str, bool, bool]:
    (found,) = queue.works.find(Search()).works
    return found.document["status"], found.in_bucket, found.in_results


@pytest.mark.parametrize("maintains", [True, False])
def test_what_failed_is_tried_again_and_what_has_ended_moves_on(queue: Queue, maintains: bool) -> None:
    queue.works.deposit([OF_2])
    usual = queue.database.clock
    for after in (("queued", True, False), ("failure", False, True)):
        fail(queue)
        Sweep(queue, maintains=maintains).look()
        assert seen(queue) == ("failure", True, False)
        queue.database.clock = SetClock(usual.now() + round(RESTED * 1000) + 1000)
        Sweep(queue, maintains=maintains).look()
        queue.database.clock = usual
        if not maintains:
            assert seen(queue) == ("failure", True, False)
            assert queue.works.audit("failed") == int(after[0] == "queued")
        else:
            assert seen(queue) == after
