"""A runner of works in the test's own process, with functions in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.works.models import Document
from clx.db.works.withdrawing import Asked
from clx.settings.schema import ArchiveSettings
from clx.work.archiving.archive import Archive
from clx.work.running.runner import Done, Plan, Runner

STEPS = """
import os, signal, subprocess, sys, time
from pathlib import Path

import click
import clx

def add(a, b):
    print("adding", a, b)
    return a + b

async def later(n):
    return {"later": n}

def whole(work):
    work.results = {"of": work.pipeline, "user": work.user}

def raises(**said):
    print("about to")
    raise ValueError("no such detector")

def leaves():
    sys.exit(3)

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

def odd():
    return {"n": float("nan")}

def hangs(file):
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    Path(file + ".new").write_text(f"{os.getpid()} {other.pid}")
    os.rename(file + ".new", file)
    time.sleep(600)

def hangs_at(file):
    if file:
        hangs(file)

def tells():
    clx.progress(1, 3)
    clx.progress(2, 3, "nearly")

def says(count):
    print("x" * count)

def makes(product, plot):
    return {"made": 2}, [product], [plot]

def nothing(**said):
    return None

@click.command()
@click.argument("name")
@click.option("--times", type=int, default=1)
@click.option("--loud/--quiet", default=False)
@click.option("--tag", multiple=True)
def greet(name, times, loud, tag):
    return {"greeting": (name.upper() if loud else name) * times, "tags": list(tag)}

from os import system
_hidden = add
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the module ``steps``."""
    found = tmp_path / "here"
    found.mkdir()
    (found / "steps.py").write_text(STEPS)
    monkeypatch.chdir(found)
    return found


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue.open(tmp_path / "jobs.db") as found:
        yield found


Do = Callable[..., list[Done]]


@pytest.fixture
def do(folder: Path, queue: Queue, tmp_path: Path) -> Do:
    """Deposits works of the pipeline ``p`` and does them, by a function of ``steps`` or as the plan says otherwise."""

    def run(function: str | None, *documents: Document, archive: str | None = None, **plan: Any) -> list[Done]:
        queue.works.deposit([{"pipeline": "p", "retries": 1, **each} for each in documents])
        done: list[Done] = []
        named = None if function is None else f"steps.{function}"
        wanted = Plan(Asked(("p",)), named, path=(str(folder),), until_idle=True, **plan)
        store = ArtifactStore(tmp_path / "artifacts")
        files = None if archive is None else Archive(ArchiveSettings(posix=archive), store, folder)
        runner = Runner(queue.works, wanted, done.append, artifacts=store, archive=files, state=tmp_path / "state")
        try:
            assert runner.run() == len(done)
        finally:
            runner.close()
        return done

    return run


def now(queue: Queue, done: Done) -> Document:
    """The work as it stands in the table."""
    found = queue.works.get(done.id)
    assert found is not None
    return found.document
