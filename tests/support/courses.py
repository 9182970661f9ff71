"""Small courses that tests write, and the real ``clx build`` run on them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER = """# j2 from 'macros.j2' import header
# {{ header("%s", "%s") }}

"""
DECK = (
    HEADER
    + """# %% [markdown] lang="de" tags=["slide"]
# ## Ein Wert

# %% [markdown] lang="en" tags=["slide"]
# ## A Value

# %% tags=["keep"]
value = 6 * 7

# %%
print("value", value)
"""
)
SPEC = """name: {de: Mein Kurs, en: My Course}
prog_lang: python
sections:
  - name: {de: Woche 1, en: Week 1}
    topics:
%s
"""


@dataclass
class Course:
    """A course on disk.

    Attributes:
        root: its directory.
    """

    root: Path

    def write(self, path: str, text: str | bytes) -> Path:
        """A file below the root."""
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(text if isinstance(text, bytes) else text.encode())
        return full

    def deck(self, name: str, text: str | None = None) -> Path:
        """The deck of the directory topic *name*."""
        return self.write(
            f"slides/module_1/topic_100_{name}/slides_{name}.py",
            DECK % (f"{name} de", f"{name} en") if text is None else text,
        )

    def spec(self, *topics: str) -> Path:
        """``course.yaml`` with one section."""
        return self.write("course.yaml", SPEC % "\n".join(f"      - {topic}" for topic in topics))

    @property
    def output(self) -> Path:
        """Where it is built."""
        return self.root / "output"

    def build(self, *options: str, code: int = 0) -> Built:
        """Run ``clx build`` in a process of its own and check its exit code."""
        report = self.root.parent / f"{self.root.name}-report.json"
        report.unlink(missing_ok=True)
        done = clx("build", str(self.root / "course.yaml"), "--report", str(report), *options)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback (most recent call last)" not in done.stderr or "-v" in options
        found = json.loads(report.read_text()) if report.exists() else {}
        return Built(done.stdout, done.stderr, found)


@dataclass
class Built:
    """What a build said."""

    stdout: str
    stderr: str
    report: dict[str, Any]

    @property
    def ran(self) -> int:
        """Jobs that ran."""
        return int(self.report["jobs"]["ran"])

    def reason(self, job: str) -> str:
        """Why a job ran, by the beginning of its label."""
        return next(str(each["reason"]) for each in self.report["reasons"] if each["job"].startswith(job))


def clx(*arguments: str, timeout: float = 180, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "clx", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **variables},
    )


def tree(directory: Path) -> dict[str, str]:
    """Every file below *directory* with its digest."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
