"""Where files under ``inputs:`` are published: as far from a student's notebook as they are from its deck.

A deck in ``slides/<module>/<topic>/`` that adds ``../../../shared`` to its module path finds that three directories up;
its notebook looks three directories up from its section. What lies there is one copy for all who look there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from clx.course.layout import KIND_DIRECTORIES, Layout, Variant, format_directories
from clx.course.plan import OutputPath
from clx.course.survey import Survey

_RUN = ("notebook", "code")
"""The formats that students run."""


class InputPlaces:
    """Finds the places of inputs in the output tree."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._directories = format_directories(layout.spec)

    def of(self, survey: Survey, path: str) -> list[OutputPath] | None:
        """Every place in which notebooks and code of a topic look for a file; None if that is outside of a target."""
        relative = posixpath.relpath(path, survey.place.topic.base)
        found: dict[tuple[int, str], OutputPath] = {}
        for target, folder, variant in self._folders():
            section = self._layout.sections[variant.language][survey.place.section]
            place = posixpath.normpath(f"{folder}/{section}/{survey.folder}{relative}")
            if place.startswith("../"):
                return None
            slice_ = self._slice(target, variant, folder, place)
            if self._layout.selection.covers(slice_):
                found.setdefault((target, place), OutputPath(target, place, slice_))
        return list(found.values())

    def _folders(self) -> Iterator[tuple[int, str, Variant]]:
        """The directories of all variants that are run: what lies above them is there whatever is asked for."""
        layout = self._layout
        for number, target in enumerate(layout.targets):
            for language in (each for each in layout.languages if each in target.languages):
                base = layout.slides_directory(language)
                for format_ in (each for each in _RUN if each in target.formats):
                    for kind in target.kinds:
                        folder = f"{base}/{self._directories[format_]}/{KIND_DIRECTORIES[kind]}"
                        yield number, folder, Variant(language, kind, format_)

    def _slice(self, target: int, variant: Variant, folder: str, place: str) -> str:
        """The variant that a place belongs to, with empty parts where it is several."""
        if place.startswith(f"{folder}/"):
            return str(variant)
        kind = "speaker" if self._layout.targets[target].kinds == ("speaker",) else ""
        format_ = variant.format if place.startswith(f"{posixpath.dirname(folder)}/") else ""
        return f"{variant.language}/{kind}/{format_}"


def told(topic: str, kept_back: Mapping[str, str]) -> str:
    """One warning about inputs of a topic that are not published, each with the reason."""
    shown = [f"{path} ({why})" for path, why in list(kept_back.items())[:10]]
    more = f" and {len(kept_back) - len(shown)} more" if len(kept_back) > len(shown) else ""
    return (
        f"{topic}: students do not get these inputs, so that its notebooks may not run: {', '.join(shown)}{more}. "
        "Write `publish: false` for the topic or the input if that is as it should be."
    )
