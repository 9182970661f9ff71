"""Every setting, typed, with where it came from: file and line, variable, option or default."""

from __future__ import annotations

from clx.settings.resolve import (
    EffectiveWorker,
    OptionValue,
    Origin,
    Resolved,
    SettingsFile,
    resolve,
    settings_files,
)
from clx.settings.schema import Settings

__all__ = [
    "EffectiveWorker",
    "OptionValue",
    "Origin",
    "Resolved",
    "Settings",
    "SettingsFile",
    "resolve",
    "settings_files",
]
