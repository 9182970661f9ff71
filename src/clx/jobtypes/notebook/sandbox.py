"""The Jinja environment in which decks are expanded: sandboxed, bounded, and confined to the course."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, NoReturn

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateNotFound, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clx.jobtypes.notebook.braces import Deck, guarded, unguarded
from clx.jobtypes.notebook.deck import DECK_EXTENSIONS, MARKDOWN_EXTENSION, NOTEBOOK_EXTENSION, deck_language
from clx.jobtypes.notebook.limits import LimitError, lift_memory
from clx.jobtypes.notebook.trace import mark_lines
from clx.regular import read_regular
from clx.spelling import nearly

EXPANSION_LIMIT = 20_000_000
"""Characters that loops and expressions of one deck may produce; no real deck comes near."""
_LOOP_COST = 20
_CALL_COST = 100
"""Least cost of one turn of a loop, and of one call, in characters: bounds the time of what writes nothing."""
_STRING_LIMIT = 1_000_000
_POWER_BITS = 10_000

BUILTIN_TEMPLATES = Path(__file__).with_name("assets")


class ExpansionLimitError(LimitError):
    """The templates of a deck produce more than any deck can need."""


class _BoundedGenerator(CodeGenerator):
    """Charges every turn of a loop for the text in its body, and leaves all evaluation to the expansion."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        cost = _LOOP_COST + sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        charged = nodes.EnvironmentAttribute("charged", lineno=node.lineno)
        node.iter = nodes.Call(charged, [node.iter, nodes.Const(cost)], [], None, None, lineno=node.lineno)
        super().visit_For(node, frame)


class DeckEnvironment(ImmutableSandboxedEnvironment):
    """One environment per expansion; compiled templates are shared between environments.

    Args:
        loader: finds templates.
        line_prefix: what starts a line statement, e.g. ``# j2``.
        variables: globals of all templates, so that imported macros see them too.
        on_header: called with the arguments of each macro named ``header``, by parameter name.
    """

    code_generator_class = _BoundedGenerator
    intercepted_binops = frozenset({"*", "**"})

    def __init__(
        self,
        loader: BaseLoader,
        line_prefix: str,
        variables: Mapping[str, Any],
        on_header: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__(
            line_statement_prefix=line_prefix,
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            loader=loader,
            finalize=self._charge_text,
            auto_reload=False,
            optimized=False,  # what is evaluated while compiling has no line
        )
        self.globals.update(variables)
        self._on_header = on_header
        self._budget = EXPANSION_LIMIT

    def charge(self, cost: int) -> None:
        """Count *cost* characters of what the deck is given."""
        self._budget -= cost
        if self._budget < 0:
            raise ExpansionLimitError(
                f"the deck's templates produce more than {EXPANSION_LIMIT // 1_000_000} MB or never end"
            )

    def charged(self, iterable: Iterable[Any], cost: int) -> Iterator[Any]:
        """Iterate, paying *cost* per item."""
        for item in iterable:
            self.charge(cost)
            yield item

    def _charge_text(self, value: Any) -> Any:
        if isinstance(value, str):
            self.charge(len(value))
        return value

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """As Jinja has it; saying in which line memory ran out takes some."""
        if isinstance(sys.exc_info()[1], MemoryError):
            lift_memory()
        super().handle_exception(source)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        # The odd names are Jinja's: macros may have parameters called "self" or "context".
        __self.charge(_CALL_COST)
        if isinstance(__obj, Macro) and __obj.name == "header":
            __self._on_header({**dict(zip(__obj.arguments, args, strict=False)), **kwargs})
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``*`` and ``**`` with bounded results."""
        if operator == "*":
            for sequence, factor in ((left, right), (right, left)):
                if isinstance(sequence, str | bytes | list | tuple) and isinstance(factor, int):
                    self._bound(len(sequence) * factor, _STRING_LIMIT)
        elif isinstance(left, int) and isinstance(right, int):
            self._bound(left.bit_length() * right, _POWER_BITS)
        return super().call_binop(context, operator, left, right)

    @staticmethod
    def _bound(size: int, limit: int) -> None:
        if size > limit:
            raise ExpansionLimitError("an expression in the deck's templates has a huge result")


class CourseLoader(BaseLoader):
    """Templates from the deck's directory, the course's ``templates/`` and CLX itself, in this order.

    Args:
        root: the course root; nothing outside it is read.
        directories: where to look, inside *root*.
        line_prefix: as in :class:`DeckEnvironment`; part of what compiled code depends on.
        shared: a directory outside of *root* into which links may lead.
        marked: the template whose text carries its line numbers.
    """

    def __init__(
        self, root: Path, directories: Iterable[Path], line_prefix: str, shared: Path | None = None, marked: str = ""
    ) -> None:
        self._root = root.absolute()
        self._inside = [folder.resolve() for folder in (root, shared) if folder is not None]
        self._directories = tuple(directories)
        self._line_prefix = line_prefix
        self._marked = marked
        self.loaded: dict[str, str] = {}

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> Template:
        """Find, compile (or reuse what was compiled from the same text) and return a template."""
        label, source = self._find(name)
        is_marked = label == self._marked
        return template_from(environment, source, label, self._line_prefix, globals, is_marked=is_marked)

    def _find(self, name: str) -> tuple[str, str]:
        for directory in self._directories:
            path = Path(os.path.normpath(directory.absolute() / name))
            if not path.is_relative_to(self._root):
                raise SecurityError(f"template {name!r} lies outside the course")
            if path.is_file():
                if not any(path.resolve().is_relative_to(folder) for folder in self._inside):
                    raise SecurityError(f"template {name!r} lies outside the course")
                label = path.relative_to(self._root).as_posix()
                text = read_regular(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
                source = self.loaded[label] = self._guarded(text, path.suffix)
                return label, source
        path = BUILTIN_TEMPLATES / name
        if path.parent == BUILTIN_TEMPLATES and path.suffix == ".j2" and path.is_file():
            return f"CLX's {name}", path.read_text(encoding="utf-8")
        raise TemplateNotFound(name, f"there is no template {name!r}{self._near(name)}")

    def _near(self, name: str) -> str:
        """What is there instead, as the end of a sentence."""
        for directory in self._directories:
            wanted = Path(os.path.normpath(directory.absolute() / name))
            if not wanted.is_relative_to(self._root) or not wanted.parent.is_dir():
                continue
            if hint := nearly(wanted.name, sorted(each.name for each in wanted.parent.iterdir())):
                return f". {hint}"
        return ""

    def has(self, name: str) -> bool:
        """Whether there is a template of this name; it need not be one that may be read."""
        return any(Path(os.path.normpath(each.absolute() / name)).is_file() for each in self._directories)

    def _guarded(self, text: str, extension: str) -> str:
        """A template; one that is called like a source of code has braces that are its own."""
        if extension not in DECK_EXTENSIONS or extension == NOTEBOOK_EXTENSION:
            return text
        is_markdown = extension == MARKDOWN_EXTENSION
        comment = "#" if is_markdown else deck_language(f"x{extension}", "").comment
        return guarded(text, Deck(comment, self._line_prefix, is_markdown, None), self.has)


def template_from(
    environment: Environment,
    source: str,
    label: str,
    line_prefix: str,
    variables: MutableMapping[str, Any] | None = None,
    *,
    is_marked: bool = False,
) -> Template:
    """A template of *environment* from *source*; *label* names it in errors.

    *is_marked*: its text carries its line numbers (:mod:`clx.jobtypes.notebook.trace`).
    """
    code = _compiled(source, label, line_prefix, is_marked)
    return Template.from_code(environment, code, environment.make_globals(variables))


def tokens_of(source: str, line_prefix: str) -> Iterator[tuple[int, str, str]]:
    """The text and the statements of a template as they are written: line, kind and text of each token.

    Args:
        source: with what is not Jinja's guarded (:mod:`clx.jobtypes.notebook.braces`); the tokens are as it is written.

    Raises:
        TemplateSyntaxError: it is no template.
    """
    environment = DeckEnvironment(BaseLoader(), line_prefix, {}, lambda _arguments: None)
    return ((line, kind, unguarded(text)) for line, kind, text in environment.lex(source))


@functools.lru_cache(maxsize=64)
def _compiled(source: str, label: str, line_prefix: str, is_marked: bool) -> CodeType:
    """Compiled code does not hold on to an environment: one deck is compiled once for all its expansions."""
    compiler = DeckEnvironment(BaseLoader(), line_prefix, {}, lambda _arguments: None)
    template = None
    try:
        template = compiler.parse(source, label, label)
        if is_marked:
            mark_lines(template)
        return compiler.compile(template, name=label, filename=label)
    except (RecursionError, SyntaxError) as error:
        line = _line_reached(error.__traceback__) or (_deepest(template)[1] if template else 1)
        raise TemplateSyntaxError("braces, operators or blocks are nested too deeply", line, label, label) from error


def _line_reached(traceback: TracebackType | None) -> int:
    """How far Jinja had come in a template: where its parser stands, else at the innermost part that it looked at.

    0 where it had done its work, and Python was to compile what it had written.
    """
    line = 0
    while traceback is not None:
        known = traceback.tb_frame.f_locals
        if isinstance(known.get("self"), Parser):
            return int(known["self"].stream.current.lineno)
        if isinstance(known.get("self"), Node):
            line = known["self"].lineno or line
        traceback = traceback.tb_next
    return line


def _deepest(node: Node, depth: int = 0) -> tuple[int, int]:
    """The depth of what lies deepest in a part of a template, and its line."""
    return max((_deepest(each, depth + 1) for each in node.iter_child_nodes()), default=(depth, node.lineno or 1))
