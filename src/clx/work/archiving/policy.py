"""What is done with each kind of files of a work, in the words of all clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from clx.settings.schema import ArchiveSettings

Policy = Literal["bypass", "copy", "move", "delete"]
"""Leave it where it is; keep a copy; keep a copy and remove it; remove it."""
KINDS = ("results", "products", "plots", "logs")
_WORDS: dict[str, Policy] = {"pass": "bypass", "upload": "copy", **{each: each for each in get_args(Policy)}}


def policies(work: Mapping[str, Any], settings: ArchiveSettings) -> tuple[dict[str, Policy], dict[str, str]]:
    """The policy of each kind, and, by kind, what a work says that is none: nothing is done then.

    A mapping in ``archive`` is asked first, then that of ``config.archive``; true is what the settings say, false is
    ``bypass``.
    """
    own = work.get("archive")
    config = work.get("config")
    of_config = config.get("archive") if isinstance(config, Mapping) else None
    found: dict[str, Policy] = {}
    wrong: dict[str, str] = {}
    for kind in KINDS:
        usual: Policy = getattr(settings, kind)
        whole = True if isinstance(own, Mapping) else own
        said = next((each[kind] for each in (own, of_config) if isinstance(each, Mapping) and kind in each), whole)
        if said is None or said is True:
            found[kind] = usual
        elif said is False:
            found[kind] = "bypass"
        elif isinstance(said, str) and said in _WORDS:
            found[kind] = _WORDS[said]
        else:
            found[kind] = "bypass"
            wrong[kind] = f"its policy is none of {', '.join(_WORDS)}"
    return found, wrong
