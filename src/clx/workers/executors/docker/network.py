"""The network that containers join: made when it is missing, removed only when CLX made it and it is empty."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from clx.errors import EngineError
from clx.workers.executors.docker.engine import engine_errors, is_conflict

LABEL = "clx.network"
_making = threading.Lock()
_BUILT_IN = frozenset({"none", "host", "bridge", "default"})
_CORRECT = "Correct docker.network: the name of a network that is there or can be made, or none."


def _is_given(name: str) -> bool:
    """Whether the engine has it anyway, or it is that of another container."""
    return name in _BUILT_IN or name.startswith("container:")


def ensure_network(client: Any, name: str) -> None:
    """See that the network *name* is there, once."""
    if _is_given(name):
        return
    with _making, engine_errors(f"look for the network {name}"):
        if not _find(client, name):
            _make(client, name)
        if len(_find(client, name)) > 1:
            _drop_twins(client, name)


def _make(client: Any, name: str) -> None:
    try:
        with engine_errors(f"make the network {name}"):
            # not networks.create(): that looks at it afterwards, when another process may have dropped the twin
            client.api.create_network(name, labels={LABEL: "1"}, check_duplicate=True)
    except EngineError as error:
        if not is_conflict(error):  # another process was faster
            raise EngineError(error.fact, error.next_step or _CORRECT) from error


def _drop_twins(client: Any, name: str) -> None:
    """Leave one network of the name: of two that processes made at the same moment neither can be joined.

    One that has a container in it already stays, for the engine refuses to remove it.
    """
    for twin in sorted(_find(client, name), key=lambda network: str(network.id), reverse=True):
        if len(_find(client, name)) > 1:
            _remove_own(twin)


def drop_network(client: Any, name: str) -> None:
    """Remove the network *name* if CLX made it and nobody uses it."""
    if not _is_given(name):
        for network in _find(client, name):
            _remove_own(network)


def _remove_own(network: Any) -> None:
    """Remove a network that CLX made; one that is in use, or that somebody else has just removed, is left alone."""
    if LABEL in (network.attrs.get("Labels") or {}):
        with contextlib.suppress(EngineError), engine_errors():
            network.remove()


def _find(client: Any, name: str) -> list[Any]:
    return [network for network in client.networks.list(names=[name]) if network.name == name]
