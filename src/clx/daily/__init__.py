"""A flow of a day: steps over machines, from what a day brings to what a lake keeps of it.

``from clx.daily import Flow, Step, Lake``; see docs/daily.md. What a flow file imports is light: no engine, no Arrow.
"""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "Flow": "clx.daily.flow",
    "Step": "clx.daily.flow",
    "at_least": "clx.daily.flow",
    "Lake": "clx.daily.lake",
    "Version": "clx.daily.lake",
    "Check": "clx.daily.checks",
}
__all__ = ["Check", "Flow", "Lake", "Step", "Version", "at_least"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
