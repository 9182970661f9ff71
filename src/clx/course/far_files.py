"""Files of the course outside of a deck's topic: those that its texts show, and those that its code opens."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

import msgspec

from clx.course import withheld
from clx.course.closure import Closures, DeckInfo
from clx.course.deck_links import OUTSIDE, DeckPage, path_outside, relative
from clx.course.plan import OutputPath, Plan
from clx.course.shared_inputs import InputPlaces, told
from clx.course.source_files import SourceFiles
from clx.course.survey import Survey
from clx.course.topics import CourseTopic
from clx.jobtypes.notebook.deck import is_deck


class FarFiles(msgspec.Struct, frozen=True):
    """Plans them.

    Attributes:
        kept_back: gets the files that are not published because they may be private.
        places_of: where a path below the directory of a topic's section is, in every variant.
        copy: plans that a file is copied.
    """

    files: SourceFiles
    closures: Closures
    plan: Plan
    kept_back: dict[str, str]
    inputs: InputPlaces
    places_of: Callable[[CourseTopic, str], list[OutputPath]]
    copy: Callable[[str, list[OutputPath]], None]

    def shown_by(self, survey: Survey, deck: str, page: DeckPage, info: DeckInfo) -> dict[str, str]:
        """Plan what a deck shows from outside of its topic; returns the place of each by the path it is shown by."""
        place, found = survey.place, {}
        for paths, is_public in ((info.outside, True), (info.outside_noted, False)):
            for path in paths:
                if path.startswith(f"{place.topic.base}/") or not self._may_be_shown(path):
                    continue
                places = self.places_of(place, f"{OUTSIDE}/{path}")
                self.copy(path, [each for each in places if is_public or not each.is_public])
                found[relative(path, posixpath.dirname(deck))] = path_outside(page, path)
        return found

    def _may_be_shown(self, path: str) -> bool:
        if why := self._why_private(path):
            if not is_deck(posixpath.basename(path)) and not self.files.is_own(path):
                self.kept_back[path] = why
            return False
        return self.files.admits(path)

    def publish_inputs(self, survey: Survey) -> None:
        """Plan what a topic's code sees from elsewhere, after all others: inputs make way for them.

        Raises:
            CourseError: a pattern matches nothing.
        """
        kept_back = {}
        for path in self.closures.published_inputs(survey.place):
            if survey.place.topic.is_directory and path.startswith(f"{survey.place.topic.base}/"):
                continue  # copied, or told of
            places = self.inputs.of(survey, path)
            if why := self._why_private(path) or self._why_no_place(path, places):
                kept_back[path] = why
            else:
                self.copy(path, [place for place in places or () if place[:2] not in self.plan.places])
        if kept_back:
            self.plan.warnings.append(told(survey.place.topic.path, kept_back))

    def _why_private(self, path: str) -> str:
        """Why a file of the course is not for students, whoever names it; empty if it is."""
        if withheld.is_like_deck(path):
            return "a deck, or a copy of one"
        if withheld.is_dotted(path, "") or self.files.is_own(path) or not self.files.admits(path):
            return "not among the files of the course"
        return "has private cells" if self.closures.is_marked(path) else ""

    def _why_no_place(self, path: str, places: list[OutputPath] | None) -> str:
        if places is None:
            return "would lie outside of the output"
        digest = self.files.digest(path)
        has = (self.plan.places.get(place[:2]) for place in places)
        return next((f"{other[0]} lies in its place" for other in has if other and other[1] != digest), "")
