"""Every setting in words, for the reference page and for ``clx config``."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from clx.settings.keys import all_keys, type_text
from clx.settings.reach import RULES
from clx.settings.schema import Settings
from clx.settings.section import Reach, Section


class Description(NamedTuple):
    """One setting in words."""

    key: str
    """Dotted, e.g. ``workers.notebook.count``."""
    type: str
    """What it may be, e.g. ``a whole number from 0 to 256``."""
    default: Any
    """``None``: unset; the text says what that means."""
    doc: str
    """Its docstring in the schema."""
    trust: str
    """What becomes of it where a project's settings have it."""


def describe() -> list[Description]:
    """Every setting in the order of the schema."""
    docs = dict(_documented(Settings, ""))
    return [
        Description(key.name, type_text(key.type), key.default, docs[key.name], _trust(key.reach))
        for key in all_keys().values()
    ]


def _trust(reach: Reach | None) -> str:
    if reach is None:
        return "holds"
    rule = RULES.get(reach)
    return f"needs trust {rule.words}".rstrip() if rule else "cannot set it"


def _documented(section: type[Section], prefix: str) -> Iterator[tuple[str, str]]:
    docs = _attribute_docs(section)
    for field in msgspec.structs.fields(section):
        if isinstance(field.type, type) and issubclass(field.type, Section):
            yield from _documented(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, docs[field.name]


def _attribute_docs(section: type[Section]) -> dict[str, str]:
    """Attribute → the string that follows it; Python keeps these only in the source."""
    tree = ast.parse(inspect.getsource(sys.modules[section.__module__]))
    return {
        name: doc
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == section.__name__
        for name, doc in _docs_in(node)
    }


def _docs_in(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for attribute, doc in zip(node.body, node.body[1:], strict=False):
        match attribute, doc:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
