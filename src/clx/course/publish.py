"""Publishing: what is known becomes files of the output tree, and files no longer wanted go.

Only the process that owns a target writes into it: artifact → temporary file on the same file system →
fsync → ``os.replace``. A file that CLX did not write is never removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shlex
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.course.build_state import BuildState, Owner, PublishedFile
from clx.course.layout import Selection
from clx.course.plan import OutputPath
from clx.course.removal import remove_published
from clx.course.symlinks import is_below
from clx.errors import ArtifactError, OutputError, UsageError
from clx.jobtypes.notebook.views import as_slides
from clx.platforms import system
from clx.regular import NotRegularError, open_regular

_TEMPORARY = ".clx-tmp"
_NOTED_AT_ONCE = 500
SHARED_FROM = 1 << 20
"""Bytes from which published files share their blocks where the file system can."""
_DIRECTORIES = 256  # open at once while files are compared


class OutputFile(msgspec.Struct, frozen=True):
    """One file to be: where, from which source and job, and which bytes.

    Attributes:
        task: the job's task; empty for copies and diagrams.
        key: the job's key; a copied file's digest.
        path: the file the bytes are read from when they are not in the store.
    """

    place: OutputPath
    source: str
    task: str
    key: str
    digest: str
    path: Path | None = None

    @property
    def is_slides(self) -> bool:
        """Whether it is a page that is published as slides."""
        return self.place.is_slides and self.place.path.endswith(".html") and self.path is None


class Publisher:
    """Writes the targets of one build.

    Args:
        targets: absolute directory of each target, as :class:`~clx.course.plan.OutputPath` counts them.
        owner: whose files they are.
        state_dir: for locks and, on the same file system, temporary files.

    Attributes:
        output_stats: per target, the :data:`OutputStat` of the files that *owner* has there, by path.
        replaced: files that CLX had not written, or that were changed since, and that had to make way.
        kept_in: where those were moved.
    """

    def __init__(
        self, targets: list[str], owner: Owner, state: BuildState, store: ArtifactStore, state_dir: Path
    ) -> None:
        self.targets = targets
        self.owner = owner
        self._state = state
        self._store = store
        self._state_dir = state_dir
        self.output_stats = [state.output_stats(owner, target) for target in targets]
        self._checked: set[str] = set()
        self._directories: dict[tuple[int, str], system.Folder] = {}
        self._temporary: dict[int, Path] = {}
        self.kept_in = state_dir / "replaced"
        self.replaced: list[str] = []
        self.written = 0

    def is_current(self, place: OutputPath, key: str) -> bool:
        """Whether the file is there as CLX last wrote it, from the job (or the bytes) that *key* names."""
        target, path, _ = place
        row = self.output_stats[target].get(path)
        if row is None or row[1] != key:
            return False
        folder, _, name = path.rpartition("/")
        try:
            found = self._directory(target, folder).stat(name)
        except OSError:
            return False
        return found.st_size == row[2] and found.st_mtime_ns == row[3]

    def owned(self) -> dict[str, dict[str, PublishedFile]]:
        """All files of the owner by target and path, also in targets the course no longer has."""
        return self._state.outputs(self.owner)

    def facts(self) -> list[PublishedFile] | None:
        """As :meth:`owned`, in order; None if a row is none of CLX's."""
        return self._state.facts(self.owner)

    def paths_of_others(self, target: int, task: str) -> list[str]:
        """Paths of what other courses have written into a target for a task."""
        return self._state.paths_of_others(self.owner, self.targets[target], task)

    def files_of(self, source: str, task: str) -> list[str]:
        """Absolute paths of the files one job has published."""
        return [
            f"{target}/{row.path}"
            for target, rows in self.owned().items()
            for row in rows.values()
            if (row.source, row.task) == (source, task)
        ]

    def _directory(self, target: int, folder: str) -> system.Folder:
        """An output directory, held open: looking below it costs half of looking along the whole path."""
        known = self._directories.get((target, folder))
        if known is None:
            if len(self._directories) >= _DIRECTORIES:
                self.forget_directories()
            known = system.Folder(f"{self.targets[target]}/{folder}")
            self._directories[target, folder] = known
        return known

    def forget_directories(self) -> None:
        """Close what :meth:`is_current` has opened."""
        for folder in self._directories.values():
            folder.close()
        self._directories.clear()

    def publish(self, files: Iterable[OutputFile]) -> None:
        """Write files and note who owns them.

        Raises:
            OutputError: a file cannot be written; what was written before is noted.
            ArtifactError: the bytes are not to be had.
        """
        done: list[PublishedFile] = []
        with self._locked():
            try:
                for file in files:
                    done.append(self._write(file))
                    if len(done) >= _NOTED_AT_ONCE:
                        self._note(done)
            finally:
                self._note(done)

    def _note(self, done: list[PublishedFile]) -> None:
        self._state.published(self.owner, done)
        done.clear()

    def _write(self, file: OutputFile) -> PublishedFile:
        root = self.targets[file.place.target]
        final = Path(root, file.place.path)
        try:
            self._prepare(Path(root), final)
            digest = file.digest
            if file.is_slides:
                digest = self._write_slides(file, final)
            elif not _has_bytes(final, digest):
                self._make_way(file, final)
                self._replace(file, final)
            found = final.stat()
        except OSError as error:
            raise _unwritable(final, error) from error
        number, path, variant = file.place
        stat_of = (found.st_size, found.st_mtime_ns)
        self.output_stats[number][path] = (path, file.key, *stat_of)
        return PublishedFile(root, path, variant, file.source, file.task, file.key, digest, *stat_of)

    def _make_way(self, file: OutputFile, final: Path) -> None:
        """Keep a file that CLX did not write, or that was changed since, before it is replaced."""
        if final.is_file():
            if self._is_as_written(file.place, final):
                return
            shutil.copy2(final, self._kept(file))
        elif not os.path.lexists(final) or final.is_symlink() or final.is_dir():
            return
        else:  # a pipe, socket or device
            os.replace(final, self._kept(file))  # noqa: PTH105
        self.replaced.append(str(final))

    def _is_as_written(self, place: OutputPath, final: Path) -> bool:
        row, found = self.output_stats[place.target].get(place.path), final.stat()
        if row is not None and (found.st_size, found.st_mtime_ns) == row[2:]:
            return True
        written = self._state.digest_written(self.targets[place.target], place.path)
        return written is not None and _has_bytes(final, written)

    def _kept(self, file: OutputFile) -> Path:
        """Where what stood in the way of a file is kept."""
        target = hashlib.sha256(self.targets[file.place.target].encode()).hexdigest()[:8]
        kept = self.kept_in / target / file.place.path
        kept.parent.mkdir(parents=True, exist_ok=True)
        return kept

    def _prepare(self, root: Path, final: Path) -> None:
        """Make the file's directory and see that it really lies in the target."""
        folder = str(final.parent)
        if folder in self._checked:
            return
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root)):
            raise OutputError(f"{final} lies outside its target once symbolic links are followed.", "Remove the link.")
        final.parent.mkdir(parents=True, exist_ok=True)
        self._checked.add(folder)

    def _replace(self, file: OutputFile, final: Path) -> None:
        temporary = self._temporary_directory(file.place.target) / os.urandom(8).hex()
        try:
            if self._shared(file, temporary):
                pass
            elif file.path is not None:
                _copy_checked(file.path, temporary, file.digest)
            else:
                self._store.copy_to(file.digest, temporary)
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, final)  # noqa: PTH105
        finally:
            temporary.unlink(missing_ok=True)
        self.written += 1

    def _write_slides(self, file: OutputFile, final: Path) -> str:
        """Publish a page as slides, made here from the page that is kept; returns the digest of what is there then."""
        temporary = self._temporary_directory(file.place.target) / os.urandom(8).hex()
        try:
            self._store.copy_to(file.digest, temporary)
            slides = as_slides(temporary.read_bytes())
            digest = hashlib.sha256(slides).hexdigest()
            if not _has_bytes(final, digest):
                self._make_way(file, final)
                with temporary.open("wb") as stream:
                    stream.write(slides)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(temporary, final)  # noqa: PTH105
                self.written += 1
        finally:
            temporary.unlink(missing_ok=True)
        return digest

    def _shared(self, file: OutputFile, temporary: Path) -> bool:
        """Whether a large file shares its blocks with where its bytes come from, so that many copies cost no space.

        A hard link would not do: an edit of the output would be one of the store, or of the course.
        """
        origin = self._store.path(file.digest) if file.path is None else file.path
        with contextlib.suppress(OSError):  # whoever copies it says why it cannot be read
            found = origin.stat()
            if found.st_size < SHARED_FROM or not stat.S_ISREG(found.st_mode):
                return False
            if system.share_blocks(origin, temporary) and _has_bytes(temporary, file.digest):
                return True
        temporary.unlink(missing_ok=True)
        return False

    def _temporary_directory(self, target: int) -> Path:
        """A directory for temporary files on the target's file system; outside the target where possible."""
        if target not in self._temporary:
            root = Path(self.targets[target])
            local = self._state_dir / "tmp"
            local.mkdir(parents=True, exist_ok=True)
            folder = local if local.stat().st_dev == root.stat().st_dev else root / _TEMPORARY
            folder.mkdir(exist_ok=True)
            self._temporary[target] = folder
        return self._temporary[target]

    # -- removal ----------------------------------------------------------------------------------

    def remove_stale(
        self, wanted: Collection[tuple[int, str]], selection: Selection, unmade: Collection[tuple[str, str]]
    ) -> tuple[list[str], list[str]]:
        """:meth:`remove` the files of the selected variants that nothing wants any more.

        Args:
            wanted: every output path of the plan.
            selection: what was asked for; nothing outside it is touched.
            unmade: source and task of jobs that failed or did not run: their last good files stay.
        """
        if not self._has_unwanted(wanted, selection):
            return [], []
        numbers = {target: number for number, target in enumerate(self.targets)}
        return self.remove(
            row
            for target, rows in self.owned().items()
            if target in numbers or selection.targets is None
            for row in rows.values()
            if not (target in numbers and (numbers[target], row.path) in wanted)
            and (row.source, row.task) not in unmade
            and selection.covers(row.slice)
        )

    def remove(self, rows: Iterable[PublishedFile], *, forget_kept: bool = True) -> tuple[list[str], list[str]]:
        """Remove files of the owner, and forget them; those in other targets only below the output directory.

        Args:
            forget_kept: whether those that stay are forgotten too: what was changed is somebody else's from then on.

        Returns:
            Paths removed, and paths kept because they are not there as CLX wrote them.

        Raises:
            OutputError: a file cannot be removed.
        """
        removed: list[str] = []
        kept: list[str] = []
        forgotten: list[tuple[str, str]] = []
        for row in rows:
            if row.target in self.targets:
                left = remove_published(row, row.target)
            elif self._is_in_output(row.target):  # a target of before: its own directory goes too
                depth = len(Path(os.path.relpath(row.target, self.owner.output)).parts)
                left = remove_published(row, os.path.dirname(self.owner.output), kept_folders=depth)  # noqa: PTH120
            else:
                continue
            kept += left
            removed += [] if left else [f"{row.target}/{row.path}"]
            if forget_kept or not left:
                forgotten.append((row.target, row.path))
        if forgotten:
            with self._locked():
                self._state.published(self.owner, [], forgotten)
        return removed, kept

    def _is_in_output(self, target: str) -> bool:
        return is_below(os.path.normpath(target), self.owner.output)

    def _has_unwanted(self, wanted: Collection[tuple[int, str]], selection: Selection) -> bool:
        """Whether there may be anything to remove: a look at few columns, before all that is known is read."""
        if not {(number, path) for number, known in enumerate(self.output_stats) for path in known} <= set(wanted):
            return True
        if selection.targets is not None:
            return False
        others = set(self._state.targets(self.owner)) - set(self.targets)
        return any(map(self._is_in_output, others))

    # -- one publisher at a time ------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from clx.workers.supervision.service_state import locked

        with contextlib.ExitStack() as stack:
            for target in sorted(set(self.targets)):
                stack.enter_context(locked(self._state_dir, hashlib.sha256(target.encode()).hexdigest()[:16]))
            yield

    def close(self) -> None:
        """Release descriptors, and remove temporary directories inside targets."""
        self.forget_directories()
        for folder in self._temporary.values():
            if folder.name == _TEMPORARY:
                shutil.rmtree(folder, ignore_errors=True)


def check_targets(targets: Iterable[str]) -> None:
    """See that the targets can be directories.

    Raises:
        UsageError: one is a file or lies below one, or a link stands between it and the output directory.
    """
    for target in targets:
        if (real := os.path.realpath(target)) != target:
            raise UsageError(
                f"The output path {target} leads to {real}: links in the output are not followed.",
                "Remove the link, or choose another directory with -o.",
            )
        for each in (Path(target), *Path(target).parents):
            if each.is_dir():
                break
            if each.exists() or each.is_symlink():
                raise UsageError(
                    f"The output path {each} is a file, not a directory.", "Choose another directory with -o."
                )


def usual_output(root: Path) -> Path:
    """The output directory of who names none.

    Raises:
        UsageError: it is a link: who wrote the course chose where it leads, and not who builds it.
    """
    output = root / "output"
    if output.is_symlink():
        raise UsageError(
            f"The output path {output} is a link to {os.path.realpath(output)}: it is not followed unless you name it.",
            f"Remove it, or type: clx build … -o {shlex.quote(str(output))}",
        )
    return output


def _unwritable(path: Path, error: OSError) -> OutputError:
    step = "Free some space and build again." if error.errno == errno.ENOSPC else "Check the output directory."
    return OutputError(f"{path} cannot be written: {error.strerror}.", step)


def _has_bytes(path: Path, digest: str) -> bool:
    """Whether a file with these bytes is there already, e.g. written by a build that was killed."""
    try:
        with open_regular(path, follow=False) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest
    except (FileNotFoundError, NotRegularError):
        return False


def _copy_checked(source: Path, target: Path, digest: str) -> None:
    with open_regular(source) as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
    with target.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
            raise ArtifactError(f"{source} changed while it was being copied.", "Build again.")
