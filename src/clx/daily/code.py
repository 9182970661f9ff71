"""What a step's code is: a digest that changes with its function and with what that uses of its own file."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from types import CodeType, FunctionType
from typing import Any

_PLAIN = (str, int, float, complex, bool, bytes, type(None), range, date, time, timedelta, Decimal)
"""Constants that write themselves the same in each process; no paths, which are others on each machine."""
_HOLDERS = (dict, list, tuple, set, frozenset)


def code_of(function: Callable[..., Any], version: str = "") -> str:
    """16 hexadecimal digits for the code of *function*, of the functions, classes and constants of its module that it
    uses, directly or by one another, and for *version*. Comments, blank lines and places do not count.

    Constants are numbers, texts, dates, and lists, tuples, sets and dictionaries of these, of functions and of
    classes. What it imports does not count: name a ``version`` where that matters.
    """
    found = _Gathered()
    found.take(inspect.unwrap(function))
    told = "\0".join(f"{name}={text}" for name, text in sorted(found.texts.items()))
    return hashlib.sha256(f"{version}\0{told}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


class _Gathered:
    """What a function is and uses: by name, its text."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._taken: list[Any] = []

    def take(self, found: Any) -> None:
        """Note a function or class with what it uses."""
        if any(each is found for each in self._taken):
            return
        self._taken.append(found)
        name = getattr(found, "__qualname__", repr(found))
        self.texts[name] = self.texts.get(name, "") + _text(found)  # all lambdas have one name
        functions = [found] if isinstance(found, FunctionType) else [
            each for each in vars(found).values() if isinstance(each, FunctionType)
        ] if isinstance(found, type) else []  # fmt: skip
        for function in functions:
            for used in sorted(_names(function.__code__)):
                if used in function.__globals__:
                    self._use(used, function.__globals__[used], function.__module__)

    def _use(self, name: str, value: Any, module: str) -> None:
        self._take_own(value, module)
        if told := self._told(value, module, ()):
            self.texts.setdefault(f"{name} is", told)

    def _take_own(self, value: Any, module: str) -> Any:
        """The function or class that *value* is; it is taken where it is of the *module*. None: it is neither."""
        value = inspect.unwrap(value) if callable(value) else value
        if not isinstance(value, FunctionType | type):
            return None
        if value.__module__ == module:
            self.take(value)
        return value

    def _told(self, value: Any, module: str, within: tuple[Any, ...]) -> str:
        """A constant as text, the same in each process; empty for what is none."""
        if isinstance(value, _PLAIN):
            return repr(value)
        if not isinstance(value, _HOLDERS) or any(each is value for each in within):
            return ""
        within = (*within, value)
        if isinstance(value, dict):
            told = [
                f"{self._part(key, module, within)}: {self._part(each, module, within)}" for key, each in value.items()
            ]
        else:
            told = [self._part(each, module, within) for each in value]
        if isinstance(value, set | frozenset):
            told.sort()  # their order is another in each process
        return f"{type(value).__name__}({', '.join(told)})"

    def _part(self, value: Any, module: str, within: tuple[Any, ...]) -> str:
        found = self._take_own(value, module)
        return self._told(value, module, within) if found is None else found.__qualname__


def _names(code: CodeType) -> set[str]:
    """The names that code looks up, those of functions in it included."""
    found = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found |= _names(each)
    return found


def _text(found: Any) -> str:
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(found))))
    except (OSError, TypeError, SyntaxError):  # typed in, made by a program, or a part of a statement
        code = getattr(found, "__code__", None)
        return repr(found) if code is None else _compiled(code)


def _compiled(code: CodeType) -> str:
    """Code as text without the places in memory that its own has."""
    constants = [_compiled(each) if isinstance(each, CodeType) else str(each) for each in code.co_consts]
    return f"{code.co_code!r}{code.co_names!r}{constants}"
