"""Clients of others that speak with a server of CLX, each with its own packages in an environment of its own.

``tests/server/wire/clients`` names their packages with the digest of every file; environments are made on first use
below ``build``, and when these change. Not one of them is installed beside CLX: they want other versions of packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import skip_or_fail

ROOT = Path(__file__).parents[2]
NAMES = ROOT / "tests" / "server" / "wire" / "clients"
_BUILT = ROOT / "build" / "clients"


@dataclass(frozen=True)
class Client:
    """One of them.

    Attributes:
        python: its interpreter.
        packages: where its packages are.
    """

    python: Path
    packages: Path

    def program(self, name: str) -> str:
        """The path of a program that it brings."""
        return str(self.python.with_name(name))


def client(name: str) -> Client:
    """The client of that name and version; the calling test is skipped where it cannot be had.

    With ``clients`` in ``CLX_REQUIRE`` it fails then.
    """
    listed, home = NAMES / f"{name}.txt", _BUILT / name
    python = home / "bin" / "python"
    digest = hashlib.sha256(listed.read_bytes() + sys.version.encode()).hexdigest()
    complete = home / ".complete"
    _BUILT.mkdir(parents=True, exist_ok=True)
    with _alone(_BUILT / f"{name}.lock"):
        if not complete.exists() or complete.read_text(encoding="ascii") != digest:
            _make(home, python, listed)
            complete.write_text(digest, encoding="ascii")
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    )
    return Client(python, Path(found.stdout.strip()))


def _make(home: Path, python: Path, listed: Path) -> None:
    """Install what is listed, which is all; what of it is never imported need not be compiled."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "-q"]
    pip += ["--disable-pip-version-check", "--no-deps", "--no-compile", "--require-hashes", "-r", listed]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode != 0:
        skip_or_fail("clients", f"{listed.stem} cannot be installed: {done.stderr[-500:]}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
