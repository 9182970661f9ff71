from __future__ import annotations

from tests.workers.conftest import mode, scene

__all__ = ["mode", "scene"]
