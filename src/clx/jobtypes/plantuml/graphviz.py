"""Graphviz behind a small script that notes its failures.

When Graphviz fails, PlantUML draws a picture that says so and reports success; not always does it log
anything. Nothing but the exit status of ``dot`` itself can be relied upon.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from clx.errors import ToolMissingError
from clx.tools.catalog import install_hint

_LIMIT_S = 20
_SCRIPT = """#!/bin/sh
case "$1" in -V) exec {dot} "$@" ;; esac
if command -v setpriv >/dev/null 2>&1; then
    setpriv --pdeathsig KILL {dot} "$@" 2>{errors} && exit 0
else
    {dot} "$@" 2>{errors} && exit 0
fi
status=$?
echo "exit status $status" >>{errors}
mv {errors} {failed}
exit $status
"""


class GuardedDot:
    """The program that PlantUML is told to use as ``dot``.

    Args:
        dot: the real one.
        scratch: a private directory.

    Raises:
        ToolMissingError: it does not run.
    """

    def __init__(self, dot: Path, scratch: Path) -> None:
        self.program = scratch / "dot"
        self._failed = scratch / "dot.failed"
        parts = {"dot": dot, "errors": scratch / "dot.errors", "failed": self._failed}
        self.program.write_text(_SCRIPT.format_map({name: shlex.quote(str(path)) for name, path in parts.items()}))
        self.program.chmod(0o700)
        if reason := self._refusal():
            raise ToolMissingError(f"Graphviz does not run ({dot}): {reason}", f"Type: {install_hint('graphviz')}")

    def failure(self) -> str:
        """What the last ``dot`` that failed said, once; empty when none did."""
        try:
            told = self._failed.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
        self._failed.unlink()
        return told.strip()

    def _refusal(self) -> str:
        try:
            done = subprocess.run(
                [str(self.program), "-V"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return f"exit status {done.returncode}: {done.stderr.strip()}" if done.returncode else ""
