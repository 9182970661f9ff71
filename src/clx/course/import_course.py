"""Directories of notebooks as courses: a topic for each directory, with all that lies beside its notebooks."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from clx.course.import_cells import short
from clx.course.importing import Imported, import_notebook, is_notebook
from clx.course.names import natural_order
from clx.errors import CourseError, UsageError
from clx.regular import read_regular

_SKIPPED = {"__pycache__", "node_modules", "venv"}
_NOT_IN_NAME = re.compile(r"[^\w-]+")
Tell = Callable[[str], None]


@dataclass
class Result:
    """What an import wrote, and what it could not read.

    Attributes:
        decks: the decks, in their order.
        course: the course file, if one was made.
        topics: names of the topics that were made.
        failed: one error for each file that could not be imported.
    """

    decks: list[Path] = field(default_factory=list)
    course: Path | None = None
    topics: list[str] = field(default_factory=list)
    failed: list[CourseError] = field(default_factory=list)


def import_file(source: Path, target: Path, *, force: bool, tell: Tell) -> Result:
    """Write one notebook as a deck into the directory *target*.

    Raises:
        CourseError: it cannot be read.
        UsageError: something of that name is there, and *force* does not allow to replace it.
        ToolMissingError: the packages that read it are not installed.
    """
    found = import_notebook(source)
    return Result([_write(source, found, target, force=force, tell=tell)])


def import_directory(source: Path, target: Path, *, force: bool, tell: Tell) -> Result:
    """Write all notebooks below *source* as topics of the course *target*, which gets a ``course.yaml`` if it has none.

    Raises:
        UsageError: as for :func:`import_file`; or there are no notebooks.
        ToolMissingError: as for :func:`import_file`.
    """
    by_directory = _notebooks(source, target)
    if not by_directory:
        raise UsageError(f"{source} holds no notebooks.", "Name a directory with .ipynb, .qmd, .Rmd or MyST files.")
    result, read = Result(), dict[Path, list[tuple[Path, Imported]]]()
    for directory, paths in by_directory.items():
        for path in paths:
            try:
                read.setdefault(directory, []).append((path, import_notebook(path)))
            except CourseError as error:
                result.failed.append(error)
    languages = Counter(found.language.name for pairs in read.values() for _, found in pairs)
    main = languages.most_common(1)[0][0] if languages else ""
    sections = []
    for number, (directory, pairs) in enumerate(read.items(), 1):
        own = [(path, found) for path, found in pairs if found.language.name == main]
        for path, found in pairs:
            if found.language.name != main:
                message = f"{path} is in {found.language.display_name}, the course in {main}."
                result.failed.append(CourseError(message, "Import it into a course of its own."))
        if not own:
            continue
        name = _topic_name(directory.relative_to(source), source)
        place = target / "slides" / "module_100_imported" / f"topic_{number * 10:03d}_{name}"
        result.decks += [_write(path, found, place, force=force, tell=tell) for path, found in own]
        _copy_others(directory, place, set(by_directory), force=force, tell=tell)
        result.topics.append(name)
        sections.append({"name": _title(directory, source), "topics": [name]})
    spec = target / "course.yaml"
    if sections and (force or not spec.exists()):
        course = {"name": _title(source, source), "prog_lang": main, "sections": sections}
        spec.write_text(yaml.safe_dump(course, allow_unicode=True, sort_keys=False), "utf-8")
        result.course = spec
    return result


def _notebooks(source: Path, target: Path) -> dict[Path, list[Path]]:
    found: dict[Path, list[Path]] = {}
    for path in sorted(source.rglob("*"), key=lambda path: _order(path.relative_to(source))):
        parts = path.relative_to(source).parts
        inside = path.is_relative_to(target) and target != source
        skipped = inside or any(part.startswith(".") or part in _SKIPPED for part in parts)
        if not skipped and path.is_file() and is_notebook(path):
            found.setdefault(path.parent, []).append(path)
    return found


def _order(path: Path) -> tuple[object, ...]:
    """As people put names in order: whatever the case, and ``week 2`` before ``week 10``; files before directories."""
    folder = [natural_order(part.casefold()) for part in path.parent.parts]
    return folder, natural_order(path.name.casefold()), str(path)


def _write(source: Path, found: Imported, target: Path, *, force: bool, tell: Tell) -> Path:
    name = short(_NOT_IN_NAME.sub("_", source.stem)).strip("_") or "deck"
    deck = target / f"slides_{name}{found.language.extension}"
    files = {deck: found.text.encode()} | {target / name: content for name, content in found.pictures.items()}
    for path, content in files.items():
        if path.exists() and not force and not _has(path, content):
            raise UsageError(f"{path} is there already, and is another one.", "Type --force to replace it.")
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}.", "Name another directory.") from error
    tell(f"{source} → {deck} ({found.cells} cells)")
    for what, known in (("", found.mapped), ("left out, or to be looked at: ", found.left)):
        for text, count in known.items():
            tell(f"  {what}{text}" + (f" ({count} times)" if count > 1 else ""))
    return deck


def _has(path: Path, content: bytes) -> bool:
    """Whether a file is there with that content."""
    try:
        return read_regular(path) == content
    except OSError:
        return False


def _copy_others(directory: Path, place: Path, others: set[Path], *, force: bool, tell: Tell) -> None:
    """Copy what lies beside the notebooks of a directory, but not what is a topic of its own."""
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED or is_notebook(path) or path == place:
            continue
        if path.is_symlink():
            tell(f"  left out, or to be looked at: {path}, a symbolic link")
        elif path.is_dir():
            if not any(other.is_relative_to(path) for other in others) and not place.is_relative_to(path):
                _copy_others_into(path, place / path.name, force=force)
        elif path.is_file() and path.name != "course.yaml":
            _copy(path, place / path.name, force=force)


def _copy_others_into(directory: Path, place: Path, *, force: bool) -> None:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            _copy(path, place / path.relative_to(directory), force=force)


def _copy(path: Path, target: Path, *, force: bool) -> None:
    try:
        if target.exists() and not force:
            if _has(target, read_regular(path)):
                return
            raise UsageError(f"{target} is there already, and is another one.", "Type --force to replace it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    except OSError as error:
        step = "Make it readable, or leave it out; or name another directory."
        raise UsageError(f"{path} cannot be copied to {target}: {error.strerror}.", step) from error


def _topic_name(relative: Path, source: Path) -> str:
    text = "_".join(relative.parts) or source.resolve().name
    return _NOT_IN_NAME.sub("_", text).strip("_").lower() or "notebooks"


def _title(directory: Path, source: Path) -> str:
    text = directory.resolve().name if directory == source else " / ".join(directory.relative_to(source).parts)
    return text.replace("_", " ").strip() or "Notebooks"
