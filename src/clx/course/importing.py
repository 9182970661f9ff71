"""Notebooks and documents of other tools as percent decks: what is mapped, what is left, what pictures they carry."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from clx import DISTRIBUTION
from clx.errors import CourseError, ToolMissingError
from clx.jobtypes.notebook.deck import PROG_LANG, ProgLang
from clx.jobtypes.notebook.markers import KNOWN_TAGS

SUFFIXES = (".ipynb", ".md", ".qmd", ".Rmd")
"""What can be imported, by its ending."""

_SLIDE_TYPES = {"slide": "slide", "subslide": "subslide", "fragment": "fragment", "notes": "notes", "skip": "del"}
_SOURCE_HIDDEN = {"source_hidden": "hide-input", "outputs_hidden": "hide-output"}
_LANGUAGES = {"c++": "cpp", "c++17": "cpp", "c#": "csharp", "ipython": "python", "python3": "python", "": "python"}
_IS_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_ATTACHED = re.compile(r"attachment:([^)\s\"'>]+)")
_SOLUTION = re.compile(r"^\s*(?:#{2,}|//+)\s*(BEGIN SOLUTION|BEGIN HIDDEN TESTS|BEGIN MARK SCHEME)", re.MULTILINE)
_UNSAFE = re.compile(r"[^\w.-]+")
_KERNEL = re.compile(r"(?<=^kernelspec:\n)([ \t]+)\S.*\n(?:\1.*\n)*", re.MULTILINE)
_CELL_IN_MARKDOWN = re.compile(r"^(?:```+|~~~+)\s*\{\s*(?:code-cell|python|r)\b", re.MULTILINE | re.IGNORECASE)


@dataclass
class Imported:
    """A notebook as a deck.

    Attributes:
        text: the deck.
        language: what its cells are written in.
        cells: how many it has.
        pictures: the pictures that it carried, by their path beside the deck.
        mapped: what has another name now, with how often.
        left: what did not come along, or wants a look, with how often.
    """

    text: str
    language: ProgLang
    cells: int
    pictures: dict[str, bytes] = field(default_factory=dict)
    mapped: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)


def is_notebook(path: Path) -> bool:
    """Whether a file is one that can be imported; Markdown is, if it has cells."""
    if path.suffix not in SUFFIXES:
        return False
    if path.suffix != ".md":
        return True
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return bool(_CELL_IN_MARKDOWN.search(text)) or text.startswith("---\njupytext:")


def import_notebook(path: Path) -> Imported:
    """Read a notebook, or a document with cells, as a percent deck.

    Raises:
        CourseError: it cannot be read, or is in a language that CLX does not know.
        ToolMissingError: the packages that read it are not installed.
    """
    notebook = _read(path)
    language = _language(path, notebook)
    found = Imported("", language, len(notebook.cells))
    for cell in notebook.cells:
        _map_cell(cell, path.stem, found)
    if any(_IS_TEMPLATE.search(cell.source) for cell in notebook.cells):
        found.mapped["braces like {{ }} are kept as they are (jinja: false on top of the deck)"] += 1
        header = "\n".join(f"{language.comment} {line}" for line in ("---", "jinja: false", "---")) + "\n\n"
    else:
        header = ""
    found.text = header + _written(path, notebook, language)
    return found


def _read(path: Path) -> Any:
    try:
        import jupytext
        import nbformat
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            f"the Python package {error.name} is not installed", f'Type: pip install "{DISTRIBUTION}[notebook]"'
        ) from error
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            return nbformat.reads(text, as_version=4)
        # Quarto's cells are fenced as those of R Markdown; jupytext would ask quarto itself for them.
        is_myst = path.suffix == ".md" and "{code-cell}" in text
        text = _KERNEL.sub(_named, text, count=1)
        return jupytext.reads(text, fmt="md:myst" if is_myst else path.suffix.replace(".qmd", ".Rmd"))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}.", "Name a notebook.") from error
    except Exception as error:  # readers of notebooks raise whatever their parsers raise
        reason = " ".join(str(error).split())[:200]
        raise CourseError(f"{path} is no notebook: {reason}", "Open it in Jupyter, and save it again.") from error


def _named(kernel: re.Match[str]) -> str:
    """A document's kernel with a name for people, without which jupytext refuses it."""
    return kernel[0] if "display_name:" in kernel[0] else f"{kernel[0]}{kernel[1]}display_name: kernel\n"


def _language(path: Path, notebook: Any) -> ProgLang:
    metadata = notebook.metadata
    kernel = metadata.get("kernelspec", {})
    jupytext = metadata.get("jupytext", {})
    name = (
        metadata.get("language_info", {}).get("name")
        or kernel.get("language")
        or jupytext.get("main_language")
        or kernel.get("name", "")
    )
    name = str(name).lower()
    found = PROG_LANG.get(_LANGUAGES.get(name, name))
    if found is None:
        known = ", ".join(PROG_LANG)
        raise CourseError(f"{path} is in {name!r}, which CLX does not know.", f"Decks can be in: {known}.")
    return found


def _map_cell(cell: Any, stem: str, found: Imported) -> None:
    metadata = cell.metadata
    if cell.cell_type == "code":
        if cell.get("outputs"):
            found.left["outputs, which a build makes anew"] += 1
        cell.outputs, cell.execution_count = [], None
    tags = dict.fromkeys(str(tag) for tag in metadata.get("tags", ()))
    for name, tag in _meant(metadata).items():
        tags[tag] = None
        found.mapped[f"{name} is the tag {tag!r}"] += 1
    for tag in [tag for tag in tags if tag.replace("_", "-") not in KNOWN_TAGS]:
        found.left[f"the tag {tag!r}, which means nothing to CLX"] += 1
        del tags[tag]
    for name in sorted(set(metadata) - _KNOWN_METADATA):
        found.left[f"metadata {name!r}"] += 1
    for mark in _SOLUTION.findall(cell.source):
        found.left[f"### {mark}: CLX does not take it out of cells tagged 'keep'; look at these cells"] += 1
    _write_attachments(cell, stem, found)
    cell.metadata = type(metadata)({"tags": list(tags)} if tags else {})


_KNOWN_METADATA = frozenset(
    {"tags", "slideshow", "jupyter", "collapsed", "scrolled", "trusted", "editable", "deletable", "execution", "vscode"}
    | {"ExecuteTime", "pycharm", "colab", "id", "hidden", "name", "lines_to_next_cell", "format", "raw_mimetype"}
)


def _meant(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Tags that other metadata stands for, by what it is called."""
    found = {}
    kind = metadata.get("slideshow", {}).get("slide_type", "-")
    if kind in _SLIDE_TYPES:
        found[f"slide_type {kind!r}"] = _SLIDE_TYPES[kind]
    for name, tag in _SOURCE_HIDDEN.items():
        if metadata.get("jupyter", {}).get(name) is True:
            found[name] = tag
    return found


def _write_attachments(cell: Any, stem: str, found: Imported) -> None:
    attachments = cell.pop("attachments", None) or {}
    links: dict[str, str] = {}
    for name, data in attachments.items():
        encoded = next(iter(data.values()), "")
        try:
            content = base64.b64decode("".join(encoded) if isinstance(encoded, list) else encoded)
        except (binascii.Error, ValueError, TypeError):
            found.left[f"the attachment {name!r}, which is damaged"] += 1
            continue
        links[name] = _free(f"img/{_UNSAFE.sub('-', f'{stem}-{name}')}", content, found.pictures)
        found.pictures[links[name]] = content
        found.mapped["attachments are files in img/"] += 1
    cell.source = _ATTACHED.sub(
        lambda match: quote(links[unquote(match[1])]) if unquote(match[1]) in links else match[0], cell.source
    )


def _free(wanted: str, content: bytes, taken: Mapping[str, bytes]) -> str:
    """A path for a picture that no other one has: cells may each have an ``image.png``."""
    base, dot, ending = wanted.rpartition(".")
    path, number = wanted, 1
    while taken.get(path, content) != content:
        number += 1
        path = f"{base}-{number}{dot}{ending}"
    return path


def _written(path: Path, notebook: Any, language: ProgLang) -> str:
    import jupytext

    notebook.metadata = type(notebook.metadata)(
        {
            "jupytext": {
                "notebook_metadata_filter": "-all",
                "cell_metadata_filter": "tags",
                "main_language": {"cpp": "c++"}.get(language.name, language.name),
            }
        }
    )
    try:
        text = jupytext.writes(notebook, fmt={"extension": language.extension, "format_name": "percent"})
    except Exception as error:  # jupytext raises its own and others'
        reason = " ".join(str(error).split())[:200]
        raise CourseError(f"{path} cannot be written as a deck: {reason}", "Report it with the notebook.") from error
    return str(text)
