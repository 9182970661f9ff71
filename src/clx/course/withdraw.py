"""Files of earlier builds that hold what is private by now.

A build replaces what it was asked for: the pages of a format that was left out, and those of a deck that fails, stay
as they were. A cell that became private since stands in them. So they go.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from clx.course.build_state import PublishedFile
from clx.course.layout import KIND_DIRECTORIES, PDF_FORMATS
from clx.course.plan import OutputPath, Plan, is_near
from clx.course.private_text import Hit, PrivateText
from clx.course.publish import Publisher
from clx.course.report import FailedOutput

_TOLD = 10


class Withdrawn(msgspec.Struct, frozen=True):
    """What became of such files: asked once the build has ended, for it may have made them anew."""

    removed: dict[str, Hit]
    """By path."""
    kept: dict[str, Hit]
    """Those that are not as CLX wrote them."""

    def gone(self) -> list[str]:
        """The paths at which there is nothing now."""
        return [path for path in self.removed if not os.path.lexists(path)]

    def warning(self) -> str:
        """What the author should know of those; empty when there are none."""
        if not (gone := self.gone()):
            return ""
        places = dict.fromkeys(FailedOutput("notebook", hit.deck, "", hit.error).place for hit in self.removed.values())
        return (
            f"Removed, because an earlier build had published in it what is private now: {_listed(gone)}. "
            f"It is the text of {_listed(list(places))}."
        )

    def failures(self, private: PrivateText) -> list[FailedOutput]:
        """A failure of the deck for each file that has stayed and still holds its text."""
        still = {path: hit for path, hit in self.kept.items() if private.look(Path(path), path, [hit.deck])}
        return [FailedOutput("notebook", hit.deck, "", _stays(hit, path)) for path, hit in still.items()]


def withdraw(private: PrivateText, publisher: Publisher, plan: Plan, fresh: Collection[str]) -> Withdrawn:
    """Remove the public files of earlier builds that hold the text of a cell that is hidden now.

    That is done before anything runs: they should not be read for as long as that takes. *fresh* are the decks whose
    hidden cells say something else than when files were last looked at.

    Raises:
        OutputError: a file cannot be removed.
    """
    hits = {f"{row.target}/{row.path}": (row, hit) for row, hit in _found(private, publisher, plan, fresh)}
    removed, kept = publisher.remove([row for row, _ in hits.values()], forget_kept=False)
    return Withdrawn({path: hits[path][1] for path in removed}, {path: hits[path][1] for path in kept})


def _found(
    private: PrivateText, publisher: Publisher, plan: Plan, fresh: Collection[str]
) -> Iterator[tuple[PublishedFile, Hit]]:
    numbers = {target: number for number, target in enumerate(publisher.targets)}
    for target, rows in publisher.owned().items():
        for row in rows.values():
            place = OutputPath(numbers.get(target, -1), row.path, row.slice)
            if not place.is_public or _is_current(row, place, plan):
                continue
            path = Path(target, row.path)
            shown, decks = os.path.relpath(path, publisher.owner.output), _decks_of(row, plan, fresh)
            # what a PDF file says cannot be looked for; the build makes it anew, or whoever asks for it
            is_printed = row.slice.rpartition("/")[2] in PDF_FORMATS
            hit = private.may_be_in(shown, decks) if is_printed else private.look(path, shown, decks)
            if hit is not None:
                yield row, hit


def _is_current(row: PublishedFile, place: OutputPath, plan: Plan) -> bool:
    """Whether a file is what the plan wants in its place: then it was looked at when it was published."""
    _, content = plan.places.get((place.target, place.path), ("", ""))
    return content.partition("/")[0] == row.key


def _decks_of(row: PublishedFile, plan: Plan, fresh: Collection[str]) -> list[str]:
    """The decks whose text a file must not hold: its own; for a copy those near; for a deck that is gone, any.

    A deck that was renamed is a new one, and what it says stands in files of the old name.
    """
    if not row.task:
        return [deck for deck in fresh if is_near(row.source, deck)]
    return [deck for deck in fresh if deck == row.source or row.source not in plan.hidden]


def of_nobody(private: PrivateText, directories: Iterable[str], known: Mapping[str, Collection[str]]) -> str:
    """A warning about public files that CLX does not know to be its own and that hold what is private.

    For the first build into *directories* that students get and that are not empty: their files, but for those *known*
    by target, may be those of builds of which all else was removed (``rm -r .clx``). Empty where there are none.
    """
    found = []
    for directory in dict.fromkeys(directories):
        for folder, folders, files in os.walk(directory):
            folders[:] = [each for each in folders if each != KIND_DIRECTORIES["speaker"]]
            for path in (Path(folder, name) for name in files):
                is_known = path.relative_to(directory).as_posix() in known.get(directory, ())
                if not is_known and private.look(path, str(path)):
                    found.append(str(path))
    if not found:
        return ""
    return (
        f"What is private stands in public files that CLX does not know to have written: {_listed(sorted(found))}. "
        "They were left alone: remove them if they are of earlier builds."
    )


def _stays(hit: Hit, path: str) -> dict[str, object]:
    return hit.error | {
        "message": f"the text of this {hit.tag} cell stands in {path}, which is not as CLX wrote it, and so stays",
        "next_step": "Remove that file, or what is private from it.",
    }


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - _TOLD} more" if len(texts) > _TOLD else ""
    return ", ".join(texts[:_TOLD]) + more
