"""A failing cell as its author needs to hear of it: the fact and what to do about it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clx.errors import ConversionError
from clx.jobtypes.notebook.execution.results import NOT_ANSWERING, UNREADABLE
from clx.platforms.container import IMAGE_VARIABLE

if TYPE_CHECKING:
    from clx.jobtypes.notebook.execution.results import CellFailedError
    from clx.jobtypes.notebook.variants import DeckCell

_NEXT_STEPS = {
    "error": "If the error is part of the lesson, tag the cell `raises-exception`.",
    "timeout": "Make the cell faster, or raise notebook.cell_timeout.",
    "died": "The kernel ended while the cell ran: it may have run out of memory, or called exit.",
}
_CHANGED_KERNEL = (
    "The cell waits where Python cannot interrupt it; or it, or one before, has replaced what the kernel itself needs "
    "(a builtin, sys.stdout, a module's function): put that back before the cell ends."
)
_BY_NAME = {
    "FileNotFoundError": (
        "A file that a deck uses lies in the deck's topic, or `inputs:` of the topic names it; "
        "`clx build -v` names what of a topic is left out."
    ),
    "KeyboardInterrupt": "The cell raises it, or something sent its kernel SIGINT: build again, or correct the cell.",
    "SystemExit": "Remove exit(), quit() or sys.exit(): a deck is run to its end.",
    "StdinNotImplementedError": "Write the value into the code instead of asking, or set `evaluate: false`.",
    UNREADABLE: "The cell changes what the kernel itself needs, such as JSONEncoder: undo it before the cell ends.",
    **dict.fromkeys(("SyntaxError", "IndentationError", "TabError"), "Correct the code of the cell."),
}
_BY_TEXT = (
    (
        "RuntimeError",
        re.compile(r"asyncio\.run\(\) cannot be called from|event loop is already running"),
        "Write `await f()` in place of `asyncio.run(f())`: a cell may await.",
    ),
)
_NEEDS_NBFORMAT = re.compile(r"Mime type rendering requires nbformat")
_DEBUGGER = re.compile(r"\b(?:pdb|bdb|debugger)\.py\b")
_STARTS_DEBUGGER = "the cell starts a debugger (breakpoint, pdb), but a deck runs unattended"
_FRAME = re.compile(r"^(?:Cell In|File (?P<file>[^\n:]+):(?P<line>\d+))", re.MULTILINE)
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_INTERNAL_FILE = re.compile(r"\s*\(\d+\.py, line \d+\)$")
"""What ipykernel calls a cell when the parser refuses it."""
_DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Well-known packages that are not installed by the name they are imported by."""


def failure(
    failed: CellFailedError, code: Sequence[DeckCell], place: Path, folder: Path | None = None
) -> ConversionError:
    """The error of a run of the cells *code*; *place*, the directory with the inputs, is not shown.

    Args:
        folder: the deck's directory in *place*.
    """
    traceback = shortened(failed.traceback, place)
    return ConversionError(
        shortened(_fact(failed), place) + _in_helper(traceback),
        _next_step(failed, folder or place),
        cell=code[failed.index].number,
        line=failed.line,
        traceback=traceback or None,
        retryable=failed.retryable,
    )


def shortened(text: str, place: Path) -> str:
    """*text* with paths below *place* relative to it, also as IPython writes them below the home directory."""
    places = {place, place.resolve()}
    home = Path.home()
    shown = [str(each) for each in places]
    shown += [f"~/{each.relative_to(home)}" for each in places if home in each.parents]
    for directory in shown:
        text = text.replace(f"{directory}/", "").replace(directory, ".")
    return text


def _in_helper(traceback: str) -> str:
    """Where in the course's own files, called by the cell, it happened; empty if in the cell itself."""
    found = ""
    for frame in _FRAME.finditer(traceback):
        if frame["file"] is None:
            found = ""
        elif not frame["file"].startswith(("/", "~", "<")):
            found = f" (in {frame['file']}:{frame['line']})"
    return found


def _fact(failed: CellFailedError) -> str:
    message = next(iter(failed.evalue.strip().splitlines()), "")
    if failed.ename == "StdinNotImplementedError":
        return _STARTS_DEBUGGER if _DEBUGGER.search(failed.traceback) else message
    if failed.ename == UNREADABLE:
        return message
    message = _INTERNAL_FILE.sub("", message)
    return f"{failed.ename}: {message}" if message else failed.ename


def _next_step(failed: CellFailedError, folder: Path) -> str:
    if failed.kind == "timeout" and failed.evalue.endswith(NOT_ANSWERING):
        return _CHANGED_KERNEL
    if failed.kind != "error":
        return _NEXT_STEPS[failed.kind]
    if failed.ename == "StdinNotImplementedError" and _DEBUGGER.search(failed.traceback):
        return "Remove the call, or set `evaluate: false`."
    for name, pattern, step in _BY_TEXT:
        if failed.ename == name and pattern.search(failed.evalue):
            return step
    if _NEEDS_NBFORMAT.search(failed.evalue):
        return f"{_how_to_install('nbformat')}: plotly asks for it."
    missing = _NO_MODULE.match(failed.evalue)
    if missing and failed.ename == "ModuleNotFoundError":
        module = missing[1].partition(".")[0]
        if own := _own_module(module, folder):
            return (
                f"{own} lies in the deck's directory, but Python looks for modules in the current one: "
                "import it before `os.chdir`, or put its directory on `sys.path`."
            )
        return f"{_how_to_install(_DISTRIBUTIONS.get(module, module))}; a module of the course lies beside the deck."
    return _BY_NAME.get(failed.ename, _NEXT_STEPS["error"])


def _how_to_install(package: str) -> str:
    if IMAGE_VARIABLE in os.environ:
        return f"Put {package} into a requirements file and type: clx docker build notebook --requirements FILE"
    return f"Type `pip install {package}` for the interpreter of notebook.python"


def _own_module(name: str, folder: Path) -> str:
    """Where below the deck's directory a module of this name lies; empty if nowhere."""
    found = [*folder.glob(f"**/{name}.py"), *folder.glob(f"**/{name}/")]
    return min((path.relative_to(folder).as_posix() for path in found), key=len, default="")
