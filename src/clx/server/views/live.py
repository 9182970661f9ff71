"""The page live: one stream that tells each browser what has become of what it shows.

However many watch the same, it is looked at once a second and drawn once; who watches something else costs a look
more, and all looks together take no more than a part of the time. A browser is told only when what it shows is other
than what it has, and nothing while its page is hidden, for then it does not listen.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.types import Scope

from clx.db.jobs import Queue
from clx.errors import ClxError
from clx.server.answers import Refusal
from clx.server.threads import DatabaseThreads
from clx.server.views import events
from clx.server.views.events import Events, Listener, log
from clx.server.views.rendering import LONGEST_URL, Renderer

_SHARE = 0.5
"""Looking for those who watch may take this part of the time."""


class Watcher(Listener):
    """A browser that watches a view.

    Attributes:
        version: of what it shows.
    """

    def __init__(self, url: str, role: str, version: str) -> None:
        super().__init__()
        self.key = (url, role)
        self.version = version


class Live(Events):
    """The stream of the page as an ASGI application.

    Args:
        queue: the jobs.
        threads: what asks the table.
        renderer: what there is to be shown.
    """

    def __init__(self, queue: Queue, threads: DatabaseThreads, renderer: Renderer) -> None:
        super().__init__(queue, threads)
        self._renderer = renderer
        self._looked_at: dict[tuple[str, str], float] = {}

    def _listener(self, scope: Scope) -> Listener:
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        url, version = (asked.get(name, [""])[0] for name in ("view", "seen"))
        if not url.startswith("/") or len(url) > LONGEST_URL:
            raise Refusal(422, "The view that is watched has an address.", "Give ?view=/jobs.")
        return Watcher(url, scope["user"].role, version)

    async def _watch(self) -> None:
        while self._listeners and not self._ends:
            begun = time.monotonic()
            keys = {each.key for each in self._watchers()}
            self._looked_at = {key: self._looked_at.get(key, 0.0) for key in keys}
            for key in sorted(keys, key=lambda each: self._looked_at[each]):  # the longest ago first
                self._looked_at[key] = time.monotonic()
                try:
                    await self._look_at(*key)
                except (Refusal, ClxError):  # it is not there any more, or the table does not answer
                    pass
                except Exception:
                    log.exception("a view cannot be drawn", extra={"action": "view_failed"})
                if time.monotonic() - begun > events.BEAT * _SHARE:
                    break
            await asyncio.sleep(max(0.05, events.BEAT - (time.monotonic() - begun)))

    async def _look_at(self, url: str, role: str) -> None:
        shown = await self._threads.read(partial(self._renderer.show, url, role))
        event: bytes | None = None
        for each in self._watchers():
            if each.key == (url, role) and each.version != shown.version:
                event = event or _event(shown.main, shown.version)
                each.version = shown.version
                if not each.tell(event):
                    self._listeners.discard(each)

    def _watchers(self) -> list[Watcher]:
        return [each for each in self._listeners if isinstance(each, Watcher)]


def _event(main: str, version: str) -> bytes:
    told: dict[str, Any] = {"main": main, "version": version}
    return b"event: view\ndata: %b\n\n" % msgspec.json.encode(told)
