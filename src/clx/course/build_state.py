"""What is known between builds: digests of files, facts about sources, published outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from clx.db.database import Database
from clx.db.models import Unreadable, decode_or_show
from clx.db.odd_rows import Reader

_encode = msgspec.json.encode


class PublishedFile(NamedTuple):
    """A file a target owns: where, why, and what it was when CLX wrote it.

    Attributes:
        target: absolute path of the target's directory.
        path: POSIX path below it.
        slice: ``<language>/<kind>/<format>`` it belongs to; empty parts mean any.
        source: course-root-relative source it came from.
        task: what of the source it is, as in the job's label; empty for copies and diagrams.
        key: the job's key; a copied file's digest.
        digest: sha256 of its bytes.
        size: bytes.
        mtime_ns: modification time when it was written.
    """

    target: str
    path: str
    slice: str
    source: str
    task: str
    key: str
    digest: str
    size: int
    mtime_ns: int


OutputStat = tuple[str, str, int, int]
"""What tells whether a published file is still the one that was written: path, key, size, mtime_ns."""


class Owner(NamedTuple):
    """Who owns published files: a course file, built into an output directory; both absolute paths."""

    course: str
    output: str


def _checks_of(owner: Owner) -> str:
    """What stands in place of a root for the sources that an owner has to look for: no path has a line break."""
    return f"{owner.course}\n{owner.output}"


def _warnings_of(root: str) -> str:
    """What stands in place of a root for the warnings of its jobs."""
    return f"{root}#warnings"


def _pages_of(owner: Owner) -> str:
    """As :func:`_checks_of`, for what the pages of an owner refer to."""
    return f"pages\n{owner.course}\n{owner.output}"


class FileStat(NamedTuple):
    """What tells whether a source file has changed, and its digest."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    digest: str


_TARGETS = """
WITH RECURSIVE each(target) AS (
  SELECT min(target) FROM outputs
  UNION ALL SELECT (SELECT min(target) FROM outputs WHERE target > each.target) FROM each WHERE target IS NOT NULL
) SELECT target FROM each WHERE target IS NOT NULL
"""
"""Every target by one look into the index for each, however many files it has."""
_LOOKED_FOR = 200


_OUTPUT_COLUMNS = ", ".join(PublishedFile._fields)
_OF_OWNER = "FROM outputs WHERE course = ? AND output = ?"
_KEEP_FILE = (
    "INSERT INTO files (root, path, size, mtime_ns, ctime_ns, inode, digest) VALUES (?,?,?,?,?,?,?) "
    "ON CONFLICT (root, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, "
    "ctime_ns = excluded.ctime_ns, inode = excluded.inode, digest = excluded.digest"
)
_KEEP_SOURCE = (
    "INSERT INTO sources (root, path, facts) VALUES (?,?,?) "
    "ON CONFLICT (root, path) DO UPDATE SET facts = excluded.facts"
)
_FORGET_WARNINGS = (
    "DELETE FROM sources WHERE root = ? "
    "AND path NOT IN (SELECT key FROM results) AND path NOT IN (SELECT key FROM outputs)"
)
_KEEP_OUTPUT = (
    f"INSERT INTO outputs ({_OUTPUT_COLUMNS}, course, output) VALUES (?,?,?,?,?,?,?,?,?,?,?) "
    "ON CONFLICT (target, path) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*PublishedFile._fields[2:], "course", "output"))
)
_FILE = Reader.of("files", ("path", *FileStat._fields))
_OUTPUT = Reader.of("outputs", PublishedFile._fields)


class BuildState:
    """What one database remembers between builds.

    Args:
        database: None where there is none yet: then nothing is known, and nothing can be noted before it is set.
    """

    def __init__(self, database: Database | None = None) -> None:
        self.database = database

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self.database.read(sql, parameters) if self.database is not None else []

    def _write(self, name: str, body: Callable[[Any], object]) -> None:
        if self.database is None:
            raise AssertionError(f"there is no database for {name}")
        self.database.write(name, body)

    def files(self, root: str) -> dict[str, FileStat]:
        """Known files below *root* by path."""
        rows = self._read("SELECT path, size, mtime_ns, ctime_ns, inode, digest FROM files WHERE root = ?", (root,))
        return {row[0]: FileStat._make(row[1:]) for row in rows if not _FILE.read_quickly(row)[1]}

    def sources(self, root: str) -> dict[str, Any]:
        """What was found out about each source below *root* when it was last read."""
        rows = self._read("SELECT path, facts FROM sources WHERE root = ?", (root,))
        found = {path: decode_or_show(facts) for path, facts in rows if isinstance(path, str)}
        return {path: facts for path, facts in found.items() if not isinstance(facts, Unreadable)}

    def remember(
        self,
        root: str,
        files: Mapping[str, FileStat],
        sources: Mapping[str, Any],
        unchecked: Sequence[str] = (),
    ) -> None:
        """Store what changed about files and sources.

        Args:
            unchecked: sources for which every owner has to look at its files again (:meth:`unchecked`): noted in one
                transaction, so that a build that is killed in between leaves nobody believing it was done.
        """
        if not files and not sources:
            return

        def body(connection: Any) -> None:
            owners = connection.execute("SELECT DISTINCT course, output FROM outputs").fetchall() if unchecked else ()
            connection.executemany(
                _KEEP_FILE,
                [(root, path, *facts) for path, facts in files.items()],
            )
            connection.executemany(
                _KEEP_SOURCE,
                [(root, path, _encode(facts).decode()) for path, facts in sources.items()],
            )
            connection.executemany(
                _KEEP_SOURCE,
                [(_checks_of(Owner._make(owner)), path, "{}") for owner in owners for path in unchecked],
            )

        self._write("remember", body)

    def warnings(self, root: str) -> dict[str, list[str]]:
        """By the keys of their jobs, the warnings of results of the course in *root* that have any."""
        rows = self._read("SELECT path, facts FROM sources WHERE root = ?", (_warnings_of(root),))
        found = {key: decode_or_show(facts) for key, facts in rows if isinstance(key, str)}
        return {key: texts for key, texts in found.items() if isinstance(texts, list)}

    def keep_warnings(self, root: str, warnings: Mapping[str, Sequence[str]]) -> None:
        """Note the warnings of results by their jobs' keys; none: they have no more."""
        place = _warnings_of(root)

        def body(connection: Any) -> None:
            connection.executemany(
                "DELETE FROM sources WHERE root = ? AND path = ?", [(place, key) for key in warnings]
            )
            connection.executemany(
                _KEEP_SOURCE,
                [(place, key, _encode(texts).decode()) for key, texts in warnings.items() if texts],
            )

        self._write("keep_warnings", body)

    def forget_warnings(self, root: str) -> None:
        """Forget the warnings of results that are not kept, and of which no file is left."""
        self._write("forget_warnings", lambda connection: connection.execute(_FORGET_WARNINGS, (_warnings_of(root),)))

    def unchecked(self, owner: Owner) -> list[str]:
        """The sources for which *owner* has yet to look at its files."""
        return [row[0] for row in self._read("SELECT path FROM sources WHERE root = ?", (_checks_of(owner),))]

    def checked(self, owner: Owner, sources: Iterable[str]) -> None:
        """Note that *owner* has looked at its files for these sources."""
        rows = [(_checks_of(owner), path) for path in sources]
        if rows:
            self._write(
                "checked",
                lambda connection: connection.executemany("DELETE FROM sources WHERE root = ? AND path = ?", rows),
            )

    def pages(self, owner: Owner, names: Sequence[str] | None = None) -> dict[str, Any]:
        """What the pages of *owner*'s jobs refer to, by source and task; ``""``: what was told of them.

        Args:
            names: only those; None for all.
        """
        root = _pages_of(owner)
        if names is None:
            return self.sources(root)
        one = "SELECT facts FROM sources WHERE root = ? AND path = ?"
        return {name: decode_or_show(facts) for name in names for (facts,) in self._read(one, (root, name))}

    def told_of_pages(self, owner: Owner) -> dict[str, Any]:
        """What was told of *owner*'s pages when they were last looked at."""
        rows = self._read("SELECT facts FROM sources WHERE root = ? AND path = ''", (_pages_of(owner),))
        found = decode_or_show(rows[0][0]) if rows else {}
        return found if isinstance(found, dict) else {}

    def keep_pages(self, owner: Owner, pages: Mapping[str, Any], gone: Iterable[str]) -> None:
        """Note what pages of *owner* refer to, and forget those that are *gone*."""
        root = _pages_of(owner)

        def body(connection: Any) -> None:
            kept = [(root, path, _encode(facts).decode()) for path, facts in pages.items()]
            connection.executemany("DELETE FROM sources WHERE root = ? AND path = ?", [(root, path) for path in gone])
            connection.executemany(_KEEP_SOURCE, kept)

        self._write("keep_pages", body)

    def output_stats(self, owner: Owner, target: str) -> dict[str, OutputStat]:
        """*owner*'s files in one target, by path: as little of them as a build with nothing to do needs."""
        if self.database is None:
            return {}
        # not by the index of courses: all of a target lies together, and is mostly one owner's
        course, output = map(self.database.sql.unindexed, Owner._fields)
        sql = f"SELECT path, key, size, mtime_ns FROM outputs WHERE target = ? AND {course} = ? AND {output} = ?"
        rows = self._read(sql, (target, *owner))
        return {row[0]: row for row in rows if isinstance(row[0], str)}

    def targets(self, owner: Owner) -> list[str]:
        """Directories of all targets in which *owner* has files."""
        rows = self._read("SELECT DISTINCT target FROM outputs WHERE course = ? AND output = ?", owner)
        return [row[0] for row in rows if isinstance(row[0], str)]

    def knows(self, owner: Owner) -> bool:
        """Whether *owner* has files in any target."""
        return bool(self._read("SELECT 1 FROM outputs WHERE course = ? AND output = ? LIMIT 1", owner))

    def owners(self) -> list[Owner]:
        """Whoever has files in any target."""
        rows = self._read("SELECT DISTINCT course, output FROM outputs")
        return [Owner._make(row) for row in rows if all(isinstance(each, str) for each in row)]

    def owner_of(self, target: str, path: str) -> Owner | None:
        """Who wrote an output path last; None if nobody did."""
        rows = self._read("SELECT course, output FROM outputs WHERE target = ? AND path = ?", (target, path))
        return next((Owner._make(row) for row in rows if all(isinstance(each, str) for each in row)), None)

    def move(self, before: Owner, owner: Owner, there: str, here: str) -> None:
        """Give *owner* all that is known of *before*, whose course lay below *there* and lies below *here* now."""

        real = os.path.realpath(here)

        def moved(target: Any) -> Any:
            is_below = isinstance(target, str) and target.startswith(f"{there}/")
            return real + target[len(there) :] if is_below else target

        def body(connection: Any) -> None:
            outputs = connection.execute(f"SELECT {_OUTPUT_COLUMNS} {_OF_OWNER}", before).fetchall()
            connection.execute(f"DELETE {_OF_OWNER}", before)
            connection.executemany(_KEEP_OUTPUT, [(moved(target), *rest, *owner) for target, *rest in outputs])
            moves = (
                (there, here),
                (_warnings_of(there), _warnings_of(here)),
                (_checks_of(before), _checks_of(owner)),
                (_pages_of(before), _pages_of(owner)),
            )
            for old, new in moves:
                for table in ("files", "sources"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE root = ? AND path IN (SELECT path FROM {table} WHERE root = ?)",
                        (new, old),
                    )
                    connection.execute(f"UPDATE {table} SET root = ? WHERE root = ?", (new, old))

        self._write("move", body)

    def written_to(self, but: str) -> list[str]:
        """Directories of all targets of all owners, not below *but*, in which files that CLX has written still are."""
        targets = [target for (target,) in self._read(_TARGETS) if not f"{target}/".startswith(f"{but}/")]
        return [target for target in targets if os.path.isdir(target) and self._has_any(target)]  # noqa: PTH112

    def _has_any(self, target: str) -> bool:
        """Whether any of a target's files is there: who has removed them may use the directory for something else."""
        rows = self._read(f"SELECT path FROM outputs WHERE target = ? LIMIT {_LOOKED_FOR}", (target,))
        return any(os.path.lexists(f"{target}/{path}") for (path,) in rows)

    def outputs(self, owner: Owner) -> dict[str, dict[str, PublishedFile]]:
        """Files *owner* owns: target → path → file."""
        rows = self._read(
            f"SELECT {_OUTPUT_COLUMNS} {_OF_OWNER}",
            owner,
        )
        found: dict[str, dict[str, PublishedFile]] = {}
        for row in rows:
            if _OUTPUT.read_quickly(row)[1]:  # of another program: nothing is removed because of it
                continue
            found.setdefault(row[0], {})[row[1]] = PublishedFile._make(row)
        return found

    def facts(self, owner: Owner) -> list[PublishedFile] | None:
        """All of *owner*'s files in order; None if one is of another program."""
        rows = self._read(f"SELECT {_OUTPUT_COLUMNS} {_OF_OWNER}", owner)
        try:
            return sorted(msgspec.convert(list(map(tuple, rows)), list[PublishedFile]))
        except msgspec.ValidationError:
            return None

    def paths_of_others(self, owner: Owner, target: str, task: str) -> list[str]:
        """Paths in a target of files of a task that courses other than *owner* have written."""
        rows = self._read("SELECT path, course, output FROM outputs WHERE target = ? AND task = ?", (target, task))
        return [path for path, *whose in rows if isinstance(path, str) and tuple(whose) != owner]

    def digest_written(self, target: str, path: str) -> str | None:
        """The digest of what CLX last wrote to an output path, for whichever course; None if it never did."""
        rows = self._read("SELECT digest FROM outputs WHERE target = ? AND path = ?", (target, path))
        return str(rows[0][0]) if rows else None

    def published(self, owner: Owner, files: Sequence[PublishedFile], removed: Sequence[tuple[str, str]] = ()) -> None:
        """Note files that were written for *owner*, and ``(target, path)`` of those of its files that are gone."""
        if not files and not removed:
            return

        def body(connection: Any) -> None:
            connection.executemany(
                "DELETE FROM outputs WHERE target = ? AND path = ? AND course = ? AND output = ?",
                [(*each, *owner) for each in removed],
            )
            connection.executemany(
                _KEEP_OUTPUT,
                [(*file, *owner) for file in files],
            )

        self._write("published", body)
