"""What converted decks depend on besides their sources: cheap to ask, imports nothing of it."""

from __future__ import annotations

import functools
import sys

from clx.jobtypes.notebook.execution.interpreter import distributions, interpreter_fingerprint
from clx.jobtypes.notebook.execution.kernel_names import other_kernels
from clx.jobtypes.notebook.settings import NotebookSettings
from clx.settings.schema import Settings
from clx.tools.finding import locate
from clx.tools.fingerprint import MISSING, tool_fingerprint

_DISTRIBUTIONS = (
    "jinja2",
    "jupytext",
    "linkify_it_py",
    "markdown_it_py",
    "mdit_py_plugins",
    "mini_racer",
    "nbformat",
    "pygments",
)


def fingerprint(settings: Settings) -> dict[str, str]:
    """Name the libraries of the converter, ``missing`` if not installed, and the interpreter that runs the cells.

    So are the kernels of other languages than Python, where there are any.
    """
    kernels = other_kernels()
    return {
        **_versions(tuple(sys.path)),
        **interpreter_fingerprint(settings.section(NotebookSettings).python),
        **({"kernels": kernels} if kernels else {}),
    }


def drawn_by(settings: Settings) -> str:
    """What draws the diagrams among a deck's texts; decks without any do not depend on it."""
    return tool_fingerprint(locate("browser", settings))


@functools.lru_cache(maxsize=4)
def _versions(places: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place in places:
        for entry in distributions(place or "."):
            name, _, rest = entry.partition("-")
            name = name.lower().replace("-", "_").replace(".", "_")
            if rest.endswith(".dist-info") and name in _DISTRIBUTIONS:
                found.setdefault(name, rest.removesuffix(".dist-info"))
    return {name: found.get(name, MISSING) for name in _DISTRIBUTIONS}
