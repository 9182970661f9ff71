"""Which process is which: machine, boot, pid namespace, pid and start time together name one process for ever.

A pid alone is recycled; it is only ever checked from inside the same namespace. Everybody else goes by
the lease. The machine is named so that another one of the same name is not taken for an earlier boot of this one.
"""

from __future__ import annotations

import os
import platform
from functools import cache
from hashlib import sha256
from pathlib import Path

from clx.platforms import system

BY_LEASE = "by-lease"
"""The identity of whoever cannot end: what it holds is held by the leases of its jobs alone."""


def machine() -> str:
    """What tells this installation of a system from others; empty where nobody can tell, as in many containers."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            found = Path(path).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        if found.isalnum():
            return sha256(f"clx {found}".encode()).hexdigest()[:12]  # the id itself is not for others
    return ""


@cache
def this_machine() -> str:
    """What all processes of one boot and one pid namespace share, and no others of any machine do."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}@{machine()}/{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116  (the link's target, cheaply)
    except (FileNotFoundError, PermissionError):  # no such file here; any other error may be over in a moment
        import psutil

        return f"{platform.node()}-{int(psutil.boot_time())}/0"


def _start_time(pid: int) -> str | None:
    """When the process started, in a form that never changes while it lives; None when it is gone.

    Raises:
        OSError: nobody can tell at the moment: this process has too many files open, say. That is no sign of death.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self"):  # noqa: PTH112
            return None
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error as error:
        raise PermissionError(str(error)) from error


def process_identity(pid: int | None = None) -> str:
    """The identity of a living process, this one by default; empty when there is none with that pid.

    Raises:
        OSError: nobody can tell at the moment.
    """
    number = os.getpid() if pid is None else pid
    start = _start_time(number)
    return f"{this_machine()}/{number}/{start}" if start else ""


def is_ours_to_judge(identity: str) -> bool:
    """Whether the process would be visible from here if it lived: same boot and same pid namespace."""
    try:
        return identity.rsplit("/", 2)[0] == this_machine()
    except (OSError, AttributeError, TypeError):  # the last two: another program wrote what is no text
        return False


def is_gone(identity: str) -> bool:
    """Whether the process is known to have ended; false for those that cannot be judged from here.

    A process of an earlier boot of this machine is gone too, but another machine's looks the same from
    here, so those are left to their lease.
    """
    if not is_ours_to_judge(identity):
        return False
    try:
        pid = int(identity.rsplit("/", 2)[1])
        found = process_identity(pid)
        return found != identity and not (found == "" and _is_hidden(pid))
    except (OSError, IndexError, ValueError, OverflowError):  # cannot be judged: no descriptors left, or no identity
        return False


def is_of_an_earlier_boot(identity: str, host: str, seen_at: int) -> bool:
    """Whether a process is gone because its machine was started anew.

    One of another machine of the same name is told by the id of that machine; where it has none, it speaks up again
    after this one was started.

    Args:
        host: the name of the process's machine.
        seen_at: when it was last heard of, milliseconds UTC.
    """
    boot, _, there = identity.partition("/")[0].partition("@")
    mine, _, here = this_machine().partition("/")[0].partition("@")
    if host != platform.node() or boot == mine or (there and here and there != here):
        return False
    import psutil

    try:
        return seen_at < psutil.boot_time() * 1000
    except OSError:  # nobody can tell at the moment
        return False


def _is_hidden(pid: int) -> bool:
    """Whether there is such a process that this user may not look at (``hidepid``)."""
    try:
        system.probe(pid)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return False
