"""What is checked before container workers start: engine, images, and the database as seen from inside.

Shared folders of virtual machines do not always share locks. Two writers that do not see each other's locks
damage the file, so the host holds the write lock once and a container must find it held (REQ-4.4).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec

from clx.db.database import Database
from clx.db.workers import WorkerTable
from clx.errors import EngineError
from clx.settings.schema import DockerSettings
from clx.workers.executors.docker.assign_pools import assign_pools
from clx.workers.executors.docker.engine import connect, engine_errors
from clx.workers.executors.docker.images import obtain
from clx.workers.executors.docker.reaper import (
    dismiss_idle_reapers,
    labels_of_owner,
    start_reaper,
    worker_closed,
)
from clx.workers.executors.docker.worker import bind, database_inside_of, invoking_user, require_place
from clx.workers.lock_probe import READY
from clx.workers.platforms import sharing_warning, surroundings

_LOOK_LIMIT = 60.0
"""Seconds a container has for one look at the database."""
_PAUSE = 0.05
_LOCKED_LIMIT = 5.0
"""Seconds for which the database's write lock is held at most."""
_NOT_SHARED = (
    "Keep the database on a local file system of the machine that runs the containers (--db-path), "
    "or build with --workers direct."
)


def preflight(database: Database, images: Mapping[str, str], settings: DockerSettings) -> list[str]:
    """See that container workers could serve *database*.

    Args:
        images: worker type → image.

    Returns:
        What the user should know.

    Raises:
        EngineError: the engine does not answer, an image is not there or of another version, or the database
            cannot be used from inside a container.
    """
    require_place(database.path, settings.network)
    with closing(connect()) as client:
        found = [obtain(client, type_, name, settings) for type_, name in images.items()]
        assign_pools(WorkerTable(database), client)
    if found and not database.is_served:
        with closing(connect(_LOOK_LIMIT)) as client:
            _check_sharing(client, database, found[0].id, settings)
    warning = "" if database.is_served else sharing_warning(str(database.path), surroundings(database.path))
    return [warning] if warning else []


def _check_sharing(client: Any, database: Database, image: str, settings: DockerSettings) -> None:
    """Look from inside a container once per engine, user and place of the database."""
    with engine_errors():
        engine = client.info()["ID"]
    place = database.path.parent.stat()
    known = {"engine": engine, "user": invoking_user(client), "device": place.st_dev, "inode": place.st_ino}
    proof = database.state.path / "containers" / "shared"
    encoded = msgspec.json.encode([*known.items(), str(database.path)])
    if proof.is_file() and proof.read_bytes() == encoded:
        return
    start_reaper(database.path, settings.network)  # should this process be killed while the container looks
    try:
        answer = _look(client, database, image)
    finally:
        worker_closed(database.path, settings.network)
        dismiss_idle_reapers()
    _judge(answer, database)
    proof.parent.mkdir(exist_ok=True)
    proof.write_bytes(encoded)


def _look(client: Any, database: Database, image: str) -> str:
    """What a container sees of the database while this process holds its write lock, which it does for that only."""
    options = {
        "entrypoint": ["python", "-P", "-m", "clx.workers.lock_probe"],
        "command": [database_inside_of(database.path), "--wait"],
        "mounts": [bind(database.path)],
        "user": invoking_user(client),
        "network": "none",
        "labels": {"clx.probe": "1", **labels_of_owner(database.path)},
    }
    with engine_errors("look at the database from inside a container"):
        container = client.containers.create(image, **options)
        try:
            container.start()
            if not _is_ready(container):
                return _last_line(container)
            database.write("look_from_inside", lambda _connection: _have_it_look(container))
            return _last_line(container)
        finally:
            container.remove(force=True, v=True)


def _is_ready(container: Any) -> bool:
    """Wait for the container's first line; false when it ended, or did not come that far in time."""
    deadline = time.monotonic() + _LOOK_LIMIT
    while time.monotonic() < deadline:
        container.reload()
        ended, said = container.status == "exited", container.logs()
        if ended or b"\n" in said:
            return bool(said.split(b"\n")[0].decode("utf-8", "replace").strip() == READY) and not ended
        time.sleep(_PAUSE)
    return False


def _have_it_look(container: Any) -> None:
    container.kill("SIGUSR1")
    container.wait(timeout=_LOCKED_LIMIT)


def _last_line(container: Any) -> str:
    said = container.logs().decode("utf-8", "replace").strip().splitlines()
    return str(said[-1]) if said else ""


def _judge(answer: str, database: Database) -> None:
    path, said = database.path, answer.removeprefix("ERROR ") or "it said nothing"
    facts = {
        "FREE": f"Containers do not see the locks on {path}: two writers at once would damage it.",
        "MISSING": f"Containers do not see the database {path}.",
    }
    if answer != "BUSY":
        fact = facts.get(answer, f"The database {path} cannot be used from inside a container: {said}")
        raise EngineError(fact, _NOT_SHARED)
