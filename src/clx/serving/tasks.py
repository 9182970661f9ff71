"""Tasks that nobody awaits: they are held until they have ended, as the event loop itself does not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks(set[asyncio.Task[None]]):
    """Those that have not ended."""

    def begin(self, doing: Coroutine[Any, Any, None]) -> None:
        """Have the running loop do something."""
        task = asyncio.get_running_loop().create_task(doing)
        self.add(task)
        task.add_done_callback(self.discard)
