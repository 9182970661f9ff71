"""What a worker inside a container knows about itself: its image, where the database is mounted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from clx.workers.platforms import mount_name

DATABASE_VARIABLE = "CLX_DB"
"""The job table, as a path inside the container."""
DIRECTORY_VARIABLE = "CLX_DATABASE_DIR"
"""The database's directory on the host, as it was mounted."""
MACHINE_VARIABLE = "CLX_MACHINE"
"""The name of the machine that started this container, where the table is a server's."""
FILE_VARIABLE = "CLX_DATABASE_FILE"
"""The name of the database file in that directory."""


SHARED_AS = ".clx"
"""What the directory that is mounted is called inside: it is the state directory of whoever is in there."""


def database_inside(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The job table as this container's variables name it; None when they do not."""
    if DATABASE_VARIABLE in environ:
        return Path(environ[DATABASE_VARIABLE])
    if DIRECTORY_VARIABLE in environ:
        return Path(inside(environ[DIRECTORY_VARIABLE], environ.get(FILE_VARIABLE, "jobs.db")))
    return None


def inside(directory: str, file: str) -> str:
    """Where the database *file* of the host's *directory* lies in a container.

    Every image has ``/clx/data`` for the mount and a second name for it, ``/clx/.clx``: a directory called
    ``.clx`` is its own state directory, and must be called so inside as well.
    """
    return str(PurePosixPath("/clx", mount_name(directory), file))
