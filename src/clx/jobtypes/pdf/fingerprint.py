"""What a PDF file depends on beside its page and the browser; cheap enough for every build."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from clx.settings.schema import Settings
from clx.tools.fingerprint import MISSING


def fingerprint(_settings: Settings) -> dict[str, str]:
    """Name the library that joins files."""
    try:
        return {"pypdf": version("pypdf")}
    except PackageNotFoundError:
        return {"pypdf": MISSING}
