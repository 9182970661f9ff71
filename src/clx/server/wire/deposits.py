"""Deposits that come in twice: sent again by a client that has heard no answer, or meant as two.

Both look alike, for clients send no key of their own; so the table takes what is the same within a minute as one. But
some programs deposit one object several times, and want as many works. A deposit is a further one if

* the one before it was answered as a whole,
* it comes sooner after that answer than any client that got none sends again: each waits for :data:`_SENT_AGAIN`; and
* its client, unless it is ``workflow-core``, has looked for the server since, as it does before each deposit of one.

Otherwise, an answer that was broken or another server, it is the same.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence

from clx.db.works.depositing import SAME_FOR
from clx.db.works.models import Document, deposit_key, fields_of

_SENT_AGAIN = {True: 0.1, False: 0.5}
"""Whether it is ``workflow-core`` → seconds that a client waits at least before it sends a deposit again."""
_MOST = 20_000
"""Deposits, and callers, that are remembered."""


class Deposits:
    """Those that were answered lately.

    Args:
        clock: seconds that are never set.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._lock = threading.Lock()
        self._answered: OrderedDict[Hashable, float] = OrderedDict()
        self._looked: OrderedDict[Hashable, float] = OrderedDict()

    def meant(self, documents: Sequence[Document], caller: str, arrived: float, *, is_core: bool) -> set[int]:
        """The places of those that are meant as further ones, though the same have come in before.

        Args:
            caller: the address that they come from.
            arrived: when they came in, by the clock.
        """
        soon = _SENT_AGAIN[is_core]
        with self._lock:
            looked = arrived if is_core else self._looked.get(caller, -1e9)
            if arrived - looked >= soon:
                return set()
            answered = [self._answered.get(_digest(each), 1e99) for each in documents]
        return {index for index, at in enumerate(answered) if at <= looked and arrived - at < soon}

    def note_looked(self, caller: str) -> None:
        """A client has looked for the server."""
        with self._lock:
            self._note(self._looked, caller)

    def note_answered(self, documents: Iterable[Document]) -> None:
        """The answer to deposits was written."""
        with self._lock:
            for each in documents:
                self._note(self._answered, _digest(each))

    def _note(self, noted: OrderedDict[Hashable, float], what: Hashable) -> None:
        now = self.now()
        noted[what] = now
        noted.move_to_end(what)
        while len(noted) > _MOST or now - next(iter(noted.values())) > SAME_FOR / 1000:
            noted.popitem(last=False)


def _digest(document: Document) -> int:
    return hash(deposit_key(document, fields_of(document)))
