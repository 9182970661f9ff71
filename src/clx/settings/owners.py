"""Whose a file is: what is somebody else's, or may be written by others, is not believed unless that was asked for.

What lies in ``.clx`` decides which programs run and which processes are ended. On a machine with several users
somebody else must not be able to put it there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from clx.errors import UntrustedError

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
    if not hasattr(os, "geteuid"):
        return ""
    if found.st_uid not in _believed():
        return f"belongs to {_name_of(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode):  # everybody's by its mode; what it leads to is looked at
        return ""
    return f"may be written by {others}" if (others := who_else_writes(found)) else ""


def _believed() -> set[int]:
    """This user, root, and with ``sudo`` who typed it."""
    caller = os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
    return {os.geteuid(), 0} | ({int(caller)} if caller.isdecimal() else set())


def who_else_writes(found: os.stat_result) -> str:
    """Who besides its owner may write something, in words; empty for nobody."""
    if not hasattr(os, "geteuid"):
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and not _is_alone_in(found.st_gid, found.st_uid):
        return f"the group {_name_of_group(found.st_gid)}"
    return ""


def _is_alone_in(group: int, user: int) -> bool:
    """Whether nobody but *user* is in *group*: many systems give every user such a group, and a umask of 002."""
    import grp
    import pwd

    try:
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        members = set()
    mine = {each.pw_name for each in pwd.getpwall() if each.pw_uid == user}
    others = [each for each in pwd.getpwall() if each.pw_gid == group and each.pw_uid >= _FIRST_PERSON]
    return members <= mine and all(each.pw_uid == user for each in others)


def _name_of(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _name_of_group(group: int) -> str:
    import grp

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
