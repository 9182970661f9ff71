"""Jobs that a worker of this machine does only when this machine has put them in.

Where containers use a database, a job in one of them can write any row: also a job for a worker that is no container
and could do all that its user may. So whoever queues jobs seals them with a key that lies where no container sees it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from clx.db.apart import is_apart
from clx.db.database import Database
from clx.db.models import Job
from clx.errors import ConversionError
from clx.platforms import system

SEAL = "seal"
_KEY = "key"


def sealed(database: Database, type_: str, pool: str, payload: dict[str, Any]) -> dict[str, Any]:
    """*payload* as it is queued: sealed where containers use *database*, else as it is.

    Raises:
        OSError: the key cannot be made.
    """
    return {**payload, SEAL: _seal(database, type_, pool, payload)} if is_apart(database.path) else payload


def require_sealed(database: Database, job: Job) -> None:
    """See that this machine has put in a job that is about to be done here.

    Raises:
        ConversionError: it was put in, or changed, by something else.
    """
    if not is_apart(database.path):
        return
    payload = {key: value for key, value in job.payload.items() if key != SEAL}
    mine = _seal(database, job.type, job.pool, payload)
    if not hmac.compare_digest(mine, str(job.payload.get(SEAL, ""))):
        raise ConversionError(
            "The job was not put in by CLX on this machine, or was changed since: a job in a container may have.",
            "Build again. Decks that are not trusted run in containers, and on a database of their own (--db-path).",
        )


def _seal(database: Database, type_: str, pool: str, payload: Mapping[str, Any]) -> str:
    text = msgspec.json.encode([type_, pool, payload], order="sorted")
    return hmac.new(_key(database), text, hashlib.sha256).hexdigest()


def _key(database: Database) -> bytes:
    """The key of this project, made by whoever needs it first."""
    path = database.state.path / _KEY
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    made = path.with_name(f"{_KEY}.{os.urandom(6).hex()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | system.BINARY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(os.urandom(32))
        with contextlib.suppress(FileExistsError):  # somebody else was faster
            os.link(made, path)
    finally:
        made.unlink()
    return path.read_bytes()
