"""What lies under the database file: kind of file system, who has it open, whether it was taken away."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import msgspec

from clx.db.apart import is_apart, located
from clx.errors import DatabaseError

NETWORK = frozenset(
    (
        *("9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb2", "smb3", "smbfs", "vboxsf", "vmhgfs", "webdav"),
        *("fuse.ceph", "fuse.cephfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.davfs"),
        *("fuse.juicefs", "fuse.mfs", "fuse.seaweedfs", "fuse.vmhgfs-fuse"),
    )
)
"""Kinds whose locks or shared memory do not hold between machines, as Linux, WSL and macOS name them: no write-ahead
log works on them. The one list for choosing the journal mode and for refusing one."""

_WAL_WRITE = 120
"""The byte of the ``-shm`` file whose lock lets one write to a write-ahead log (sqlite.org/walformat.html, 2.3.1)."""
_RESERVED = 0x40000001
"""The byte of the database file whose lock is for who writes without such a log (SQLite's ``os.h``)."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_MOUNTS = Path("/proc/self/mountinfo")


def kind(path: Path) -> str:
    """The kind of file system that *path* lies on, e.g. ``ext4``; empty where the platform does not tell."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError:
        return _kind_elsewhere(path)
    return kind_in(lines, Path(os.path.realpath(path)))


def kind_in(mountinfo: list[str], path: Path) -> str:
    """The kind of file system below *path* in a Linux mount table (proc(5), ``mountinfo``)."""
    return file_system_of(PurePosixPath(path), parse_mounts("\n".join(mountinfo)))


class Mount(msgspec.Struct, frozen=True):
    """One line of ``/proc/self/mountinfo``."""

    point: str
    type: str


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The mounts in the text of ``/proc/self/mountinfo``, in its order."""
    found = []
    for line in mountinfo.split("\n"):
        fields, separator, rest = line.partition(" - ")
        if separator:
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields.split(" ")[4])
            found.append(Mount(point, rest.split(" ")[0]))
    return found


def file_system_of(path: PurePosixPath, mounts: list[Mount]) -> str:
    """The type of the file system that the absolute *path* lies on; empty when no mount covers it."""
    covering = [mount for mount in mounts if path.is_relative_to(mount.point)]
    # of two mounts on one point the later one is seen
    return max(reversed(covering), key=lambda mount: len(mount.point)).type if covering else ""


def _kind_elsewhere(path: Path) -> str:
    import psutil

    points = [part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)]
    return max(points, key=lambda part: len(part.mountpoint)).fstype if points else ""


def refuse_network(path: Path) -> None:
    """Refuse to keep a write-ahead log where its shared memory cannot be shared.

    Raises:
        DatabaseError: *path* lies on a network file system.
    """
    found = kind(path.parent)
    if found in NETWORK:
        raise DatabaseError(
            f"{path} lies on a network file system ({found}), where a write-ahead log is lost or damaged as soon as "
            "two machines use it.",
            "Put the database on a local disk (--db-path), or set database.journal_mode = delete if only this "
            "machine uses it.",
        )


def open_files(pid: str) -> list[str]:
    """What the descriptors of process *pid* lead to; empty when it is gone or somebody else's."""
    folder = f"/proc/{pid}/fd"
    found: list[str] = []
    try:
        names = os.listdir(folder)  # noqa: PTH208  (names only)
    except OSError:
        return found
    for name in names:
        try:
            found.append(os.readlink(f"{folder}/{name}"))  # noqa: PTH115
        except OSError:
            continue  # closed meanwhile, as the listing's own
    return found


def lost_log(path: Path) -> bool:
    """Whether this process writes to a write-ahead log of the database that is no longer there."""
    names = Counter(open_files("self"))
    real = os.path.realpath(path)
    # the logs of databases of this name that were removed as a whole are nobody's loss
    return names[f"{real}-wal (deleted)"] > names[f"{real} (deleted)"]


def locked_by(path: Path) -> str:
    """Who keeps others from writing to the database, for a message: where Linux tells, else who has it open."""
    pids = [pid for pid in _writers(path) if pid != str(os.getpid())]
    return f"held by process {_named(pids)}" if pids else f"open in {holders(path)}"


def _writers(path: Path) -> list[str]:
    """The processes that hold SQLite's lock for writing, as Linux lists them (proc(5), ``locks``)."""
    real = os.path.realpath(path)
    bytes_ = {_inode(real): _RESERVED, _inode(f"{real}-shm"): _WAL_WRITE}
    found = []
    for line in _text("/proc/locks").splitlines():
        # number: POSIX ADVISORY WRITE pid major:minor:inode first last; one that only waits has an arrow more
        match line.split():
            case [_, "POSIX", _, "WRITE", pid, file, first, last]:
                byte = bytes_.get(file.rpartition(":")[2], -1)
                # numbers of files repeat on other file systems: only who has this one open counts
                if int(first) <= byte and (last == "EOF" or byte <= int(last)) and _has_open(pid, real):
                    found.append(pid)
    return found


def _inode(path: str) -> str:
    try:
        return str(os.stat(path).st_ino)  # noqa: PTH116
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""


def _has_open(pid: str, real: str) -> bool:
    return bool({real, f"{real}-wal"} & set(open_files(pid)))


def holders(path: Path) -> str:
    """Which processes have the database open, others first, for a message."""
    real = os.path.realpath(path)
    wanted = {real, f"{real}-wal"}
    if pids := users(path):
        return f"process {_named(pids)}"
    return "this program itself" if wanted & set(open_files("self")) else "a process that cannot be seen from here"


def users(path: Path) -> list[str]:
    """The other processes that have the database open, where Linux tells."""
    real = os.path.realpath(path)
    try:
        pids = os.listdir("/proc") if Path("/proc/self/fd").is_dir() else []  # noqa: PTH208
    except OSError:  # no descriptors left: nobody can tell
        return []
    return [pid for pid in pids if pid.isdigit() and int(pid) != os.getpid() and _has_open(pid, real)]


def _named(pids: list[str]) -> str:
    return ", ".join(f"{pid} ({_program(pid)})" for pid in pids)


def _program(pid: str) -> str:
    try:
        parts = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    return " ".join(part.decode(errors="replace") for part in parts[:4]).strip() or "?"


def placed(path: Path) -> Path:
    """The file itself, not a link to it: its state directory and its bells are where everybody looks for them.

    Where containers write, no link is followed: a job may have planted it.
    """
    found = located(path.absolute())
    try:
        # a linked directory is left as it is named: there its name says whether it is the state directory
        return found.resolve() if found.is_symlink() and not is_apart(found) else found
    except (OSError, RuntimeError):  # a ring of links: opening it tells
        return found
