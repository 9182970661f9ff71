"""Running code cells in kernels: strings in, nbformat-4 outputs out, nothing known of decks.

Names are imported when they are used: a build asks for the fingerprint alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clx.jobtypes.notebook.execution.interpreter import interpreter_fingerprint
    from clx.jobtypes.notebook.execution.pool import KernelPool
    from clx.jobtypes.notebook.execution.results import CellFailed, CellResult

__all__ = ["CellFailed", "CellResult", "KernelPool", "interpreter_fingerprint"]

_HOMES = {
    "CellFailed": "results",
    "CellResult": "results",
    "KernelPool": "pool",
    "interpreter_fingerprint": "interpreter",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
