"""Making the pages of a course as a whole once its decks are published: from what is there, so that each link leads
somewhere, and only when something of it has changed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.course.build_state import PublishedFile
from clx.course.layout import Selection
from clx.course.pages.places import INDEX, TASK, Shelves
from clx.course.plan import OutputPath, Plan
from clx.course.publish import OutputFile, Publisher
from clx.course.spec import CourseSpec
from clx.errors import ArtifactError

if TYPE_CHECKING:
    from clx.jobtypes.notebook.theme import Theme

_encode = msgspec.json.encode
_Files = Mapping[tuple[int, str], tuple[OutputPath, bytes]]
_Owned = Mapping[str, Mapping[str, PublishedFile]]


class CourseIndex:
    """The pages of a course as a whole.

    Args:
        root: the course root, below which its theme lies.
        selection: what was asked for: pages of what was not are left alone.
    """

    def __init__(
        self,
        root: Path,
        spec: CourseSpec,
        selection: Selection,
        plan: Plan,
        publisher: Publisher,
        store: ArtifactStore,
    ) -> None:
        self._root = root
        self._spec = spec
        self._selection = selection
        self._plan = plan
        self._publisher = publisher
        self._store = store
        self._shelves = Shelves(spec, selection)
        self._removed = 0
        self._facts: list[PublishedFile] | None = None
        self._source = os.path.basename(publisher.owner.course)  # noqa: PTH119
        self._places = [place for place in self._shelves.places() if place[:2] not in plan.places] if spec.index else []

    def count(self) -> int:
        """How many of these files there are."""
        stats = self._publisher.output_stats
        return sum(place.path in stats[place.target] for place in self._places) - self._removed

    def wanted(self) -> set[tuple[int, str]]:
        """Output paths that these pages may have: only :meth:`refresh` removes them."""
        return {place[:2] for place in self._places}

    def refresh(self, unmade: Collection[tuple[str, str]], *, has_changed: bool, is_withdrawn: bool) -> None:
        """Write the pages, if anything was published or removed since, or something else of them has changed.

        Args:
            unmade: source and task of jobs that failed or did not run.
            is_withdrawn: whether files of variants that were not asked for went, too: no page may speak of them.

        Raises:
            OutputError: a file cannot be written or removed.
        """
        if not self._places:
            return
        key = self._key(unmade)
        if not has_changed and not is_withdrawn and self._is_current(key):
            return
        links = self._links(unmade)
        if not is_withdrawn and self._renew(key, links):
            return
        owned = self._publisher.owned()
        files = dict(self._files(owned, unmade))
        asked = {
            path: file
            for path, file in files.items()
            if is_withdrawn or path[1] == INDEX or self._selection.covers(file[0].variant)
        }
        noted = f"{key} {links} {len(files)}"
        try:
            self._publish(asked, owned, noted)
        except ArtifactError:  # what was kept of it is damaged, and has been removed
            self._publish(asked, {}, noted)
        numbers = {target: number for number, target in enumerate(self._publisher.targets)}
        removed, _kept = self._publisher.remove(
            row
            for target, rows in owned.items()
            for row in rows.values()
            if target in numbers and row.task == TASK and (numbers[target], row.path) not in files
            if is_withdrawn or self._selection.covers(row.slice)
        )
        self._removed = len(removed)

    def _links(self, unmade: Collection[tuple[str, str]]) -> str:
        """Digest of what pages of links depend on; empty where that cannot be said."""
        from clx.course.pages.renewal import digest_of_links  # a build with nothing to write need not import it

        self._facts = self._publisher.facts()
        if self._facts is None:
            return ""
        rest = [*self._said(unmade), [place[:2] for place in self._places], self._spec.languages]
        return digest_of_links(self._publisher, self._shelves, self._plan, self._theme, self._facts, rest)

    def _renew(self, key: str, links: str) -> bool:
        """Make only what says something of changed pages, if nothing else has changed; false if all is to be made."""
        from clx.course.pages.renewal import Renewal

        renewal = Renewal(self._publisher, self._shelves, self._facts or ())
        if not links or not renewal.is_possible(links, self._may_write):
            return False
        try:
            wanted = []
            for file, data in renewal.files(self._source, f"{key} {links} {renewal.count()}"):
                if data is not None:
                    self._store.put_bytes(data)
                wanted.append(file)
            self._publisher.publish(wanted)
        except (LookupError, ArtifactError):  # something else wrote there meanwhile
            return False
        finally:
            self._publisher.forget_directories()
        return True

    def _may_write(self, place: OutputPath) -> bool:
        return place[:2] in self._allowed and (place.path == INDEX or self._selection.covers(place.variant))

    @cached_property
    def _allowed(self) -> set[tuple[int, str]]:
        return self.wanted()

    @cached_property
    def _theme(self) -> Theme:
        from clx.jobtypes.notebook.theme import Theme, read_theme

        return read_theme(self._spec.theme, self._root) if self._spec.theme else Theme()

    # -- whether there is anything to do ----------------------------------------------------------

    def _key(self, unmade: Collection[tuple[str, str]]) -> str:
        """Digest of what the pages depend on besides the files that are there."""
        facts = self._said(unmade)
        # what decks say, their titles too, is in the keys of their jobs
        places = [deck[:2] for deck in self._plan.outline]
        digest = sha256(_encode([facts, places], order="sorted"))
        digest.update("".join([job.key for job in self._plan.jobs]).encode())
        return digest.hexdigest()

    def _said(self, unmade: Collection[tuple[str, str]]) -> list[Any]:
        """What the course says of itself, and what of it could not be made."""
        spec = self._spec
        names = [section.name for section in spec.sections]
        return [self._own_digest, spec.labels, spec.description, spec.name, spec.author, names, sorted(unmade)]

    @cached_property
    def _own_digest(self) -> str:
        return _own_digest()

    def _is_current(self, key: str) -> bool:
        publisher = self._publisher
        for place in self._places:
            row = publisher.output_stats[place.target].get(place.path)
            is_asked = place.path == INDEX or self._selection.covers(place.variant)
            if row is not None and is_asked and not (row[1].startswith(key) and publisher.is_current(place, row[1])):
                return False
            if row is None and place.path == INDEX and not os.path.exists(self._absolute(place)):  # noqa: PTH110
                return False
        publisher.forget_directories()
        return True

    def _absolute(self, place: OutputPath) -> str:
        return f"{self._publisher.targets[place.target]}/{place.path}"

    # -- writing ----------------------------------------------------------------------------------

    def _publish(self, files: _Files, owned: _Owned, key: str) -> None:
        wanted = []
        for place, data in files.values():
            digest = sha256(data).hexdigest()
            row = owned.get(self._publisher.targets[place.target], {}).get(place.path)
            if row is None or row.digest != digest or not self._publisher.is_current(place, row.key):
                self._store.put_bytes(data)
            wanted.append(OutputFile(place, self._source, TASK, key, digest))
        self._publisher.publish(wanted)

    def _files(
        self, owned: _Owned, unmade: Collection[tuple[str, str]]
    ) -> Iterator[tuple[tuple[int, str], tuple[OutputPath, bytes]]]:
        from clx.course.pages.shelf import Maker

        maker = Maker(self._spec, self._plan.outline, self._publisher, self._shelves, owned, unmade, self._theme)
        for place, data in maker.files():
            if place[:2] in self._allowed:
                yield place[:2], (place, data)


def _own_digest() -> str:
    """Digest of this room: what it writes changes with its own text."""
    digest = sha256()
    room = os.path.dirname(__file__)  # noqa: PTH120
    for folder in (room, f"{room}/assets"):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208
            if name.endswith((".py", ".js", ".j2", ".css")):
                digest.update(Path(folder, name).read_bytes())
    return digest.hexdigest()
