"""A copy of the tables of a server, by PostgreSQL's own program for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from clx.db.postgresql.address import Address
from clx.db.postgresql.connect import SCHEMA
from clx.errors import DatabaseError, UsageError


def backup(address: Address, target: Path) -> int:
    """Write the schema of CLX to *target* as ``pg_restore`` reads it; returns its size in bytes.

    Raises:
        UsageError: *target* exists, or cannot be written.
        DatabaseError: ``pg_dump`` is not installed, or fails.
    """
    if target.exists():
        raise UsageError(f"{target} is there already.", "Name a file that is not there yet.")
    program = shutil.which("pg_dump")
    if program is None:
        raise DatabaseError(
            "A database of a server is copied by pg_dump, which is not installed here.",
            "Type: sudo apt-get install postgresql-client; or copy it on the server: "
            f"pg_dump --schema {SCHEMA} --format custom {address.database}",
        )
    part = target.with_name(f".{target.name}.part")
    public, secrets = address.for_programs()
    command = [
        program,
        "--no-password",
        f"--schema={SCHEMA}",
        "--format=custom",
        f"--file={part}",
        f"--dbname={public}",
    ]
    try:
        done = subprocess.run(
            command, env=os.environ | secrets, capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            raise DatabaseError(f"{address} cannot be copied: {_last(done.stderr)}", "See pg_dump's own words above.")
        os.replace(part, target)  # noqa: PTH105
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}.", "Name another file.") from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "pg_dump said nothing"
