"""Calls of a server: kept connections, a token, and the errors that the table raised, raised here."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec
import urllib3

import clx.errors
from clx.db.models import encode
from clx.errors import AccessError, ClxError, DatabaseBusyError, ServerError, UsageError
from clx.remote.wire import FAILURES, Wire

TOKEN_VARIABLE = "CLX_TOKEN"  # noqa: S105  (the name of a variable)
"""The environment variable that holds the token, where none is given."""
_WAYS = "Write http://HOST:PORT or https://HOST."
_NEEDED = re.compile(r"It needs (?:the role )?(\w+)\.")
"""What a server says that a role is too small for."""
_LINGER = 30.0
"""Seconds beyond what a call waits for by itself, within which its answer must have come."""


class Connection:
    """Calls one server. Usable from several threads: each call takes a connection that is free.

    Args:
        url: ``http://HOST:PORT`` or ``https://HOST``, with a path where a proxy has it below one.
        token: what it is shown; None: :data:`TOKEN_VARIABLE`, if it is set.
        ca_file: the certificate of who vouches for the server's, where the system does not know him.
        insecure: whether the token may go to another machine unencrypted.

    Raises:
        UsageError: the URL is none, or the token would be read on the way.
    """

    def __init__(
        self, url: str, token: str | None, *, ca_file: str | os.PathLike[str] | None = None, insecure: bool = False
    ) -> None:
        token = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        parts, headers, trusted = _of(url, token, ca_file=ca_file, insecure=insecure)
        self._wire = Wire(parts, headers, trusted)
        self.url = url.rstrip("/")
        self._path = f"{quote(urlsplit(self.url).path, safe='/%:@!$&()*+,;=~')}/api/v1"

    def call(
        self,
        method: str,
        path: str,
        kind: Any,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        wait: float = 0,
    ) -> Any:
        """The answer to one call, as *kind*.

        Args:
            body: what is sent as JSON; None: nothing.
            query: parameters; those that are None are left out.
            wait: seconds for which the server itself may take its time.

        Raises:
            ClxError: what the table raised there.
            AccessError: the token is none, or its role may not do this.
            ServerError: the server does not answer, or is none of CLX.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        where = f"{self._path}{_quoted(path)}" + (f"?{urlencode(given, doseq=True)}" if given else "")
        sent = None if body is None else encode(body).encode()
        try:
            status, data = self._wire.call(method, where, sent, wait + _LINGER)
        except FAILURES as error:
            raise ServerError(
                f"{self.url} does not answer: {_reason(error)}.", "Is `clx server` running there?"
            ) from error
        return _read(self.url, status, data, kind)

    def close(self) -> None:
        """Close its connections."""
        self._wire.close()


_quoted = lru_cache(256)(quote)


def was_lost(error: ServerError) -> bool:
    """Whether a call failed because no answer came, so that what it asked for may have been done."""
    return isinstance(error.__cause__, FAILURES)


def make_pool(
    url: str, token: str, *, ca_file: str | os.PathLike[str] | None, insecure: bool, **more: Any
) -> urllib3.PoolManager:
    """Connections to one server, which is shown *token* with every call.

    Args:
        ca_file, insecure: as of :class:`Connection`.
        more: of the pool.

    Raises:
        UsageError: the URL is none, or the token would be read on the way.
    """
    _, headers, trusted = _of(url, token, ca_file=ca_file, insecure=insecure)
    return urllib3.PoolManager(headers=headers, ssl_context=trusted, **more)


def _of(
    url: str, token: str, *, ca_file: str | os.PathLike[str] | None, insecure: bool
) -> tuple[SplitResult, dict[str, str], ssl.SSLContext | None]:
    """The parts of a server's URL, the headers of every call, and whom to believe which server it is."""
    parts = _checked(url)
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError("The token holds what no token holds.", "Copy it anew: it is one word of letters and digits.")
    if token and parts.scheme == "http" and not insecure and not _is_here(parts.hostname or ""):
        raise UsageError(
            f"The token would go to {parts.hostname} unencrypted.",
            "Use https://, or an SSH tunnel; insecure=True (artifacts.insecure) where nobody is on the way.",
        )
    headers = {"accept": "application/json", "user-agent": "clx"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    try:
        trusted = ssl.create_default_context(cafile=ca_file) if ca_file is not None else None
    except OSError as error:
        raise UsageError(f"{ca_file} is no file of certificates: {error.strerror or error}.", "Correct it.") from error
    return parts, headers, trusted


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the address of a server.", _WAYS)
    if parts.username or parts.password:
        raise UsageError("A token does not belong into the address, which is shown and logged.", "Give token=….")
    return parts


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _read(url: str, status: int, data: bytes, kind: Any) -> Any:
    try:
        if status < 300:
            return msgspec.json.decode(data, type=kind)
        told = msgspec.json.decode(data, type=dict[str, Any])
        fact, next_step = str(told["error"]), str(told.get("next_step", ""))
    except (msgspec.MsgspecError, KeyError):
        raise ServerError(
            f"{url} answers ({status}), but not as a server of this CLX.",
            "Is it the address of `clx server`, and of which version?",
        ) from None
    raise _error(status, fact, next_step, told)


def _with_role(next_step: str) -> str:
    """How who called gets the role that is needed, where an answer says which."""
    found = _NEEDED.fullmatch(next_step)
    if found is None:
        return next_step
    return (
        f"Set CLX_TOKEN to a token with the role {found[1]}; `clx server token add NAME --role {found[1]}` makes it, "
        "at the server."
    )


def _error(status: int, fact: str, next_step: str, told: Mapping[str, Any]) -> ClxError:
    """The error that was raised there."""
    kind = getattr(clx.errors, str(told.get("type", "")), None)
    if isinstance(kind, type) and issubclass(kind, ClxError):
        error = kind.__new__(kind)
        ClxError.__init__(error, fact, next_step)
        vars(error).update(told.get("detail") or {})
        return error
    if status == 401:
        return AccessError(fact, "Set CLX_TOKEN to one; `clx server token add NAME --role R` makes it, at the server.")
    if status == 403:
        return AccessError(fact, _with_role(next_step))
    if status == 503:
        return DatabaseBusyError(fact, next_step)
    return clx.errors.QueueError(fact, next_step) if status == 422 else ServerError(fact, next_step)
