"""Asking a tool for its version by starting it: for ``clx doctor``, never for a build."""

from __future__ import annotations

import re
import subprocess

from clx.workers.tools.finding import Tool

_LIMIT_S = 20


def probe_version(tool: Tool, java: Tool | None = None) -> str:
    """The version that *tool* reports about itself; empty when it does not run or does not say.

    Args:
        tool: a located tool.
        java: the Java to start a jar with; a jar without it keeps the version found when locating.
    """
    if tool.path.suffix == ".jar":
        if java is None:
            return tool.version
        command = [str(java.path), "-Djava.awt.headless=true", "-jar", str(tool.path), "-version"]
    elif tool.path.is_dir():
        return tool.version
    else:
        options = {"java": "-version", "graphviz": "-V", "browser": "--version"}
        command = [str(tool.path), options[tool.name]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found.group(0) if found and done.returncode == 0 else ""
