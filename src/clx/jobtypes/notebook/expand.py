"""A deck's Jinja statements become text.

Line statements start with the comment sign of the deck's language and ``j2`` (``# j2 from 'macros.j2'
import header``, ``// j2 …``). Markdown decks use ``# j2`` too, or plain ``{% … %}`` blocks: nothing
compiles them, so nothing has to be hidden in a comment, and Jinja would not end a line statement
at ``-->``.
"""

from __future__ import annotations

import functools
import itertools
import random
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import FrameType, TracebackType
from typing import Any

from jinja2 import Template, TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError

from clx.errors import ConversionError
from clx.jobtypes.notebook.braces import Deck, Slip, guarded, guarded_wholly, unguarded
from clx.jobtypes.notebook.deck import MARKDOWN_EXTENSION, NOTEBOOK_EXTENSION, ProgLang, deck_language, fence_names
from clx.jobtypes.notebook.limits import MEMORY_FACT, LimitError, bounded
from clx.jobtypes.notebook.notebook_source import NotebookSource, read_notebook
from clx.jobtypes.notebook.sandbox import (
    EXPANSION_LIMIT,
    CourseLoader,
    DeckEnvironment,
    ExpansionLimitError,
    template_from,
)
from clx.jobtypes.notebook.trace import deck_lines
from clx.regular import read_regular

GIVEN = ("lang", "is_html", "is_notebook")
"""Variables that CLX gives to every deck."""
_HEADER_LINES = 200
_RULE = re.compile(r"(?:(?:#|//)\s*)?---\s*$")
_NO_JINJA = re.compile(r"(?:(?:#|//)\s*)?jinja:\s*(?:false|no|off)\s*$", re.IGNORECASE)
_TITLE_POSITIONS = {"de": 0, "en": 1}


@dataclass(frozen=True, slots=True)
class Expanded:
    """A deck after Jinja."""

    text: str
    """Line ends are ``\\n``; no byte order mark."""
    title: str | None
    """What the macro ``header`` was given in the language; ``None`` when the deck does not call it."""
    templates: Mapping[str, str]
    """Course-root-relative paths of the templates that were loaded, sorted, each with its text."""
    source: str
    """The deck as it is written; line ends are ``\\n``."""
    guarded: str
    """The deck as Jinja is given it (:mod:`clx.jobtypes.notebook.braces`)."""
    line_prefix: str
    """What starts a line statement in it."""
    header_lines: tuple[int, ...]
    """The deck's lines that call the macro ``header``."""
    slips: tuple[Slip, ...]
    """Braces in its code that may have been meant for Jinja."""
    notebook: NotebookSource | None
    """The notebook that the deck is; ``None`` for a text."""
    _trace: Callable[[str], list[list[int]] | None] = field(repr=False, compare=False)

    def place(self, line: int | None) -> str:
        """How a line of the deck is called: ``line 7``, or ``cell 2`` in a notebook; empty where it is not known."""
        if not line:
            return ""
        return f"line {line}" if self.notebook is None else f"cell {self.notebook.cell_at(line)}"

    def located(self, error: ConversionError) -> ConversionError:
        """*error* with the cell of the notebook in place of a line that nobody sees; as it is for a text."""
        return _in_notebook(error, self.notebook)

    def deck_lines(self) -> list[int | None]:
        """The deck's first line, counted from 1, in each line of :attr:`text`; ``None`` where it has none.

        The deck is expanded once more for it, from its file as it is now.
        """
        found = self.all_lines_of("")
        if found is None:
            return [None] * (self.text.count("\n") + 1)
        return [numbers[0] if numbers else None for numbers in found]

    def all_lines_of(self, template: str) -> list[list[int]] | None:
        """As :meth:`deck_lines`, with all lines of the deck, or of *template*, that a line has something of.

        ``None`` where they cannot be told (:func:`clx.jobtypes.notebook.trace.deck_lines`).
        """
        return self._trace(template)


def expand(
    deck: PurePosixPath,
    root: Path,
    *,
    lang: str,
    is_html: bool,
    is_notebook: bool,
    variables: Mapping[str, Any],
    prog_lang: str,
    shared: Path | None = None,
    jinja: bool = True,
) -> Expanded:
    """Expand a deck, given relative to the course root, for one language and format.

    Args:
        variables: the course's own.
        prog_lang: the course's programming language, for Markdown decks.
        shared: a directory outside of the root into which links may lead.
        jinja: if false, the deck is left as it is.

    Raises:
        ConversionError: the deck or a template it uses cannot be read or expanded; ``line`` is the deck's.
    """
    notebook = _notebook(root / deck, prog_lang)
    source = notebook.text if notebook else _read(root / deck)
    names = {**variables, "lang": lang, "is_html": is_html, "is_notebook": is_notebook}
    template = _template(deck, root, prog_lang, names, shared, jinja=jinja and not _refuses_jinja(source))
    titles: list[str] = []
    header_lines: list[int] = []

    def note_title(arguments: dict[str, Any], line: int | None) -> None:
        title = _title_among(arguments, lang)
        if title:
            titles.append(title)
        if line is not None:
            header_lines.append(line)

    @functools.cache
    def trace(marked: str) -> list[list[int]] | None:
        try:
            return deck_lines(text, template.expand_marked(source if notebook else _read(root / deck), marked))
        except Exception:  # templates can raise anything, also the second time only
            return None

    try:
        text, templates, given, slips = template.expand(source, note_title)
    except ConversionError as error:
        raise _in_notebook(error, notebook) from error.__cause__
    title = titles[0] if titles else None
    return Expanded(text, title, templates, source, given, template.prefix, tuple(header_lines), slips, notebook, trace)


def deck_line(deck: PurePosixPath, root: Path, prog_lang: str, variables: Mapping[str, Any], code_line: int) -> int:
    """The line of a deck that a line of its compiled template comes from; Jinja must not have rewritten it."""
    names = {**variables, **dict.fromkeys(GIVEN)}
    notebook = _notebook(root / deck, prog_lang)
    source = notebook.text if notebook else _read(root / deck)
    return _template(deck, root, prog_lang, names).line_of(source, code_line)


def _notebook(path: Path, prog_lang: str) -> NotebookSource | None:
    if path.suffix != NOTEBOOK_EXTENSION:
        return None
    return read_notebook(_bytes(path), deck_language(path.name, prog_lang))


def _in_notebook(error: ConversionError, notebook: NotebookSource | None) -> ConversionError:
    if notebook is not None and error.line is not None:
        error.fact, error.line = f"cell {notebook.cell_at(error.line)}: {error.fact}", None
    return error


def _template(
    deck: PurePosixPath,
    root: Path,
    prog_lang: str,
    names: dict[str, Any],
    shared: Path | None = None,
    *,
    jinja: bool = True,
) -> _DeckTemplate:
    language = deck_language(deck.name, prog_lang)
    is_markdown = deck.suffix == MARKDOWN_EXTENSION
    names |= {"is_markdown": is_markdown, "comment_prefix": language.comment}
    prefix = "# j2" if is_markdown else f"{language.comment} j2"
    return _DeckTemplate(deck, root, prefix, language, names, shared, jinja)


def _refuses_jinja(source: str) -> bool:
    """Whether the YAML block at the top of a deck says ``jinja: false``."""
    first, *rest = itertools.islice(source.split("\n"), _HEADER_LINES)
    if not _RULE.match(first):
        return False
    lines = itertools.takewhile(lambda line: not _RULE.match(line), rest)
    return any(_NO_JINJA.match(line) for line in lines)


@dataclass(frozen=True, slots=True)
class _DeckTemplate:
    """A deck as the template engine sees it."""

    deck: PurePosixPath
    root: Path
    prefix: str
    language: ProgLang
    names: dict[str, Any]
    shared: Path | None
    jinja: bool

    def expand(
        self, source: str, on_header: Callable[[dict[str, Any], int | None], None]
    ) -> tuple[str, dict[str, str], str, tuple[Slip, ...]]:
        """The expansion of *source*, the templates that were loaded for it, *source* as Jinja was given it, and slips.

        *on_header* is given the arguments of each call of ``header``, and its line in *source*.
        """
        label, loader = self.deck.as_posix(), self._loader()

        def noted(arguments: dict[str, Any]) -> None:
            line = _line_of_frame(sys._getframe(1), label)
            on_header(arguments, template.get_corresponding_lineno(line) if line is not None else None)

        environment, slips = DeckEnvironment(loader, self.prefix, self.names, noted), list[Slip]()
        try:
            with bounded(len(source)):
                given = self._guarded(source, loader, slips)
                template = template_from(environment, given, label, self.prefix)
                text = _render(template)
        except Exception as error:  # templates can raise anything
            raise _as_conversion_error(error, label, {label, *loader.loaded}) from error
        return text, dict(sorted(loader.loaded.items())), given, tuple(slips)

    def expand_marked(self, source: str, marked: str) -> str:
        """The expansion of *source* in which its own lines, or those of the template *marked*, carry their numbers."""
        loader = self._loader(marked)
        environment = DeckEnvironment(loader, self.prefix, self.names, lambda _arguments: None)
        with bounded(len(source)):
            label, is_marked, given = self.deck.as_posix(), not marked, self._guarded(source, loader)
            return _render(template_from(environment, given, label, self.prefix, is_marked=is_marked))

    def line_of(self, source: str, code_line: int) -> int:
        """The line of *source* that a line of its compiled template comes from."""
        loader = self._loader()
        environment = DeckEnvironment(loader, self.prefix, self.names, lambda _arguments: None)
        template = template_from(environment, self._guarded(source, loader), self.deck.as_posix(), self.prefix)
        return template.get_corresponding_lineno(code_line)

    def _guarded(self, source: str, loader: CourseLoader, slips: list[Slip] | None = None) -> str:
        """*source* with what is not Jinja's guarded."""
        if not self.jinja:
            return guarded_wholly(source, self.prefix)
        is_markdown = self.deck.suffix == MARKDOWN_EXTENSION
        known, comment = frozenset(self.names), self.language.comment
        deck = Deck(comment, self.prefix, is_markdown, known, fence_names(self.language))
        return guarded(source, deck, loader.has, slips)

    def _loader(self, marked: str = "") -> CourseLoader:
        return CourseLoader(
            self.root, ((self.root / self.deck).parent, self.root / "templates"), self.prefix, self.shared, marked
        )


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path)
    except FileNotFoundError as error:
        raise ConversionError(f"there is no deck {path.name} among the job's inputs") from error


def _read(path: Path) -> str:
    data = _bytes(path)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")  # as Jinja has it
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConversionError("the deck is not UTF-8 text", "Save it as UTF-8.", line=line) from error


def _render(template: Template) -> str:
    """The expansion. What it leaves to chance (``random``, ``lipsum``) comes out the same each time."""
    chunks, size, before = [], 0, random.getstate()
    random.seed(template.name or "")
    try:
        for chunk in template.generate():
            chunks.append(chunk)
            size += len(chunk)
            if size > EXPANSION_LIMIT:
                raise ExpansionLimitError(f"the expanded deck is larger than {EXPANSION_LIMIT // 1_000_000} MB")
    finally:
        random.setstate(before)
    return unguarded("".join(chunks))


def _line_of_frame(frame: FrameType | None, name: str) -> int | None:
    """The line at which the innermost call within the code called *name* is."""
    while frame is not None and frame.f_code.co_filename != name:
        frame = frame.f_back
    return None if frame is None else frame.f_lineno


def _title_among(arguments: dict[str, Any], lang: str) -> str | None:
    """The argument of ``header`` for a language: by its name (``title_de``, ``de``), else by its place."""
    for name, value in arguments.items():
        if name == lang or name.endswith(f"_{lang}"):
            return _plain(value)
    place = _TITLE_POSITIONS.get(lang, len(arguments))
    values = list(arguments.values())
    return _plain(values[place]) if place < len(values) else None


def _plain(value: Any) -> str | None:
    return " ".join(value.split()) if isinstance(value, str) else None


def _as_conversion_error(error: Exception, deck: str, labels: set[str]) -> ConversionError:
    if isinstance(error, TemplateSyntaxError):
        template, line = error.filename or deck, error.lineno
        deck_line = line if template == deck else _line_in(deck, error)
    else:
        places = _template_places(error.__traceback__, labels)
        template, line = places[-1] if places else (deck, 0)
        deck_line = _line_in(deck, error)
    message, next_step = _explain(error)
    fact = message if template == deck else f"{template}, line {line}: {message}"
    return ConversionError(fact, next_step, line=deck_line)


def _line_in(deck: str, error: Exception) -> int | None:
    """The innermost line of the deck itself that an error passed through."""
    places = _template_places(error.__traceback__, {deck})
    return next((line for name, line in reversed(places) if name == deck), None)


def _template_places(traceback: TracebackType | None, labels: set[str]) -> list[tuple[str, int]]:
    """Where in which templates an error passed through, outermost first (Jinja rewrites the traceback)."""
    places: list[tuple[str, int]] = []
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name in labels or name.startswith("CLX's "):
            places.append((name, traceback.tb_lineno))
        traceback = traceback.tb_next
    return places


def _explain(error: Exception) -> tuple[str, str]:
    """The fact and the next step for an error of the template engine."""
    message = " ".join(str(error).split())
    if isinstance(error, UndefinedError):
        step = "Define it in the deck or under `variables:` in course.yaml; braces of another's templates go between "
        return message, f"{step}{{% raw %}} and {{% endraw %}}, or the deck's YAML block says `jinja: false`."
    if isinstance(error, TemplateSyntaxError):
        text = " ".join((error.message or message).split())
        return text, "Correct the statement; braces that are not Jinja go between {% raw %} and {% endraw %}."
    if isinstance(error, TemplateNotFound):
        return message, "Templates are looked up beside the deck, then in the course's templates/."
    if isinstance(error, SecurityError):
        return message, "Decks may use plain values and files of their own course."
    if isinstance(error, MemoryError):
        return MEMORY_FACT, "Look for an expression that makes much of little."
    if isinstance(error, LimitError):
        return message, "Look for a loop or a macro that repeats itself."
    if isinstance(error, RecursionError):
        return "the deck's templates call each other without end", "Look for a macro that calls itself."
    return f"{type(error).__name__}: {message}", "Correct the expression in the deck or template."
