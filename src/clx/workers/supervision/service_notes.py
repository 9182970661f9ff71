"""Which databases of a user have services, so that commands in other directories can name them."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

from clx.db.apart import identity, name_of
from clx.errors import UntrustedError
from clx.regular import read_regular
from clx.workers.supervision.service_state import state_of, supervisor_lives


def _notes() -> Path:
    import platformdirs

    return platformdirs.user_state_path("clx", appauthor=False) / "services"


def _note_path(database: Path) -> Path:
    """One note per file, by whatever path it is named."""
    return _notes() / f"{hashlib.sha256(identity(database).encode()).hexdigest()[:16]}.json"


def note_for_user(database: Path) -> None:
    """Remember that this database has services, so that other directories' commands can name it."""
    with contextlib.suppress(OSError):
        path = _note_path(database)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode({"database": str(name_of(database))}))


def forget_for_user(database: Path) -> None:
    """The services of this database are gone."""
    with contextlib.suppress(OSError):
        _note_path(database).unlink(missing_ok=True)


def databases_with_services() -> list[Path]:
    """Databases of this user whose supervisor runs on this machine; notes of others are removed."""
    found = []
    folder = _notes()
    for note in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            database = Path(msgspec.json.decode(read_regular(note), type=dict[str, str])["database"])
        except (OSError, msgspec.DecodeError, KeyError):
            continue
        try:
            state = state_of(database)
        except UntrustedError:  # told by whatever command is about it
            continue
        if supervisor_lives(state):
            found.append(database)
        else:
            with contextlib.suppress(OSError):
                note.unlink()
    return found
