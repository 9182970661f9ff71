"""Code as HTML with a handful of classes, coloured by ``assets/page.css``."""

from __future__ import annotations

import functools
from html import escape
from importlib import import_module

from pygments.lexer import Lexer
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, _TokenType

_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment.Preproc, "d"),
    (Comment.PreprocFile, "s"),
    (Comment, "c"),
    (Keyword.Constant, "m"),
    (Keyword.Type, "b"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Operator, "o"),
    (String.Interpol, "i"),
    (String.Escape, "i"),
    (String, "s"),
    (Number, "m"),
    (Literal, "m"),
    (Name.Decorator, "d"),
    (Name.Builtin, "b"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Exception, "b"),
    (Name.Tag, "k"),
    (Name.Attribute, "d"),
)
"""Token types from the special to the general, and their classes: keyword, string, number (``m``),
comment, function or class name, built-in, decorator, operator, interpolated part of a string."""


@functools.lru_cache(maxsize=256)  # the pages of one deck have most of their code in common
def highlight(code: str, lexer: Lexer | None) -> str:
    """*code* as HTML; without a lexer it is only escaped."""
    if lexer is None:
        return escape(code, quote=False)
    parts: list[str] = []
    run, css = "", ""
    for token, text in lexer.get_tokens(code):
        found = css if text.isspace() else _class(token)
        if found != css:
            parts.append(_span(run, css))
            run, css = "", found
        run += text
    parts.append(_span(run.rstrip("\n"), css))
    return "".join(parts)


@functools.lru_cache(maxsize=64)
def lexer_named(name: str) -> Lexer | None:
    """The lexer of a language by its name, or by what a fenced block in Markdown calls it; ``None``: there is none."""
    from pygments.lexers._mapping import LEXERS

    name = "python" if name.lower() in ("ipython", "ipython3") else name.lower()
    # get_lexer_by_name() would go through the entry points of all installed packages for an unknown name.
    for class_name, (module, _label, aliases, _files, _types) in LEXERS.items():
        if name in aliases:
            return _load(module, class_name)
    return None


@functools.cache
def _load(module: str, class_name: str) -> Lexer:
    lexer: Lexer = getattr(import_module(module), class_name)(stripnl=False)
    return lexer


@functools.lru_cache(maxsize=512)
def _class(token: _TokenType) -> str:
    return next((css for general, css in _CLASSES if token[: len(general)] == general), "")


def _span(text: str, css: str) -> str:
    text = escape(text, quote=False)
    return f'<span class="{css}">{text}</span>' if css and text.strip() else text
