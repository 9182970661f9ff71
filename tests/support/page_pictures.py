"""The pictures of the page in the docs, taken from a server with a night's works: ``make pictures``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.server.views.test_browser import fill, serving, shown, until


def take(folder: Path) -> None:
    """Write them to *folder*."""
    with tempfile.TemporaryDirectory() as place, serving(Path(place)) as started, shown(started, Path(place)) as site:
        ids = fill(site.queue)
        site.enter("admin")
        for name, address, mode in (
            ("works", "/works", "light"),
            ("work", "/works/localised", "dark"),
            ("pipeline", f"/pipelines/{ids['pipeline']}", "light"),
            ("models", "/models", "light"),
            ("model", "/models/digits", "dark"),
        ):
            site.look(mode=mode, height=1100)
            site.open(address)
            until(lambda: site.js("[...document.images].every(each => each.complete)"))
            site.browser.picture(folder / f"{name}.png")


if __name__ == "__main__":
    take(Path(sys.argv[1]))
