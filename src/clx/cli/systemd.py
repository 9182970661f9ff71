"""The systemd unit that keeps services on a server.

How words are written in a unit: systemd.service(5) "Command lines", systemd.unit(5) "Specifiers", systemd.syntax(7).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from clx.errors import UsageError

_PLAIN = re.compile(r"[A-Za-z0-9_./:=@,+%$~-]+")
"""What needs no quotes; ``%`` and ``$`` are doubled, in quotes and outside."""


def systemd_unit(database: Path, options: Sequence[str], directory: Path) -> str:
    """A unit that runs the supervisor of *database* as its main process.

    systemd ends it with SIGTERM, on which it drains the workers, and only kills what is left.

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
WorkingDirectory=-{_without_specifiers(str(directory))}
# User=clx

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
