"""The systemd unit that keeps services on a server.

How words are written in a unit: systemd.service(5) "Command lines", systemd.unit(5) "Specifiers", systemd.syntax(7).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from clx.errors import UsageError
from clx.platforms import system

_PLAIN = re.compile(r"[A-Za-z0-9_./:=@,+%$~-]+")
"""What needs no quotes; ``%`` and ``$`` are doubled, in quotes and outside."""


_CONFINED = """\
NoNewPrivileges=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes"""
"""What no worker needs.

Left out is what some do: files in your home and /tmp (tools, databases, what cells read), other processes (who lives is
seen in /proc), devices (cells compute on graphics cards; ProtectClock= takes these as well), namespaces (a browser's
sandbox), memory that is both written and run (Java, JavaScript), and setgid (directories that several users share).
"""


def owner() -> str:
    """As whom the unit runs: who types the command, with ``sudo`` who typed that."""
    uid = system.user_id()
    caller = os.environ.get("SUDO_UID", "")
    uid = int(caller) if uid == 0 and caller.isdecimal() else uid
    return (system.user_name(uid) or str(uid)) if uid is not None else ""


def systemd_unit(database: Path, options: Sequence[str], directory: Path) -> str:
    """A unit that runs the supervisor of *database* as its main process.

    systemd ends it with SIGTERM, on which it drains the workers, and only kills what is left. A worker that is killed
    for want of memory is the supervisor's to replace, not a reason to end them all (``OOMPolicy``).

    Args:
        options: of ``clx start-services``, as typed.
        directory: where the settings are looked for.

    Raises:
        UsageError: a path cannot be written in a unit.
    """
    for path in (database, directory):
        if not str(path).isprintable() or str(path).endswith("\\"):
            raise UsageError(
                f"{str(path)!r} cannot be written in a systemd unit.", "Name a database in another directory."
            )
    return f"""\
[Unit]
Description=CLX workers for {_without_specifiers(str(database))}
After=network.target docker.service

[Service]
Type=exec
ExecStart={_command("start-services", "--foreground", "--db-path", str(database), *options)}
ExecStop={_command("stop-services", "--db-path", str(database), "--timeout", "30")}
Restart=on-failure
RestartSec=2
KillMode=mixed
TimeoutStopSec=60
OOMPolicy=continue
WorkingDirectory=-{_without_specifiers(str(directory))}
User={_without_specifiers(owner())}

{_CONFINED}
ReadWritePaths={_word("-" + str(database.parent))}

[Install]
WantedBy=multi-user.target
"""


def _command(*arguments: str) -> str:
    """This installation's ``clx`` with *arguments*."""
    beside = Path(sys.executable).with_name("clx")
    program, *first = [str(beside)] if beside.exists() else [sys.executable, "-P", "-m", "clx"]
    # in the program's own path a dollar sign stands for itself
    return " ".join([_word(program), *(_word(each).replace("$", "$$") for each in (*first, *arguments))])


def _word(text: str) -> str:
    escaped = _without_specifiers(text)
    if _PLAIN.fullmatch(escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _without_specifiers(text: str) -> str:
    return text.replace("%", "%%")
