"""Each client gets what it can read, in its words; what it does not know stays as it was deposited.

Whether the clients themselves read it so is seen where they run: tests/server/wire/test_peers.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.workflow import OF_2, OF_3, OF_CLX, OF_CORE

from clx import Queue
from clx.db.works.withdrawing import Asked
from clx.server.wire.dialects import CHIME, CHIME_3, CORE, dialect_of, merged, received, shown


def changed(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**document, "status": "running", **fields}


def archived(document: dict[str, Any], **archive: Any) -> dict[str, Any]:
    config = document["config"]
    return {**document, "config": {**config, "archive": {**config["archive"], **archive}}}


def slack(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**document, "notify": {"slack": {**document["notify"]["slack"], **fields}}}


@pytest.mark.parametrize("document", [OF_2, OF_3, OF_CORE, OF_CLX], ids=["2", "3", "core", "clx"])
@pytest.mark.parametrize("reader", [CORE, CHIME, CHIME_3], ids=lambda each: each.name)
def test_what_one_has_deposited_all_can_withdraw(document: dict[str, Any], reader: Any) -> None:
    assert reader.accepts(document)


@pytest.mark.parametrize(
    ("document", "chime", "core"),
    [
        (changed(OF_2, timeout=100_000), False, True),
        (changed(OF_2, timeout=259_201), False, False),
        (changed(OF_2, timeout=60.0), True, True),
        (changed(OF_2, site="elsewhere"), False, True),
        (changed(OF_2, site="allenby"), True, True),
        (changed(OF_3, site="allenby"), False, True),
        (changed(OF_2, retries=6), False, False),
        (changed(OF_2, priority=6), False, False),
        (changed(OF_2, pipeline="under_scored"), True, False),
        (changed(OF_3, pipeline="under_scored"), False, False),
        (changed(OF_3, pipeline="Upper"), False, True),
        (changed(OF_3, pipeline="ä-1"), True, True),
        (changed(OF_CORE, function="a.b", command=["c"]), False, False),
        (changed(OF_CORE, parameters=[1]), False, False),
        (changed(OF_CORE, tags=[1]), False, False),
        (changed(OF_CORE, event=["x"]), False, False),
        (changed(OF_2, config="text"), True, False),
        (changed(OF_CORE, config={"parent": 5}), False, False),
        (archived(OF_3, plots="upload"), True, True),
        (archived(OF_CORE, plots="bypass"), True, True),
        (archived(OF_CORE, plots="burn"), False, False),
        (archived(OF_CORE, results="maybe"), False, False),
        (slack(OF_3, unknown=1), True, True),
        (slack(OF_3, message=1), False, False),
    ],
)
def test_what_a_client_cannot_read_is_not_given_to_it(document: dict[str, Any], chime: bool, core: bool) -> None:
    assert (CHIME.accepts(document), CORE.accepts(document)) == (chime, core)


def test_words_are_those_of_the_reader() -> None:
    mixed = slack(archived(OF_3, products="pass", plots="upload", logs="bypass"), unknown=1)
    told = CORE.told(mixed)
    assert told["config"]["archive"] == {"results": True, "products": "bypass", "plots": "copy", "logs": "bypass"}
    assert "unknown" not in told["notify"]["slack"]
    assert CHIME.told(mixed)["config"]["archive"]["logs"] == "pass"
    plain = CORE.told(changed(OF_2, user=None, status="cancelled"))
    assert (plain["user"], plain["status"]) == ("unknown", "failure")
    assert not plain.keys() & {"config", "notify"}
    own = CHIME.told(changed(OF_CLX, group=["a", "b"], archive={"results": False}))
    assert (own["group"], own["archive"]) == ("a,b", False)


@pytest.mark.parametrize("reader", [CORE, CHIME])
def test_what_a_reader_was_told_in_other_words_stays_as_it_was(reader: Any) -> None:
    stored = {**archived(OF_3, plots="upload", logs="bypass"), "user": None, "extra": {"kept": True}}
    sent = {name: value for name, value in reader.told(stored).items() if name != "extra"}
    found = merged(stored, {**sent, "results": {"x": 1}, "status": "success"}, (reader,))
    assert found == {**stored, "results": {"x": 1}, "status": "success"}


def test_a_cancelled_work_that_is_sent_back_as_the_failure_it_looks_like_stays_cancelled() -> None:
    stored = {**OF_2, "status": "cancelled"}
    assert merged(stored, shown(stored), (CHIME,))["status"] == "cancelled"


def test_what_only_the_table_tells_and_secrets_are_not_taken() -> None:
    sent = {**OF_2, "run": 3, "error": {"type": "X"}, "progress": 1, "token": "ghp_x", "canfar_cert": "-----BEGIN"}
    assert received(sent) == OF_2


@pytest.mark.parametrize(
    ("is_core", "query", "found"),
    [
        (True, {"pipeline": "p", "tags": {}}, CORE),
        (False, {"pipeline": "p"}, CHIME),
        (False, {"pipeline": "p", "tags": {"$in": ["a"]}}, CHIME_3),
        (False, {"pipeline": "p", "config.parent": "x"}, CHIME_3),
    ],
)
def test_who_asks_is_told_by_what_is_asked(is_core: bool, query: dict[str, Any], found: Any) -> None:
    assert dialect_of(is_core=is_core, query=query) is found


def test_a_work_that_nobody_there_can_read_stays_for_those_who_can(queue: Queue) -> None:
    queue.works.deposit([changed(OF_2, site="elsewhere", priority=5), changed(OF_2)])
    first = queue.works.withdraw(Asked(("sample",)), accepts=CHIME.accepts)
    assert first is not None
    assert first["site"] == "local"
    assert queue.works.withdraw(Asked(("sample",)), accepts=CHIME.accepts) is None
    second = queue.works.withdraw(Asked(("sample",)), accepts=CORE.accepts)
    assert second is not None
    assert second["site"] == "elsewhere"
