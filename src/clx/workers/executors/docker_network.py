"""The network that containers join: made when it is missing, removed only when CLX made it and it is empty."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from clx.errors import EngineError
from clx.workers.executors.docker_engine import engine_errors

LABEL = "clx.network"
_making = threading.Lock()
_BUILT_IN = frozenset({"none", "host", "bridge"})


def ensure_network(client: Any, name: str) -> None:
    """See that the network *name* is there.

    Raises:
        EngineError: the engine refuses to make it.
    """
    if name in _BUILT_IN:
        return
    with _making, engine_errors(f"make the network {name}"):
        if not _find(client, name):
            client.networks.create(name, labels={LABEL: "1"}, check_duplicate=True)
        _drop_twins(client, name)


def _drop_twins(client: Any, name: str) -> None:
    """Keep one network of the name: two processes that make it at once may both succeed, and neither is usable."""
    for twin in sorted(_find(client, name), key=lambda network: str(network.id))[1:]:
        if LABEL in (twin.attrs.get("Labels") or {}):
            with contextlib.suppress(EngineError), engine_errors():
                twin.remove()


def drop_network(client: Any, name: str) -> bool:
    """Remove the network *name* if CLX made it and nobody uses it; says whether it was removed."""
    removed = False
    for network in _find(client, name) if name not in _BUILT_IN else ():
        if LABEL in (network.attrs.get("Labels") or {}):
            # refused while a container is attached, and not found when somebody else was faster
            with contextlib.suppress(EngineError), engine_errors():
                network.remove()
                removed = True
    return removed


def _find(client: Any, name: str) -> list[Any]:
    return [network for network in client.networks.list(names=[name]) if network.name == name]
