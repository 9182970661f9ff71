"""Works as their clients send them."""

from __future__ import annotations

from typing import Any

from clx.db.jobs import Queue
from clx.db.works.models import Document
from clx.db.works.searching import Search, conditions
from clx.db.works.withdrawing import Asked


def document(pipeline: str = "p", **fields: Any) -> Document:
    return {"pipeline": pipeline, **fields}


def deposit(queue: Queue, *documents: Document) -> list[str]:
    return queue.works.deposit(documents or [document()])


def withdraw(queue: Queue, *pipelines: str, **asked: Any) -> Document:
    """The work that is withdrawn, which must be there."""
    found = queue.works.withdraw(Asked(pipelines or ("p",), **asked))
    assert found is not None
    return found


def nothing(queue: Queue, *pipelines: str, **asked: Any) -> bool:
    return queue.works.withdraw(Asked(pipelines or ("p",), **asked)) is None


def end(queue: Queue, work: Document, status: str = "success", **fields: Any) -> bool:
    """Update a work with how it has ended."""
    return queue.works.update([{**work, "status": status, **fields}])[0]


def now(queue: Queue, work_id: str) -> Document:
    """The work as it stands in the table."""
    found = queue.works.get(work_id)
    assert found is not None
    return found.document


def ids(queue: Queue, *, order: str = "deposit", **fields: Any) -> list[str]:
    """The ids of the works that fit, the oldest first."""
    page = queue.works.find(Search(conditions(fields), order=order))
    return [each.document["id"] for each in page.works]


def without_run(work: Document) -> Document:
    """A work as a client sends it that knows of no runs."""
    return {name: value for name, value in work.items() if name != "run"}
