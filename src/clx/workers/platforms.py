"""What platforms do to databases and containers: WSL, mounts, path shapes, and the journal mode that follows.

Every probe is a pure function of text that the platform gives (``/proc/version``, ``/proc/self/mountinfo``, a
path), so that the behaviour on Windows and WSL is tested anywhere with recorded inputs. The one place where the
journal mode is chosen is :func:`choose_journal_mode` (REQ-4.1, REQ-4.5).
"""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import msgspec

from clx.db.sqlite.connect import busy_seconds
from clx.db.sqlite.filesystem import NETWORK, kind
from clx.platforms import system
from clx.settings.schema import DatabaseSettings, Settings

JournalMode = Literal["wal", "delete"]
Platform = Literal["linux", "wsl", "windows", "macos", "desktop"]
"""``desktop``: inside the virtual machine that Docker Desktop keeps for containers."""

_DRIVE = re.compile(r"([A-Za-z]):[\\/]")
_WSL_SHARE = re.compile(r"[\\/]{2}wsl(?:\$|\.localhost)[\\/]([^\\/]+)", re.IGNORECASE)
_WSL_DRIVE = re.compile(r"/mnt/([a-z])(/|$)")
_NAMES = {"wsl": "WSL", "windows": "Windows", "macos": "macOS", "desktop": "the host of Docker Desktop"}


class Surroundings(msgspec.Struct, frozen=True):
    """Where a database lies."""

    platform: Platform
    file_system: str
    """Its type, e.g. ``ext4``; empty when it is not known."""


def platform_of(sys_platform: str, proc_version: str) -> Platform:
    """What ``sys.platform`` and the content of ``/proc/version`` (empty where there is none) stand for.

    Source: kernels of WSL 1 and 2 carry ``Microsoft`` or ``microsoft-standard`` in their version, those of Docker
    Desktop's own virtual machine ``linuxkit``.
    """
    if sys_platform in {"win32", "cygwin"}:
        return "windows"
    if sys_platform == "darwin":
        return "macos"
    kernel = proc_version.lower()
    return "wsl" if "microsoft" in kernel else "desktop" if "linuxkit" in kernel else "linux"


def choose_journal_mode(setting: str, where: Surroundings, *, containers: bool) -> tuple[JournalMode, str]:
    """The journal mode to use, and why.

    Args:
        setting: ``database.journal_mode``: ``auto``, ``wal`` or ``delete``.
        containers: whether container workers will use the database.
    """
    if setting == "wal":
        return "wal", "database.journal_mode says so"
    if setting == "delete":
        return "delete", "database.journal_mode says so"
    if where.file_system in NETWORK:
        return "delete", f"{where.file_system} shares no memory between its clients"
    if containers and where.platform != "linux":
        return "delete", f"containers and {_NAMES[where.platform]} share no memory"
    return "wal", "everybody shares one kernel"


def sharing_warning(path: str, where: Surroundings) -> str:
    """What is wrong with the place of a database that containers are to use (REQ-4.5); empty when nothing is."""
    if where.platform == "wsl" and (_WSL_DRIVE.match(path) or where.file_system in {"9p", "drvfs"}):
        return (
            f"The database {path} lies on a Windows drive: locks and speed suffer when WSL containers use it. "
            "Keep it below your Linux home directory, e.g. --db-path ~/clx/jobs.db."
        )
    if where.platform == "windows" and _WSL_SHARE.match(path):
        return (
            f"The database {path} lies inside WSL, seen from Windows: containers cannot mount it there. "
            "Run CLX inside WSL, or keep the database on a Windows drive."
        )
    if where.platform == "windows" and not _DRIVE.match(path):
        return (
            f"The database {path} lies on a network share: containers cannot mount it. "
            "Keep it on a drive of this machine."
        )
    return ""


def mount_source(path: str, platform: Platform) -> str:
    r"""A directory of this machine as the container engine wants it named in a bind mount.

    On Windows ``C:\Users\me\course`` becomes ``/c/Users/me/course``, the form that Docker Desktop takes and that
    Compose makes of it (``COMPOSE_CONVERT_WINDOWS_PATHS``); a share of WSL becomes the path inside that
    distribution. Everywhere else a path stays as it is.
    """
    if platform != "windows":
        return path
    share = _WSL_SHARE.match(path)
    if share:
        return path[share.end() :].replace("\\", "/") or "/"
    drive = _DRIVE.match(path)
    return "/".join(["", drive[1].lower(), *PureWindowsPath(path).parts[1:]]) if drive else path.replace("\\", "/")


def surroundings(database: Path) -> Surroundings:
    """Where *database* lies on this machine."""
    platform = platform_of(system.NAME, _text("/proc/version"))
    return Surroundings(platform, kind(_nearest(database)))


def _nearest(path: Path) -> Path:
    """The nearest directory above *path* that exists, links resolved: what is about to be made will lie there."""
    return next(parent for parent in path.absolute().parents if parent.exists()).resolve()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def with_journal_mode(settings: Settings, database: Path, *, containers: bool, keep: bool = False) -> Settings:
    """*settings* with ``auto`` replaced by the journal mode to use, and the waiting time that goes with it.

    Args:
        containers: whether container workers will use the database.
        keep: leave a database that exists as it is (in a container: whoever made it knew both sides).
    """
    chosen = settings.database
    if not (keep and database.exists() and chosen.journal_mode == "auto"):
        mode, _ = choose_journal_mode(chosen.journal_mode, surroundings(database), containers=containers)
        chosen = msgspec.structs.replace(chosen, journal_mode=mode)
    if chosen.journal_mode != "wal" and chosen.busy_timeout == DatabaseSettings().busy_timeout:
        chosen = msgspec.structs.replace(chosen, busy_timeout=busy_seconds("delete"))
    return msgspec.structs.replace(settings, database=chosen)


def database_options(settings: Settings) -> dict[str, Any]:
    """How *settings* say the database is opened; ``auto`` leaves its journal mode as it is."""
    mode = settings.database.journal_mode
    return {"journal_mode": "keep" if mode == "auto" else mode, "busy_timeout": settings.database.busy_timeout}


def mount_name(directory: str) -> str:
    """What a database's directory is called inside a container: ``.clx`` where it is called so, else ``data``."""
    return ".clx" if re.split(r"[\\/]", directory.rstrip("\\/"))[-1] == ".clx" else "data"
