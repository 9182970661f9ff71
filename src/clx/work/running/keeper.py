"""The process between a runner and the child that does its works: ``python -m clx.work.running.keeper NUMBER``.

It is the one of tasks (:mod:`clx.routines.tasks.keeper`), but for what it imports.
"""

from __future__ import annotations

import sys
from typing import Any

from clx.routines.tasks import child, keeper
from clx.work.running.functions import static
from clx.work.running.performing import WORK, Performer
from clx.workers.importing import imported

MODULE = "clx.work.running.keeper"


def prepare(spec: dict[str, Any]) -> keeper.Prepared:
    """Import the function of a runner, or the modules of which works may name functions.

    Raises:
        UsageError: one cannot be imported.
    """
    sys.path[:0] = [each for each in spec["path"] if each not in sys.path]
    function = static(spec["function"]) if spec["function"] else None
    if function is None and not spec["command"]:
        for module in spec["modules"]:
            imported(module)

    def perform() -> child.Perform:
        return Performer(spec, function)

    return keeper.Prepared([WORK], perform)


if __name__ == "__main__":
    sys.exit(keeper.main(*sys.argv[1:], prepare=prepare, module=MODULE))
