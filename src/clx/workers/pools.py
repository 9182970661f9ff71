"""The pool of a worker: whose jobs it may take, because it would give the same results and finds their inputs.

On a table of a server workers of several machines meet. Those without a server of artifacts take only jobs whose
artifacts lie in the same directory as theirs: others would find no inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clx.commands import SERVED
from clx.db.state import StateDirectory
from clx.jobtypes.registry import pool_name
from clx.regular import mark_of
from clx.settings.schema import Settings

_MARK = "id"


def pool_of(mode: str, tools: Mapping[str, str], database: Path, settings: Settings) -> str:
    """The pool of workers in *mode* with these *tools*, on *database*.

    Raises:
        OSError: the directory of artifacts cannot be marked.
    """
    if not database.name.endswith(SERVED) or settings.artifacts.url is not None:
        return pool_name(mode, tools)
    return pool_name(mode, {**tools, "artifacts": mark_of(StateDirectory.of(database).shared / "artifacts", _MARK)})


def artifacts_pool(database: Path, settings: Settings) -> str:
    """What tells workers apart that find other artifacts, where nothing else does: empty where all find all.

    Raises:
        OSError: the directory of artifacts cannot be marked.
    """
    if not database.name.endswith(SERVED) or settings.artifacts.url is not None:
        return ""
    return "at:" + mark_of(StateDirectory.of(database).shared / "artifacts", _MARK) + ":"
