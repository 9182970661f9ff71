"""MathJax in this process: the JavaScript engine V8 with one vendored file, without files, network or clock of its own.

It starts with the first formula. V8 has threads: whoever started it must not fork.
"""

from __future__ import annotations

import atexit
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clx import DISTRIBUTION
from clx.errors import ToolMissingError

BUNDLE = Path(__file__).with_name("assets") / "mathjax" / "mathjax.js"
"""MathJax with what CLX asks of it; ``scripts/mathjax/make.sh`` makes it."""

_SECONDS, _PER_FORMULA = 15.0, 0.05
_MEMORY = 1_000_000_000
_STOPPED = 3
"""As many formulas of a page may take too long before the others are not tried."""
_TOO_DEEP, _DEEP = "it is nested too deeply", 500
"""What the program says of that, and how many braces it can bear."""
_CODE_POINT = re.compile(r"\\(?:unicode|char)\b")
_TOO_MUCH = "it takes too long, or too much memory"


class Formula(NamedTuple):
    """A formula as it stands in a deck, without its delimiters."""

    tex: str
    display: bool
    """Whether it stands in lines of its own."""


class Typeset(NamedTuple):
    """What a formula became.

    Attributes:
        html: the picture with its MathML; empty when it cannot be typeset.
        error: why not.
        refers_nowhere: whether it refers to a label that no formula of the page has.
    """

    html: str
    error: str
    refers_nowhere: bool


class TexEngine:
    """Typesets the formulas of one page after another.

    Args:
        seconds: what a page may take, besides a little for each of its formulas.
        memory: bytes.
    """

    def __init__(self, seconds: float = _SECONDS, memory: int = _MEMORY) -> None:
        self._seconds = seconds
        self._memory = memory
        self._context: Any = None
        self._last: tuple[list[Formula], tuple[list[Typeset], str]] | None = None

    def typeset(self, formulas: Sequence[Formula]) -> tuple[list[Typeset], str]:
        """Typeset the formulas of a page in their order: macros, numbers and labels hold in the whole page.

        Returns:
            What each became; and the glyphs of all, an element that has to stand once in the page.

        Raises:
            ToolMissingError: the engine is not installed.
        """
        if self._last is not None and self._last[0] == list(formulas):
            return self._last[1]  # pages of one deck mostly have the same formulas, whatever their kind
        stopped: set[int] = set()
        while True:
            known = [[tex, display, number in stopped and _TOO_MUCH] for number, (tex, display) in enumerate(formulas)]
            answer = self._asked(known)
            if answer is not None:
                found = [
                    _explained(Typeset(*item), formula) for item, formula in zip(answer["items"], formulas, strict=True)
                ]
                if not stopped:  # what took too long may be quicker the next time
                    self._last = list(formulas), (found, str(answer["glyphs"]))
                return found, str(answer["glyphs"])
            stopped.add(self._culprit(known))
            if len(stopped) > _STOPPED:
                return [Typeset("", _TOO_MUCH, False) for _ in formulas], ""

    def close(self) -> None:
        """End the engine; the next formula starts it anew. Idempotent."""
        if self._context is not None:
            atexit.unregister(self.close)
            self._context.close()
            self._context = None

    def _asked(self, formulas: list[list[Any]]) -> Any:
        """The answer of the program; None when it had to be stopped."""
        context = self._started()
        from py_mini_racer import JSOOMException, JSTimeoutException  # it is there by now

        seconds = self._seconds + _PER_FORMULA * len(formulas)
        try:
            return json.loads(context.call("typeset", formulas, timeout_sec=seconds, max_memory=self._memory))
        except JSTimeoutException:  # it is fit for more; and whoever ends it now may be in the way of its last words
            return None
        except JSOOMException:
            self.close()
            return None

    def _culprit(self, formulas: list[list[Any]]) -> int:
        """The formula with which the program has to be stopped: without it and those behind, it need not be.

        A program without memory cannot say where it is.
        """
        works, fails = 0, len(formulas)
        while fails - works > 1:
            middle = (works + fails) // 2
            if self._asked(formulas[:middle]) is None:
                fails = middle
            else:
                works = middle
        return fails - 1

    def _started(self) -> Any:
        if self._context is None:
            self._context = _racer()
            atexit.register(self.close)  # an engine that is left to the end of the interpreter would wait for ever
            self._context.eval(BUNDLE.read_text(encoding="ascii"))
        return self._context


def _explained(found: Typeset, formula: Formula) -> Typeset:
    """With the right reason: the program cannot tell its two kinds of what is out of range from each other."""
    if found.error == _TOO_DEEP and _CODE_POINT.search(formula.tex) and formula.tex.count("{") < _DEEP:
        return found._replace(error="it names a character that there is not")
    return found


def _racer() -> Any:
    try:
        from py_mini_racer import MiniRacer
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            "the Python package mini-racer, which typesets formulas, is not installed",
            f'Type: pip install "{DISTRIBUTION}[notebook]"',
        ) from error
    except (ImportError, OSError) as error:  # a wheel for another system
        why = " ".join(str(error).split())[:200]
        raise ToolMissingError(
            f"the Python package mini-racer, which typesets formulas, cannot be loaded: {why}",
            "Type: pip install --force-reinstall mini-racer",
        ) from error
    return MiniRacer()
