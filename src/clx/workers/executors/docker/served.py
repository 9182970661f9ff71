"""What a container needs to work on a table of a server: a way there, the URL, and artifacts.

It gets the URL with its password by its environment, and mounts the artifacts and nothing else; all else beside the
table is memory of its own. A job in it can so read the URL and write any row of the table.
"""

from __future__ import annotations

import platform
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from clx.commands import SERVED
from clx.db.apart import state_directory
from clx.errors import EngineError
from clx.workers.container_env import MACHINE_VARIABLE
from clx.workers.platforms import mount_source, surroundings

_STATE = PurePosixPath("/clx/state")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def is_served(database: Path) -> bool:
    """Whether *database* is the file that stands for a table of a server."""
    return database.name.endswith(SERVED)


def inside_of(database: Path) -> PurePosixPath:
    """Where a container has the file that stands for the table, as :mod:`clx.db.postgresql.address` places it."""
    return _STATE / "clx" / "postgresql" / database.parent.parent.name / ".clx" / database.name


def require_way(database: Path, network: str) -> None:
    """See that a container could reach the server.

    Raises:
        EngineError: by the name that the server has here it would look within itself; or by a socket of this machine,
            which it cannot have.
    """
    from clx.db.postgresql.address import of_place

    address = of_place(database)
    if address.host.startswith("/") or address.is_local:
        if surroundings(database).platform != "linux":
            raise EngineError(
                f"{address} is reached by a socket of this machine, which containers here cannot have.",
                "Let the server listen on an address, and name that in the URL; or build with --workers direct.",
            )
    elif address.host in _LOCAL and network != "host":
        raise EngineError(
            f"{address} is this machine itself, and for a container it would be the container.",
            "Name the machine by an address on which the server listens; or type: clx config set docker.network host",
        )


def require_way_to_artifacts(url: str | None, network: str) -> None:
    """See that a container could reach the server of artifacts at *url*; None: there is none.

    Raises:
        EngineError: by the name that the server has here it would look within itself.
    """
    if url is not None and urlsplit(url).hostname in _LOCAL and network != "host":
        raise EngineError(
            f"The server of artifacts at {url} is this machine itself, and for a container it would be the container.",
            "Name the machine by an address on which the server listens; or type: clx config set docker.network host",
        )


def environment(database: Path) -> dict[str, str]:
    """The variables by which a container finds the table, and says whose it is.

    Raises:
        DatabaseError: the server cannot be reached from here.
    """
    from clx.db.postgresql.address import VARIABLE, of_place
    from clx.db.postgresql.connect import ServerClock, connect
    from clx.db.postgresql.driver import driver, translate

    address = of_place(database)
    try:
        with connect(address, ServerClock(), seconds=10.0) as raw:
            password = str(raw.info.password or "")  # also one of ~/.pgpass, which no container has
    except driver.Error as error:
        raise translate(error, str(address)) from error
    return {
        VARIABLE: address.with_password(password),
        "XDG_STATE_HOME": str(_STATE),
        MACHINE_VARIABLE: platform.node(),
    }


def mounts(database: Path) -> list[Any]:
    """The artifacts of this machine and, where the server is reached by one, the directory of its socket."""
    from docker.types import Mount

    from clx.db.postgresql.address import of_place

    artifacts = state_directory(database) / "artifacts"
    artifacts.mkdir(exist_ok=True)
    source = mount_source(str(artifacts), surroundings(database).platform)
    found = [Mount(str(inside_of(database).parent / "artifacts"), source, type="bind")]
    address = of_place(database)
    if address.socket_directory:
        found.append(Mount(address.socket_directory, address.socket_directory, type="bind"))
    return found


def memory(database: Path) -> dict[str, str]:
    """Where a container has its own state directory: in memory, for its user to write."""
    return {str(inside_of(database).parent): "rw,exec,mode=1777"}
