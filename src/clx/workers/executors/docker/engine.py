"""The container engine: reaching it, and what its many ways of failing mean.

A stopped daemon raises errors of the HTTP library, not of the SDK, so both are caught. Nothing else in CLX
imports the SDK, and this module only when an engine is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from clx import DISTRIBUTION
from clx.errors import EngineError, ToolMissingError
from clx.platforms import system

ANSWER_LIMIT = 10.0
"""Seconds the engine has for an ordinary request before it counts as hanging."""
DEFAULT_HOST = system.ENGINE_HOST
_PATIENCE = 60.0
"""Seconds for which an engine that hung is not asked again for what may as well stay undone."""
_OR_DIRECT = "or build with --workers direct."
_START_IT = f"Start it (Docker Desktop, or: sudo systemctl start docker), {_OR_DIRECT}"
_RESTART_IT = f"Restart it (Docker Desktop, or: sudo systemctl restart docker), {_OR_DIRECT}"
_NOT_ASKED = ("InvalidURL", "No host supplied", "NameResolutionError", "Failed to resolve")
_TLS = ("SSLError", "SSL:", "CERTIFICATE", "HTTP request to an HTTPS server")
_CORRECT_TLS = (
    "Correct DOCKER_TLS_VERIFY and DOCKER_CERT_PATH (the directory with ca.pem, cert.pem and key.pem), "
    "or unset them where the engine has no TLS."
)

T = TypeVar("T")

log = logging.getLogger("clx.docker")
_hangs_until = 0.0


def connect(timeout: float = ANSWER_LIMIT) -> Any:
    """A client of the engine that ``DOCKER_HOST`` names, of the local one without it.

    Args:
        timeout: seconds one request may take.

    Raises:
        ToolMissingError: the SDK is not installed.
        EngineError: the engine does not answer, hangs, or this user may not use it.
    """
    try:
        import docker
    except ImportError:
        raise ToolMissingError(
            "Containers need the package docker, which is not installed.",
            f'Type: pip install "{DISTRIBUTION}[docker]"',
        ) from None
    with engine_errors():
        _require_listener(timeout)
        try:
            return docker.from_env(timeout=timeout)
        except ValueError as error:  # a port that is none
            raise _wrong_host(error) from error


def _require_listener(timeout: float) -> None:
    """See that somebody listens at a local socket: the SDK leaves its own open where nobody does."""
    from requests.exceptions import ConnectionError as NotConnectedError

    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if not host.startswith("unix://"):
        return
    with system.local_socket(socket.SOCK_STREAM) as caller:
        caller.settimeout(timeout)
        try:
            caller.connect("/" + host.removeprefix("unix://").lstrip("/"))
        except OSError as error:
            raise NotConnectedError(str(error)) from error


@contextlib.contextmanager
def engine_errors(doing: str = "") -> Iterator[None]:
    """Turn whatever the SDK raises inside into an :class:`EngineError`, whose message says what it was *doing*."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        if any(sign in str(error) for sign in _TLS):
            raise _unreachable(error) from error
        to_do = f" to {doing}" if doing else ""
        raise EngineError(f"The container engine refused{to_do}: {reason(error)}") from error
    except (DockerException, RequestException) as error:
        raise _unreachable(error) from error


def reason(error: Exception) -> str:
    """What the engine said, in one line."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())


def _unreachable(error: Exception) -> EngineError:
    """What is wrong between here and the engine: the way to it, this user's rights, or the engine itself."""
    from docker.errors import TLSParameterError

    host, named = os.environ.get("DOCKER_HOST", DEFAULT_HOST), "DOCKER_HOST" in os.environ
    text = str(error)
    if "timed out" in text.lower():
        return EngineError(f"The container engine at {host} does not answer: it hangs.", _RESTART_IT)
    if isinstance(error, TLSParameterError) or any(sign in text for sign in _TLS):
        return EngineError(f"There is no TLS connection to the container engine at {host}.", _CORRECT_TLS)
    if named and (not _was_asked(error) or any(sign in text for sign in _NOT_ASKED)):
        return _wrong_host(error)
    if "Permission denied" in text:
        return EngineError(
            f"This user may not use the container engine at {host}.",
            f"Type: sudo usermod -aG docker $USER (and log in again), {_OR_DIRECT}",
        )
    start = _START_IT.replace(_OR_DIRECT, f"correct DOCKER_HOST, {_OR_DIRECT}") if named else _START_IT
    return EngineError(f"The container engine at {host} does not answer.", start)


def _was_asked(error: Exception) -> bool:
    """Whether a request was made at all: what is wrong with an address is told before."""
    from requests.exceptions import RequestException

    return isinstance(error, RequestException) or isinstance(error.__context__, RequestException)


def _wrong_host(error: Exception) -> EngineError:
    host, said = os.environ.get("DOCKER_HOST", ""), reason(error).partition(" (Caused by")[0]
    return EngineError(
        f"DOCKER_HOST is {host}, where no engine can be reached: {said}",
        f"Correct it (unix:///var/run/docker.sock, tcp://HOST:PORT) or unset it, {_OR_DIRECT}",
    )


def where_possible(action: Callable[[], object]) -> None:
    """Do what is good to do, and no loss where it fails: the thing is gone already, or the engine is away.

    While the engine hangs nothing is tried: each request would take its time in vain.
    """
    global _hangs_until
    if is_known_to_hang():
        return
    try:
        with engine_errors():
            action()
    except EngineError as error:
        if "timed out" in str(error.__cause__).lower():
            _hangs_until = time.monotonic() + _PATIENCE
            log.warning("%s What is left in it is removed by the next command on this database.", error.fact)


def is_known_to_hang() -> bool:
    """Whether a request was in vain a short time ago."""
    return time.monotonic() < _hangs_until


def look_up(ask: Callable[[], T], doing: str) -> T | None:
    """What the engine has; None where it has no such thing."""
    try:
        with engine_errors(doing):
            return ask()
    except EngineError as error:
        if is_not_found(error):
            return None
        raise


def is_not_found(error: EngineError) -> bool:
    """Whether it came from something that is not there."""
    return getattr(error.__cause__, "status_code", None) == 404


def is_ambiguous(error: EngineError) -> bool:
    """Whether it came from a network of which two processes made one each at the same moment."""
    return "is ambiguous" in str(error.__cause__)


def is_conflict(error: EngineError) -> bool:
    """Whether it came from a name that is taken."""
    return getattr(error.__cause__, "status_code", None) == 409
