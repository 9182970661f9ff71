"""What this user trusts: places that are somebody else's, and what a project's settings reach outside of it.

One file per user, ``trust.json`` in the user's state directory. A place is known by its path and owner, a setting of a
project by the path of its settings file and a digest of what it reaches.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from clx.errors import SettingsError


class Trusted(msgspec.Struct):
    """What ``trust.json`` holds; paths are real ones."""

    places: dict[str, int] = msgspec.field(default_factory=dict)
    """Directory or file → the user id of its owner when it was trusted."""
    settings: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """Settings file → dotted key → digest of what it reaches, as :func:`clx.settings.reach.digest_of` makes it."""


def trust_file() -> Path:
    """Where it is kept; it need not exist."""
    import platformdirs

    return platformdirs.user_state_path("clx", appauthor=False) / "trust.json"


def read_trusted() -> Trusted:
    """What this user trusts; nothing when nothing was said, or the file is damaged.

    Raises:
        SettingsError: others may write the file.
    """
    from clx.settings.owners import complaint

    path = trust_file()
    if why := complaint(path):
        raise SettingsError(f"{path}: {why}", "Remove it, or correct its permissions; then trust again.")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Trusted)
    except (OSError, msgspec.DecodeError):
        return Trusted()


def change_trusted(change: Callable[[Trusted], None]) -> None:
    """Write down what *change* makes of what is trusted.

    Raises:
        SettingsError: it cannot be written.
    """
    from clx.settings.write import alone, write_text

    path = trust_file()
    with alone(path):
        trusted = read_trusted()
        change(trusted)
        write_text(path, msgspec.json.format(msgspec.json.encode(trusted), indent=2).decode() + "\n")


def is_trusted_place(path: Path) -> bool:
    """Whether *path*, or the directory it lies in, was trusted and is still the same user's."""
    places = read_trusted().places
    return any(places.get(real) == owner for real, owner in _identities(path))


def _identities(path: Path) -> list[tuple[str, int]]:
    found = []
    for each in (path, path.parent):
        real = os.path.realpath(each)
        with contextlib.suppress(OSError):
            found.append((real, os.stat(real).st_uid))  # noqa: PTH116  (beside its own name)
    return found


def trust_place(path: Path) -> None:
    """Trust what lies at *path*: a file, or a directory with the files in it."""
    real, owner = _identities(path)[0]
    change_trusted(lambda trusted: trusted.places.update({real: owner}))


def trust_setting(settings_file: Path, key: str, digest: str) -> None:
    """Trust what one setting of a project reaches, as it is now."""
    real = os.path.realpath(settings_file)
    change_trusted(lambda trusted: trusted.settings.setdefault(real, {}).update({key: digest}))


def forget_trust(folder: Path) -> list[str]:
    """Trust nothing at or below *folder* any more; gives the paths that were trusted."""
    real, forgotten = os.path.realpath(folder), set[str]()

    def forget(trusted: Trusted) -> None:
        for entries in (trusted.places, trusted.settings):
            for path in [path for path in entries if path == real or path.startswith(real.rstrip("/") + "/")]:
                del entries[path]
                forgotten.add(path)

    change_trusted(forget)
    return sorted(forgotten)
