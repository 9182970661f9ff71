"""Values of settings that hold a secret, as they may be shown."""

from __future__ import annotations

import re
from typing import Any

from clx.settings.keys import all_keys

URL = "database.url"
_URLS = (URL, "work.url")
"""The settings that may hold a password."""
_PASSWORD = re.compile(r"(?<=://)([^/?#@]*?):.*@")
_NAMED = re.compile(r"(?i)\b((?:ssl)?password)=[^&\s]*")


def shown(key: str, value: Any) -> Any:
    """*value* of the setting *key* without what nobody is to see."""
    if value is not None and all_keys()[key].is_secret:
        return "***"
    return without_password(value) if key in _URLS and isinstance(value, str) else value


def is_secret(key: str, value: Any) -> bool:
    """Whether nobody else may read a file with *value* of the setting *key*."""
    return value is not None and shown(key, value) != value


def without_password(url: str) -> str:
    """A URL with stars in place of its password, also where it is not written as it should be."""
    return _NAMED.sub(r"\1=***", _PASSWORD.sub(r"\1:***@", url))
