"""What a step's code is: a digest that changes with its function and with what that uses of its own file."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

_PLAIN = (str, int, float, bool, bytes, type(None), tuple, frozenset)


def code_of(function: Callable[..., Any], version: str = "") -> str:
    """16 hexadecimal digits for the code of *function*, of the functions, classes and constants of its module that it
    uses, directly or by one another, and for *version*. Comments, blank lines and places do not count.

    What it imports does not count: name a ``version`` where that matters.
    """
    seen: dict[str, str] = {}
    _gather(inspect.unwrap(function), seen)
    told = "\0".join(f"{name}={text}" for name, text in sorted(seen.items()))
    return hashlib.sha256(f"{version}\0{told}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _gather(found: Any, seen: dict[str, str]) -> None:
    name = getattr(found, "__qualname__", repr(found))
    if name in seen:
        return
    seen[name] = _text(found)
    functions = [found] if isinstance(found, FunctionType) else [
        each for each in vars(found).values() if isinstance(each, FunctionType)
    ] if isinstance(found, type) else []  # fmt: skip
    for function in functions:
        for used in sorted(_names(function.__code__)):
            if used in function.__globals__:
                _use(used, function.__globals__[used], function.__module__, seen)


def _use(name: str, value: Any, module: str, seen: dict[str, str]) -> None:
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, FunctionType | type):
        if value.__module__ == module:
            _gather(value, seen)
    elif isinstance(value, _PLAIN):
        seen.setdefault(f"{name} is", repr(value))


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
    except (OSError, TypeError, SyntaxError):  # typed in, or made by a program
        code = getattr(found, "__code__", None)
        return repr(found) if code is None else f"{code.co_code!r}{code.co_names!r}{[str(c) for c in code.co_consts]}"
