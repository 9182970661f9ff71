"""The pipelines of a server: what :class:`clx.db.pipelines.table.Pipelines` does there, with the same values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clx.db.pipelines.models import ConfigDefinition
from clx.db.pipelines.table import Deployed
from clx.db.validation import check_timeout

_LONGEST_WAIT = 60.0
_MOST = 1000
_REST = 1.0
"""Seconds between two looks at pipelines of which no work waits or runs: paused ones."""
_Call = Callable[..., Any]


class RemotePipelines:
    """The pipelines of one server.

    Args:
        call: makes a call of it: method, path, the kind of its answer; ``again``, ``body``, ``wait``.
    """

    def __init__(self, call: _Call) -> None:
        self._call = call

    def deploy(self, config: ConfigDefinition) -> Deployed:
        """As :meth:`clx.db.pipelines.table.Pipelines.deploy`; the server reads the text anew."""
        body = {"yaml": config.yaml, "user": config.owner}
        found = self._call("POST", "/pipelines", dict[str, Any], again=False, body=body)
        return Deployed(found["config"], found["pipelines"])

    def pause(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.pipelines.table.Pipelines.pause`."""
        return self._change("pause", ids)

    def resume(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.pipelines.table.Pipelines.resume`."""
        return self._change("resume", ids)

    def stop(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.pipelines.table.Pipelines.stop`."""
        return self._change("stop", ids)

    def retry(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.pipelines.table.Pipelines.retry`."""
        return self._change("retry", ids)

    def remove(self, ids: Iterable[str]) -> list[str]:
        """As :meth:`clx.db.pipelines.table.Pipelines.remove`."""
        return self._change("remove", ids, again=False)  # the second time they are not there

    def _change(self, verb: str, ids: Iterable[str], *, again: bool = True) -> list[str]:
        body = {"ids": list(ids)}
        found: list[str] = self._call("POST", f"/pipelines/{verb}", dict[str, Any], again=again, body=body)["ids"]
        return found

    def configs(
        self, *, ids: Iterable[str] | None = None, name: str | None = None, pipeline: str | None = None,
        limit: int = _MOST,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """As :meth:`clx.db.pipelines.table.Pipelines.configs`; at most 1,000."""
        body = {"ids": _listed(ids), "name": name, "pipeline": pipeline, "limit": limit}
        return list(self._call("POST", "/pipelines/configs", dict[str, Any], body=body)["configs"])

    def find(
        self, *, ids: Iterable[str] | None = None, name: str | None = None, config: str | None = None,
        status: Sequence[str] = (), limit: int = _MOST,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """As :meth:`clx.db.pipelines.table.Pipelines.find`; at most 1,000."""
        body = {"ids": _listed(ids), "name": name, "config": config, "status": list(status), "limit": limit}
        return list(self._call("POST", "/pipelines/find", dict[str, Any], body=body)["pipelines"])

    def wait(self, ids: Iterable[str], timeout: float | None = None) -> list[dict[str, Any]]:
        """As :meth:`clx.db.pipelines.table.Pipelines.wait`."""
        check_timeout(timeout)
        wanted = list(ids)
        ends_at = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _LONGEST_WAIT if ends_at is None else min(_LONGEST_WAIT, max(0.0, ends_at - time.monotonic()))
            body = {"ids": wanted, "timeout": left}
            found = list(self._call("POST", "/pipelines/wait", dict[str, Any], body=body, wait=left)["pipelines"])
            if all(each["stop"] is not None for each in found):
                return found
            if ends_at is not None and time.monotonic() >= ends_at:
                return found
            if any(each["status"] == "paused" for each in found):
                time.sleep(min(_REST, left))


def _listed(ids: Iterable[str] | None) -> list[str] | None:
    return None if ids is None else list(ids)
