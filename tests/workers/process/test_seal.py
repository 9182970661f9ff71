"""Jobs that a worker of this machine does only when this machine has put them in."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clx.db.apart import apart
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.models import Job, NewJob
from clx.errors import ConversionError
from clx.workers.process.seal import require_sealed, sealed

PAYLOAD: dict[str, Any] = {"source": "a.py", "files": [["a.py", "1"]], "limit": 1.5}


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Database]:
    """A database that containers use."""
    with Database.open(apart(tmp_path / ".clx" / "jobs.db")) as database:
        yield database


def queued(payload: dict[str, Any], type_: str = "t", pool: str = "p") -> Job:
    """The job as a worker gets it, having been through the table."""
    with Queue.open("memory:") as queue:
        queue.enqueue(NewJob(type_, payload, pool=pool))
        return queue.claim([type_], pool=pool)[0]


def test_a_job_of_this_machine_is_done(shared: Database) -> None:
    payload = sealed(shared, "t", "p", PAYLOAD)
    assert {key: value for key, value in payload.items() if key != "seal"} == PAYLOAD
    require_sealed(shared, queued(payload))
    require_sealed(shared, queued(dict(reversed(payload.items()))))


@pytest.mark.parametrize(
    ("type_", "pool", "changes"),
    [
        ("t", "p", {"seal": ""}),
        ("t", "p", {"seal": "0" * 64}),
        ("t", "p", {"seal": None}),
        ("t", "p", {"source": "b.py"}),
        ("t", "p", {"files": []}),
        ("t", "p", {"more": 1}),
        ("other", "p", {}),
        ("t", "other", {}),
    ],
)
def test_a_job_that_was_put_in_or_changed_by_something_else_is_not(
    shared: Database, type_: str, pool: str, changes: dict[str, Any]
) -> None:
    job = queued({**sealed(shared, "t", "p", PAYLOAD), **changes}, type_, pool)
    with pytest.raises(ConversionError, match="was not put in by CLX on this machine, or was changed since"):
        require_sealed(shared, job)


def test_where_no_container_is_nothing_is_sealed_or_asked_for(tmp_path: Path) -> None:
    with Database.open(tmp_path / "jobs.db") as database:
        assert sealed(database, "t", "p", PAYLOAD) == PAYLOAD
        require_sealed(database, queued(PAYLOAD))
        assert not (database.state.path / "key").exists()


def test_the_key_is_the_owners_alone_made_once_and_out_of_reach_of_containers(shared: Database) -> None:
    first = sealed(shared, "t", "p", PAYLOAD)
    key = shared.state.path / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    assert not key.is_relative_to(shared.state.shared)
    assert sealed(shared, "t", "p", PAYLOAD) == first
    assert [path.name for path in shared.state.path.glob("key*")] == ["key"]


def test_another_project_has_another_key(shared: Database, tmp_path: Path) -> None:
    with Database.open(apart(tmp_path / "other" / ".clx" / "jobs.db")) as other:
        job = queued(sealed(other, "t", "p", PAYLOAD))
    with pytest.raises(ConversionError):
        require_sealed(shared, job)
