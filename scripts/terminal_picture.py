"""Turn what a terminal showed (ANSI text on standard input) into an SVG picture for the README.

tmux capture-pane -p -e | python scripts/terminal_picture.py docs/images/terminal.svg "clx build course.yaml"
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main() -> None:
    """Write the picture named by the first argument; the second is the command shown above the text."""
    path, command = sys.argv[1:3]
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "green"), (command, "bold")))
    console.print(Text.from_ansi(sys.stdin.read().rstrip()))
    picture = console.export_svg(title="CLX")
    # the template names fonts on a server; a picture must not load anything
    Path(path).write_text(re.sub(r"\s*@font-face \{.*?\}\n", "\n", picture, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
