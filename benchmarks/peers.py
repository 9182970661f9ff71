"""Other people's programs that benchmarks compare with, in a virtual environment of their own."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

HOME = Path(__file__).parents[1] / "build"
PACKAGES = (
    "nbconvert==7.17.2",
    "nbclient==0.11.0",
    "ipykernel==7.4.0",
    "jupyter-book==1.0.4.post1",
    "jupytext==1.19.6",
)
SCIENCE = ("numpy", "pandas", "matplotlib", "plotly")


def python() -> Path:
    """The interpreter of the environment that renders and builds books."""
    return environment("bench-peers", (*PACKAGES, *SCIENCE))


@cache
def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment with *packages*, made on first use and when they change."""
    home = HOME / name
    found, complete = home / "bin" / "python", home / ".complete"
    if not complete.exists() or complete.read_text().split() != list(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip: list[str | Path] = [found, "-m", "pip", "install", "-q", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        complete.write_text("\n".join(packages))
    return found
