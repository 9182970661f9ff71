"""What this system is, and what it lacks: no other room asks which one it is.

``system`` is :mod:`clx.platforms.posix` or :mod:`clx.platforms.windows`, which have the same names.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING or find_spec("fcntl") is not None:
    from clx.platforms import posix as system
else:
    from clx.platforms import windows as system

__all__ = ["system"]
