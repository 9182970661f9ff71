"""Files of a day that machines hand to each other by name: what is held, by day, below one folder.

Bytes are artifacts; ``YYYY/MM/DD/.day.json`` says which a day holds, and is replaced in one step. The files lie beside
it by their names, for programs of this machine: links to the artifacts, made after it and from it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from clx.artifacts.store import ArtifactStore
from clx.errors import ArtifactError, ClxError, OutputError, UsageError
from clx.platforms import system
from clx.regular import open_regular, replace_text

MOST_FILES = 10_000
"""Names that a day may have."""
RESERVE = 64 << 20
"""Bytes that uploads leave free on the disk, where nothing else is said."""
INDEX = ".day.json"
_STORE = ".artifacts"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Staged(msgspec.Struct, frozen=True):
    """A file that is held.

    Attributes:
        size: bytes.
        sha256: of these.
        job, worker: what its sender said of itself; empty where nothing.
        at: when it came, ``2026-11-27T05:00:00Z``.
    """

    name: str
    size: int
    sha256: str
    job: str = ""
    worker: str = ""
    at: str = ""


class HeldError(ClxError):
    """A name of that day is held with other bytes."""


class RoomError(ClxError):
    """There is no room for it; nothing of it was kept."""


class Incoming:
    """A file that is coming, in a temporary one of the same disk; one thread at a time calls it.

    Raises:
        OutputError, RoomError: it cannot be kept.
    """

    def __init__(self, staging: Staging, name: str) -> None:
        self.name = name_of(name)
        self.size = 0
        self._staging = staging
        self._hash = hashlib.sha256()
        self._checked_at = 0
        folder = staging.store.root / "tmp"
        self.path = folder / os.urandom(12).hex()
        with told(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self.stream = self.path.open("xb+", buffering=0)
            system.lock(self.stream.fileno(), wait=False)  # whoever sweeps sees that somebody is at it

    @property
    def sha256(self) -> str:
        """Of what has come, in hexadecimal digits."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Add *data*.

        Raises:
            OutputError, RoomError: it cannot be kept.
        """
        if self.size + len(data) >= self._checked_at:
            self._staging.require_room(len(data))
            self._checked_at = self.size + len(data) + (1 << 20)
        with told(self.path):
            view = memoryview(data)
            while view:
                view = view[self.stream.write(view) :]
        self._hash.update(data)
        self.size += len(data)

    def sync(self) -> None:
        """See that it is on the disk."""
        with told(self.path):
            os.fsync(self.stream.fileno())

    def discard(self) -> None:
        """Keep nothing of it, unless it was kept."""
        self.stream.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


class Staging:
    """The files that are held below *root*, which is made where there is none.

    Args:
        reserve: bytes that are left free on its disk.

    Raises:
        OutputError: nothing can be written there.
    """

    def __init__(self, root: Path, *, reserve: int = RESERVE) -> None:
        self.root = root.absolute()
        self.store = ArtifactStore(self.root / _STORE)
        self._reserve = reserve
        self._turn = threading.Lock()
        with told(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            (self.store.root / "tmp").mkdir(parents=True, exist_ok=True)
        self.recover()

    def recover(self) -> None:
        """Remove what uploads that were killed have left, and lay out again what days say."""
        with self._alone(), told(self.root):
            for path in (self.store.root / "tmp").iterdir():
                with contextlib.suppress(OSError), path.open("rb+") as stream:
                    if system.lock(stream.fileno(), wait=False):
                        path.unlink()
            for day, files in self.days().items():
                for each in files:
                    self._lay_out(day, each)
            self._prune()

    # -- in -------------------------------------------------------------------------------------------

    def put(
        self, day: str, files: Sequence[Incoming], *, job: str = "", worker: str = "", replace: bool = False
    ) -> list[Staged]:
        """Hold *files*, all of them or none; what is held already with these bytes stays as it is.

        Raises:
            HeldError: a name is held with other bytes, and they are not to *replace* them.
            OutputError, RoomError: they cannot be kept.
        """
        for file in files:
            file.sync()
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = [Staged(each.name, each.size, each.sha256, job, worker, at) for each in files]
        whole = {each.sha256 for each in made if self.store.verify(each.sha256)}
        with self._alone(), told(self.root):
            before = self.held(day)
            held = {each.name: each for each in before}
            made = [_resolved(each, held, replace=replace) for each in made]
            try:
                for file in files:
                    if file.sha256 not in whole or not self.store.has(file.sha256, file.size):
                        self.store.settle(file.stream, file.path, file.sha256, synced=False)
                    file.stream.close()
                held |= {each.name: each for each in made}
                if len(held) > MOST_FILES:
                    raise RoomError(f"A day holds at most {MOST_FILES} files.", "Remove some first.")
                self._keep(day, list(held.values()))
                for each in made:
                    self._lay_out(day, each)
            except (OSError, ClxError):
                with contextlib.suppress(OSError, ClxError):
                    self._undo(day, before, made)
                self._prune()
                raise
            if any(held[each.name] != each for each in before):
                self._prune()
        return made

    def _undo(self, day: str, before: list[Staged], made: list[Staged]) -> None:
        """Hold of a day what was held before."""
        names = {each.name for each in before}
        for each in made:
            if each.name not in names:
                (self._folder(day) / each.name).unlink(missing_ok=True)
        if before:
            self._keep(day, before)
            for each in before:
                self._lay_out(day, each)
        else:
            self._let_go(self._folder(day))

    def _keep(self, day: str, files: list[Staged]) -> None:
        folder = self._folder(day, make=True)
        replace_text(folder / INDEX, msgspec.json.format(msgspec.json.encode(files), indent=1).decode() + "\n")
        parts = {self.store.path(each.sha256).parent for each in files}
        for each in (*parts, self.store.root, folder, *folder.parents[:3]):
            with contextlib.suppress(OSError):  # where directories cannot be synced
                descriptor = system.open_folder(each)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _lay_out(self, day: str, file: Staged) -> None:
        """Put a file where programs of this machine find it, unless it is."""
        origin, target = self.store.path(file.sha256), self._folder(day) / file.name
        with contextlib.suppress(OSError):
            if os.path.samestat(origin.stat(), target.lstat()):
                return
        if not origin.exists():  # damaged, and removed: who sends it again mends that
            return
        new = target.with_name(f".{os.urandom(8).hex()}")
        try:
            os.link(origin, new)
        except OSError:  # a file system without links
            shutil.copyfile(origin, new)
        try:
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)

    # -- out ------------------------------------------------------------------------------------------

    def held(self, day: str) -> list[Staged]:
        """What is held of a day, as it came.

        Raises:
            OutputError: what is there cannot be read.
        """
        path = self._folder(day) / INDEX
        try:
            with open_regular(path, follow=False) as stream:
                return msgspec.json.decode(stream.read(), type=list[Staged])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise OutputError(
                f"{path} cannot be read: {error}.", f"Remove {path.parent}; send the day again."
            ) from error

    def find(self, day: str, name: str) -> Staged | None:
        """A file of a day; None: it is not held."""
        return next((each for each in self.held(day) if each.name == name), None)

    def days(self) -> dict[str, list[Staged]]:
        """What is held, by day."""
        found = sorted(path.parent for path in self.root.glob(f"[0-9]*/[0-9]*/[0-9]*/{INDEX}"))
        days = ["-".join(path.relative_to(self.root).parts) for path in found]
        return {day: self.held(day) for day in days if _DAY.fullmatch(day)}

    def remove(self, day: str, names: Collection[str] | None = None) -> list[Staged]:
        """Hold no more of a day, or of *names* of it; returns what went.

        Raises:
            OutputError: it cannot be removed.
        """
        with self._alone(), told(self.root):
            held = self.held(day)
            gone = [each for each in held if names is None or each.name in names]
            if not gone:
                return []
            folder = self._folder(day)
            for each in gone:  # before the index says so: what stays of a cut removal is removed by the next one
                (folder / each.name).unlink(missing_ok=True)
            if rest := [each for each in held if each not in gone]:
                self._keep(day, rest)
            else:
                self._let_go(folder)
            self._prune()
        return gone

    def _let_go(self, folder: Path) -> None:
        (folder / INDEX).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # what somebody else has put there stays
            for each in (folder, *folder.parents[:2]):
                each.rmdir()

    def _prune(self) -> None:
        """Remove the bytes that no day names; whoever calls is alone."""
        self.store.forget()
        named = {each.sha256 for files in self.days().values() for each in files}
        with contextlib.suppress(ArtifactError):
            self.store.prune(named, older_than=-1e9)

    # -- where ----------------------------------------------------------------------------------------

    def free(self) -> int:
        """Bytes that uploads may still take."""
        return max(0, shutil.disk_usage(self.root).free - self._reserve)

    def require_room(self, size: int) -> None:
        """See that *size* bytes would fit.

        Raises:
            RoomError: they would not.
        """
        if size > (free := self.free()):
            raise no_room(f"There is no room for {size} bytes: {free} are free.")

    def _folder(self, day: str, *, make: bool = False) -> Path:
        """The folder of a day, and no other one to which a link leads."""
        folder = self.root
        for part in day_of(day).split("-"):
            folder /= part
            if make:
                folder.mkdir(exist_ok=True)
            if folder.is_symlink():
                raise OutputError(
                    f"{folder} is a symbolic link.", "Remove it: what is staged lies in the folder alone."
                )
        return folder

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread of one process at a time changes what is held."""
        with self._turn, told(self.root), (self.root / ".lock").open("a+b") as lock:
            system.lock(lock.fileno())
            yield


def _resolved(file: Staged, held: dict[str, Staged], *, replace: bool) -> Staged:
    """What will be held of a file that comes: that which is, where it is the same."""
    there = held.get(file.name)
    if there is not None and there.sha256 == file.sha256:
        return there
    if there is not None and not replace:
        raise HeldError(
            f"{file.name} is held already, with other bytes: sha256 {there.sha256[:12]}….",
            "Send replace=true with it, or clean it up first.",
        )
    if any(name != file.name and name.lower() == file.name.lower() for name in held):
        raise HeldError(f"{file.name} is held already, in other letters.", "Call it by another name.")
    return file


def day_of(text: str) -> str:
    """A day as it is written, ``2026-11-27``.

    Raises:
        UsageError: it is none.
    """
    try:
        if _DAY.fullmatch(text):
            date.fromisoformat(text)
            return text
    except ValueError:
        pass
    raise UsageError(f"{text[:40]!r} is no day.", "Write it as 2026-11-27.")


def name_of(text: str, what: str = "a file") -> str:
    """A name that a file, job or worker may have.

    Raises:
        UsageError: it may not.
    """
    if not _NAME.fullmatch(text) or text.endswith("."):
        raise UsageError(f"{text[:120]!r} cannot be the name of {what}.", "Use at most 100 letters, digits, . _ -")
    return text


def no_room(fact: str) -> RoomError:
    """The error for a disk that is full."""
    return RoomError(fact, "Remove days that were collected: POST /staging/cleanup; /staging/status shows them.")


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """What the disk refuses, as an error with a next step."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_room("The disk is full: nothing of what was coming was kept.") from error
        raise OutputError(f"{path} cannot be written: {error.strerror}.", "Mend that, and send it again.") from error
