"""Where everything goes in the output tree, as authors of the earlier system know it.

``<target>/De|En/<Course>/Folien|Slides/Html|Notebooks|Python/Code-Along|Completed|Speaker/<Section>/NN Title.ext``;
slides and PDF files, where they are asked for, in ``Slides``, ``Pdf`` and ``Slides-Pdf`` beside ``Html``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from clx.course.names import safe_directory
from clx.course.spec import DEFAULT_FORMATS, FORMATS, KINDS, CourseSpec, OutputTarget
from clx.errors import UsageError
from clx.jobtypes.notebook.deck import PROG_LANG

KIND_DIRECTORIES = {"code-along": "Code-Along", "completed": "Completed", "speaker": "Speaker"}
"""The directory of each kind."""
_SLIDES_DIRECTORIES = {"de": "Folien"}
_FORMAT_DIRECTORIES = {
    "html": "Html",
    "notebook": "Notebooks",
    "slides": "Slides",
    "pdf": "Pdf",
    "slides-pdf": "Slides-Pdf",
}
PAGE_FORMATS = frozenset({"html", "slides"})
"""Formats whose files are pages, beside which lies what they show."""
PDF_FORMATS = frozenset({"pdf", "slides-pdf"})
"""Formats whose files are printed from pages."""


class Variant(NamedTuple):
    """One variant of a course: a language, an audience and a file format."""

    language: str
    kind: str
    format: str

    def __str__(self) -> str:
        return f"{self.language}/{self.kind}/{self.format}"


class Selection(msgspec.Struct, frozen=True):
    """What of a course is asked for; None means everything."""

    languages: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    formats: frozenset[str] | None = None
    targets: frozenset[str] | None = None

    def covers(self, text: str) -> bool:
        """Whether files of the variant *text* (``<language>/<kind>/<format>``) are asked for."""
        language, kind, format_ = text.split("/")
        return (
            (self.languages is None or language in self.languages)
            and (self.kinds is None or not kind or kind in self.kinds)
            and (self.formats is None or not format_ or format_ in self.formats)
        )


class VariantDirectory(msgspec.Struct, frozen=True):
    """Where one variant of one target, which is counted, goes."""

    target: int
    variant: Variant
    path: str
    """POSIX path below the target's directory, without the section."""


class Layout:
    """The output tree of one course, as far as it is asked for.

    Raises:
        UsageError: the selection names something the course does not have.
    """

    def __init__(self, spec: CourseSpec, selection: Selection) -> None:
        self.spec = spec
        self.selection = selection
        self.targets = self._targets()
        self.languages = _chosen("language", selection.languages, spec.languages)
        self.kinds = _chosen("kind", selection.kinds, KINDS)
        self.formats = _chosen("format", selection.formats, FORMATS)
        self.sections = {
            language: [safe_directory(section.name.in_language(language)) for section in spec.sections]
            for language in spec.languages
        }
        self.variants = list(self._variants())
        if not self.variants:
            raise UsageError(
                "No output target has files of what is asked for.",
                "Leave out --kind, --format, --language or --target; or add to a target under output_targets.",
            )

    def _targets(self) -> tuple[OutputTarget, ...]:
        every = targets_of(self.spec)
        names = _chosen("target", self.selection.targets, [target.name for target in every])
        chosen = tuple(self._with_asked(target) for target in every if target.name in names)
        asked = (self.selection.formats or frozenset()) & set(FORMATS)
        if unmade := sorted(asked - set(DEFAULT_FORMATS) - {each for target in chosen for each in target.formats}):
            raise UsageError(
                f'No output target has the format "{unmade[0]}".',
                f"Add it to the formats of a target in {Path(self.spec.path).name}, under output_targets.",
            )
        return chosen

    def _with_asked(self, target: OutputTarget) -> OutputTarget:
        """A target that says nothing of formats, with those that are asked for beside the usual ones."""
        asked = self.selection.formats
        if target.formats != DEFAULT_FORMATS or not asked:
            return target
        more = tuple(each for each in FORMATS if each in asked and each not in DEFAULT_FORMATS)
        return msgspec.structs.replace(target, formats=(*target.formats, *more))

    def directories(self, output: Path) -> list[str]:
        """The absolute directory of each target."""
        return [str(output if target.path in ("", ".") else output / target.path) for target in self.targets]

    def course_directory(self, language: str) -> str:
        """The course's directory in one language, below a target."""
        return f"{language[:1].upper()}{language[1:]}/{safe_directory(self.spec.name.in_language(language))}"

    def slides_directory(self, language: str) -> str:
        """The directory of all formats in one language, below a target."""
        slides = self.spec.labels.get(language, {}).get("slides")
        name = safe_directory(slides) if slides else _SLIDES_DIRECTORIES.get(language, "Slides")
        return f"{self.course_directory(language)}/{name}"

    def _variants(self) -> Iterator[VariantDirectory]:
        directories = format_directories(self.spec)
        for number, target in enumerate(self.targets):
            for language in (each for each in self.languages if each in target.languages):
                base = self.slides_directory(language)
                for format_ in (each for each in self.formats if each in target.formats):
                    for kind in (each for each in self.kinds if each in target.kinds):
                        path = f"{base}/{directories[format_]}/{KIND_DIRECTORIES[kind]}"
                        yield VariantDirectory(number, Variant(language, kind, format_), path)


def targets_of(spec: CourseSpec) -> tuple[OutputTarget, ...]:
    """All targets of a course; where it names none, what students get and what speakers get."""
    return spec.output_targets or (
        OutputTarget("public", "public", ("code-along", "completed"), DEFAULT_FORMATS, spec.languages),
        OutputTarget("speaker", "speaker", ("speaker",), DEFAULT_FORMATS, spec.languages),
    )


def format_directories(spec: CourseSpec) -> dict[str, str]:
    """The directory of each format."""
    return {**_FORMAT_DIRECTORIES, "code": PROG_LANG[spec.prog_lang].directory}


def _chosen(what: str, asked: Collection[str] | None, there: Collection[str]) -> tuple[str, ...]:
    """Those of *there* that are asked for, in their order."""
    unknown = sorted(set(asked or ()) - set(there))
    if unknown:
        raise UsageError(
            f'The course has no {what} "{unknown[0]}".', f"It has: {', '.join(there)}. Leave --{what} out for all."
        )
    return tuple(each for each in there if asked is None or each in asked)
