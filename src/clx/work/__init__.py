"""Works as programs use them: :class:`clx.work.work.Work`, and where they lie (:func:`at`)."""

from __future__ import annotations

from clx.work.place import at as at
from clx.work.work import Work as Work

__all__ = ["Work", "at"]
