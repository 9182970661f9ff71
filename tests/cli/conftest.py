"""Fixtures of the command line tests."""

from __future__ import annotations

from tests.workers.conftest import scene

__all__ = ["scene"]
