"""Finding, and where possible installing, the programs that converters need."""

from __future__ import annotations

from clx.tools.finding import Tool, locate, require
from clx.tools.pins import TOOL_NAMES, install_hint

__all__ = ["TOOL_NAMES", "Tool", "install_hint", "locate", "require"]
