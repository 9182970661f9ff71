"""Whether Python can compile what a cell holds, asked without a kernel and without running anything."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import warnings
from collections.abc import Callable

from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.magics import is_magic

_MAY_BE_MAGIC = re.compile(r"\s*([A-Za-z_]\w*)(?:\s+[\w.~/-]|\s*$)")


def syntax_error(source: str) -> tuple[str, int] | None:
    """What this Python says against the code of a cell, and the 1-based line of it; None where it can be compiled.

    Magics, shell commands and a top-level ``await`` are code, as in IPython. What IPython may understand without its
    sign, such as ``pip install x``, is not judged.
    """
    if not _error(source):
        return None
    found = _error(_as_python(source))
    if found is None:
        return None
    fact, line = found
    lines = source.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    named = _MAY_BE_MAGIC.match(written)
    if is_magic(written, PROG_LANG["python"]) or (
        named
        and len(source.strip().split("\n")) == 1
        and not keyword.iskeyword(named[1])
        and not hasattr(builtins, named[1])
    ):
        return None
    return fact, line


def _error(source: str) -> tuple[str, int] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run tells them where they matter
        try:
            compile(source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError as error:
            return f"{type(error).__name__}: {error.msg}", error.lineno or 1
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return f"{type(error).__name__}: {error}", 1
    return None


def _as_python(source: str) -> str:
    """Code as IPython hands it to Python; as it is where IPython is not installed."""
    transform = _transformer()
    if transform is None:
        return "" if any(each in source for each in "%!?") else source
    try:
        return transform(source)
    except SyntaxError:
        return source


def _transformer() -> Callable[[str], str] | None:
    try:
        from IPython.core.inputtransformer2 import TransformerManager  # half a second: only for what is no Python
    except ImportError:
        return None
    made: Callable[[str], str] = TransformerManager().transform_cell
    return made
