"""Other people's programs that benchmarks compare with, in a virtual environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[1] / "build" / "bench-peers"
PACKAGES = (
    "nbconvert==7.17.2",
    "nbclient==0.11.0",
    "ipykernel==7.4.0",
    "jupyter-book==1.0.4.post1",
    "jupytext==1.19.6",
)
SCIENCE = ("numpy", "pandas", "matplotlib")


def python() -> Path:
    """The interpreter of the peers' environment, made on first use."""
    found = HOME / "bin" / "python"
    if not (HOME / ".complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        pip = [str(found), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES, *SCIENCE], check=True)
        (HOME / ".complete").touch()
    return found
