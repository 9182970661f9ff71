"""Graphviz behind a small script that notes its failures.

When Graphviz fails, PlantUML draws a picture that says so and reports success; not always does it log
anything. Nothing but the exit status of ``dot`` itself can be relied upon.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from clx.errors import ToolMissingError
from clx.tools.catalog import install_hint
from clx.tools.program import run

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
    """The program that PlantUML is told to use as ``dot``; it calls the real one, which must run."""

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
            code, said = run([str(self.program), "-V"], None, _LIMIT_S)
        except TimeoutError:
            return f"it did not end within {_LIMIT_S} s"
        except OSError as error:
            return str(error)
        return f"exit status {code}: {said}" if code else ""
