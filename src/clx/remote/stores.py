"""Which store the settings ask for: a directory, or one in front of a server."""

from __future__ import annotations

import os
from pathlib import Path

from clx.artifacts.store import ArtifactStore
from clx.settings.schema import ArtifactsSettings

TOKEN_VARIABLE = "CLX_ARTIFACTS__TOKEN"  # noqa: S105  (the name of a variable)


def open_store(root: Path, settings: ArtifactsSettings, *, token: str | None = None) -> ArtifactStore:
    """The store below *root*, in front of a server's where the settings name one; nobody is asked yet.

    Args:
        token: what the server is shown; None: that of the settings.

    Raises:
        UsageError: the server's address is none, or the token would be read on the way.
    """
    if settings.url is None:
        return ArtifactStore(root)
    from clx.remote.artifacts import ArtifactServer  # only where there is one
    from clx.remote.cached_store import CachedStore

    server = ArtifactServer(
        settings.url,
        settings.token or "" if token is None else token,
        ca_file=settings.ca_file,
        insecure=settings.insecure,
        patience=settings.patience,
    )
    return CachedStore(root, server)


def find_token(settings: ArtifactsSettings) -> str:
    """The token as this user's settings have it, for who was told all settings but that; empty where there is none.

    Raises:
        SettingsError: this user's settings are not sound.
    """
    if settings.url is None:
        return ""
    from clx.settings.resolve import resolve, settings_files  # whoever starts workers has it all

    files = [each for each in settings_files() if each.kind != "project"]
    return resolve(files=files).settings.artifacts.token or ""


def own_token(settings: ArtifactsSettings) -> str:
    """The token of a worker, taken out of what its children get: what a deck runs need not have it.

    Raises:
        SettingsError: as of :func:`find_token`.
    """
    found = find_token(settings)
    os.environ.pop(TOKEN_VARIABLE, None)
    return found
