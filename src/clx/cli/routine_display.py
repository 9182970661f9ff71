"""How a run is shown while it is waited for: a tree that is redrawn on a terminal, plain lines elsewhere.

All of it on standard error: standard output is the result's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self

from clx.cli.terminal import echo
from clx.routines.tree import lines, short
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.routines.tree import Node

_STYLES = {
    "WORKING": "bold",
    "HANGING": "yellow",
    "queued": "dim",
    "cached": "cyan",
    "done": "green",
    "failed": "bold red",
}


class Display:
    """Plain lines: each call once it has ended."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._cached = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Give the terminal back."""

    def note(self, text: str) -> None:
        """Something worth telling."""
        echo(visible_line(text), err=True)

    def show(self, tree: Node) -> None:
        """The run as it stands."""
        nodes = list(tree.walk())
        over = sum(node.is_over for node in nodes)
        for node in sorted(nodes, key=lambda node: (node.ended_at, -(node.job or 0))):
            if node.is_over and node.job is not None and node.job not in self._told:
                self._told.add(node.job)
                took = "" if node.seconds is None else f" ({node.seconds:.1f} s)"
                why = f": {node.message}" if node.message else ""
                said = f"[{over}/{len(nodes)}] {short(node.routine)}, job {node.job}: {node.state}{took}{why}"
                echo(visible_line(said), err=True)
        cached = sum(node.state == "cached" for node in nodes)
        if cached > self._cached:
            self._cached = cached
            echo(f"[{over}/{len(nodes)}] {cached} answered from what is kept", err=True)


class Live(Display):
    """The tree, redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live as RichLive

        self._console = Console(stderr=True, highlight=False)
        self._live = RichLive(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._latest: Node | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Leave the tree as it was at last."""
        self._live.stop()
        if self._latest is not None:
            self._console.print(self._drawn(self._latest, None), soft_wrap=True)

    def note(self, text: str) -> None:
        """Above the tree."""
        self._console.print(visible_line(text), markup=False, style="dim", soft_wrap=True)

    def show(self, tree: Node) -> None:
        """Redraw it."""
        self._latest = tree
        self._live.update(self._drawn(tree, self._console.height - 1), refresh=True)

    def _drawn(self, tree: Node, most: int | None) -> Any:
        from rich.text import Text

        told = list(lines(tree))
        left = 0 if most is None else max(0, len(told) - most + 1)
        if left:  # what goes on is of more interest than what is over
            running = [pair for pair in told if pair[1] is None or not pair[1].is_over][: (most or 1) - 1]
            told = running or told[: (most or 1) - 1]
        rows = [Text(visible_line(text), style=_STYLES.get(node.state if node else "", "")) for text, node in told]
        if left:
            rows.append(Text(f"… and {left} more", style="dim"))
        return Text("\n").join(rows)


def make() -> Display:
    """What fits where standard error leads."""
    return Live() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else Display()
