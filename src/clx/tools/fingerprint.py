"""What a tool is known by where results depend on it; no process is started."""

from __future__ import annotations

from pathlib import Path

from clx.tools.finding import Tool

MISSING = "missing"
"""What stands for a tool, a file or a package that is not there."""


def tool_fingerprint(tool: Tool | None, main_file: str = "") -> str:
    """A tool that CLX installed is known by its version, for its bytes were verified; any other one by its file.

    Args:
        main_file: its largest file, of a tool that is a directory.
    """
    if tool is None:
        return MISSING
    return tool.version if tool.origin == "cache" else file_stamp(tool.path / main_file)


def file_stamp(path: Path) -> str:
    """A file's resolved path, size in bytes and time of change in nanoseconds."""
    resolved = path.resolve()
    try:
        found = resolved.stat()
    except OSError:
        return MISSING
    return f"{resolved} {found.st_size} {found.st_mtime_ns}"
