"""Running code cells in kernels: strings in, nbformat-4 outputs out, nothing known of decks."""

from __future__ import annotations

from clx.workers.notebook.execution.identity import interpreter_fingerprint
from clx.workers.notebook.execution.pool import KernelPool
from clx.workers.notebook.execution.results import CellFailed, CellResult

__all__ = ["CellFailed", "CellResult", "KernelPool", "interpreter_fingerprint"]
