"""Workers: processes that register themselves, claim jobs, run converters and report.

Public: :class:`WorkerPoolManager` with :class:`WorkerConfig`, and :class:`Worker`; imported when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clx.workers.process.loop import Worker
    from clx.workers.supervision.pool_manager import WorkerConfig, WorkerPoolManager

__all__ = ["Worker", "WorkerConfig", "WorkerPoolManager"]

_HOMES = {
    "Worker": "clx.workers.process.loop",
    "WorkerConfig": "clx.workers.supervision.pool_manager",
    "WorkerPoolManager": "clx.workers.supervision.pool_manager",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
