"""What tests of several rooms need."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.tools.catalog import TOOLS, install_hint
from clx.tools.finding import locate

_NEEDS = {name: (*type_.tools, *type_.optional_tools) for name, type_ in JOB_TYPES.items()} | {"browser": ("browser",)}


def require(name: str) -> None:
    """Skip the calling test where the real tool is missing; fail it where ``CLX_REQUIRE`` names the tool.

    Args:
        name: a job type, ``browser``, ``docker``, ``npm`` or ``postgres``.
    """
    if name == "postgres":
        from tests.support.postgresql import programs

        if programs() is None:
            skip_or_fail(name, "there is no server of PostgreSQL (sudo apt-get install postgresql)")
        return
    missing = [tool for tool in _NEEDS.get(name, ()) if locate(tool, Settings()) is None]
    if name in {"docker", "npm"} and shutil.which(name) is None:
        missing = [name]
    if not missing:
        return
    hints = "; ".join(install_hint(tool) for tool in missing if tool in TOOLS)
    skip_or_fail(name, f"{name} needs {', '.join(missing)} ({hints})")


def skip_or_fail(name: str, reason: str) -> NoReturn:
    """Skip the calling test; fail it where ``CLX_REQUIRE`` names *name*."""
    if name in os.environ.get("CLX_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)
