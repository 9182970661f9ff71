"""``clx build --check-links``: whether the web addresses that pages link to are there.

Asked for the head first, then for the whole; what answers that it wants a login, or no robots, counts as there.
An address that was there is not asked for again on the same day.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from clx.course.build_state import BuildState

_TIMEOUT = 10.0
_AT_ONCE = 8
_KEPT = 24 * 3600.0
_ROOT = "web\n"
"""What stands in place of a course root for what is known of addresses: no path has a line break."""
_THERE = frozenset({401, 402, 403, 405, 406, 407, 418, 429, 451, 999})
"""Answers of servers that have something but not for everybody, or not for programs."""
_SAFE = "/:@!$&'()*+,;=-._~%"
_HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; CLX link check)", "Accept": "*/*"}

Problem = Callable[[str], str]
"""Why an address is not there; empty if it is."""


def broken(
    addresses: Iterable[str], state: BuildState, now: float | None = None, problem: Problem | None = None
) -> dict[str, str]:
    """The addresses that are not there, each with the reason.

    Args:
        state: remembers those that are.
        now: seconds since 1970; None: the clock.
        problem: how to ask for one; None: over the web.
    """
    now = time.time() if now is None else now
    known = state.sources(_ROOT)
    unsure = [each for each in dict.fromkeys(addresses) if not _is_fresh(known.get(each), now)]
    executor = ThreadPoolExecutor(_AT_ONCE, "clx link")
    try:
        found = dict(zip(unsure, executor.map(problem or problem_of, unsure), strict=True))
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    state.remember(_ROOT, {}, {each: {"at": now} for each, why in found.items() if not why})
    return {each: why for each, why in found.items() if why}


def _is_fresh(known: Any, now: float) -> bool:
    at = known.get("at") if isinstance(known, Mapping) else None
    return isinstance(at, int | float) and 0 <= now - at < _KEPT


def problem_of(address: str) -> str:
    """Why a web address is not there; empty if it is."""
    try:
        asked = _ascii(address)
    except ValueError as error:
        return f"is no web address ({error})"
    return _asked(asked, "HEAD") and _asked(asked, "GET")


def _asked(address: str, method: str) -> str:
    request = Request(address, headers=_HEADERS, method=method)  # noqa: S310  (http and https: see page_facts)
    try:
        with urlopen(request, timeout=_TIMEOUT):  # noqa: S310
            return ""
    except HTTPError as error:
        error.close()
        return "" if error.code in _THERE and method == "GET" else f"answers {error.code} {error.reason}".rstrip()
    except URLError as error:
        reason = error.reason
        if isinstance(reason, TimeoutError):
            return f"does not answer within {_TIMEOUT:.0f} seconds"
        return f"cannot be reached ({getattr(reason, 'strerror', None) or reason})"
    except TimeoutError:
        return f"does not answer within {_TIMEOUT:.0f} seconds"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"cannot be reached ({error or type(error).__name__})"


def _ascii(address: str) -> str:
    """An address as it is sent: other characters escaped, the host as the registry has it."""
    parts = urlsplit(address)
    if not parts.hostname:
        raise ValueError("it names no host")
    host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.netloc
    if not parts.hostname.isascii() and parts.port:
        host = f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, host, quote(parts.path, safe=_SAFE), quote(parts.query, safe=_SAFE + "?/"), ""))
