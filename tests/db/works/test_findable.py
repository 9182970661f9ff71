"""A work is found by every field that people look by, with one query, from its deposit until it is removed."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.db.works.conftest import deposit, document, ids, now
from tests.support.examples import examples

from clx.db.jobs import Queue
from clx.db.works.withdrawing import Asked

_TEXT = st.one_of(
    st.sampled_from(
        ["5", "5.0", "true", "null", "-x", "100%", "a_b", "O'Hara", '"q"', "\\", "$.a", "ÄÖ", "é", " ", "[1]"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40),
)
_TEXTS = st.lists(_TEXT, min_size=1, max_size=3)
_PATHS = st.none() | _TEXTS
_FIELDS = st.fixed_dictionaries({
    "pipeline": _TEXT,
    "user": _TEXT,
    "site": _TEXT,
    "parent": st.none() | _TEXT,
    "tags": st.none() | _TEXTS,
    "group": st.none() | _TEXT | _TEXTS,
    "event": st.none() | st.lists(st.integers(-(2**63), 2**63), min_size=1, max_size=3),
    "products": _PATHS,
    "plots": _PATHS,
    "retries": st.integers(0, 2),
})  # fmt: skip
_STEPS = st.lists(
    st.sampled_from(["withdraw", "hand back", "update", "success", "failure", "cancel", "retry", "move on", "audit"]),
    max_size=8,
)


def _require_findable(queue: Queue, work_id: str, steps: list[str]) -> None:
    """By each of its fields alone, and by all of them in one query."""
    work = now(queue, work_id)
    every: dict[str, Any] = {}
    for name in ("id", "status", "pipeline", "user", "site", "parent", "tags", "group", "event", "products", "plots"):
        value = work.get(name)
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                every[name] = each
                assert work_id in ids(queue, **{name: each}), f"{name}={each!r} after {steps}"
    assert ids(queue, **every) == [work_id], f"{every} after {steps}"


def _do(queue: Queue, work_id: str, step: str, held: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """One step of its life, where it can be done; returns the work as its holder has it."""
    works = queue.works
    if step == "withdraw":
        return works.withdraw(Asked((now(queue, work_id)["pipeline"],))) or held
    if step in {"hand back", "update", "success", "failure"}:
        status = {"hand back": "queued", "update": "running"}.get(step, step)
        if held:
            works.update([{**held, **more, "status": status}])
        return held if status == "running" else {}
    if step in {"cancel", "retry"}:
        (works.cancel if step == "cancel" else works.retry)([work_id])
    elif step == "move on":
        works.move_on()
    else:
        works.audit("failed")
        works.audit("expired")
    queue.prune()
    return held


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=_FIELDS, products=_PATHS, plots=_PATHS, tags=_TEXTS, steps=_STEPS)
def test_whatever_becomes_of_it(
    kept: Queue, fields: dict[str, Any], products: Any, plots: Any, tags: list[str], steps: list[str]
) -> None:
    deposit(kept, document("another", user="nobody"))
    [work_id] = deposit(kept, document(**fields))
    _require_findable(kept, work_id, [])
    held: dict[str, Any] = {}
    for index, step in enumerate(steps):
        held = _do(kept, work_id, step, held, {"products": products, "plots": plots, "tags": tags})
        _require_findable(kept, work_id, steps[: index + 1])
    kept.works.delete([work_id])
    assert kept.works.get(work_id) is None
    assert work_id not in ids(kept, user=fields["user"])
