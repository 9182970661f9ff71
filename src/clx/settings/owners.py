"""Whose a file is: what is somebody else's, or may be written by others, is not believed unless that was asked for.

What lies in ``.clx`` decides which programs run and which processes are ended. On a machine with several users
somebody else must not be able to put it there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from clx.errors import UntrustedError
from clx.platforms import system

_FIRST_PERSON = 500
"""User ids from here on are people's on every system."""


def require_own(path: Path) -> None:
    """See that what lies at *path* may be believed; nothing has to be there.

    It may when it, and a link that it is, are this user's or root's and only its owner may write it, or when
    ``clx trust`` was told so.

    Raises:
        UntrustedError: it may not; says why, and what to type.
    """
    why = complaint(path)
    if not why or _is_trusted(path):
        return
    import shlex

    name = shlex.quote(str(path))
    mend = f"Type: chmod go-w {name}; or, if" if why.startswith("may be") else "If"
    raise UntrustedError(f"{path} {why}: it is not used.", f"{mend} that is meant to be so, type: clx trust {name}")


def is_own(path: Path) -> bool:
    """Whether what lies at *path* may be believed, as :func:`require_own` says."""
    return not complaint(path) or _is_trusted(path)


def _is_trusted(path: Path) -> bool:
    from clx.settings.trust import is_trusted_place

    return is_trusted_place(path)


def complaint(path: Path) -> str:
    """Why what lies at *path* is not to be believed, as what follows its name; empty where it is, or is not there."""
    for look in (os.lstat, os.stat):
        try:
            why = _complaint(look(path))
        except OSError:  # not there, or what reading it will tell
            return ""
        if why:
            return why
    return ""


def _complaint(found: os.stat_result) -> str:
    if system.user_id() is None:
        return ""
    if found.st_uid not in _believed():
        return f"belongs to {system.user_name(found.st_uid) or f'user {found.st_uid}'}"
    if stat.S_ISLNK(found.st_mode):  # everybody's by its mode; what it leads to is looked at
        return ""
    return f"may be written by {others}" if (others := who_else_writes(found)) else ""


def _believed() -> set[int | None]:
    """This user, root, and with ``sudo`` who typed it."""
    user = system.user_id()
    caller = os.environ.get("SUDO_UID", "") if user == 0 else ""
    return {user, 0, *([int(caller)] if caller.isdecimal() else [])}


def who_else_writes(found: os.stat_result) -> str:
    """Who besides its owner may write something, in words; empty for nobody."""
    if system.user_id() is None:
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    # many systems give every user a group of their own, and a umask of 002
    if found.st_mode & stat.S_IWGRP and system.has_others(found.st_gid, found.st_uid, people=_FIRST_PERSON):
        return f"the group {system.group_name(found.st_gid)}"
    return ""
