"""CLX: runs work from a job table in one file, and builds teaching material with it."""

from __future__ import annotations

__version__ = "0.1.0"
