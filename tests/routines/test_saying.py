"""What workflows of one process write is told apart; what nobody's code writes goes where it went."""

from __future__ import annotations

import contextvars
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from clx.artifacts.store import ArtifactStore
from clx.errors import ServerError
from clx.routines.context import RUNNING, Running
from clx.routines.here import HERE
from clx.routines.saying import kept, told_apart
from clx.routines.tasks.output import Output
from clx.workers.run_logs import named


def said_by(body: Any) -> str:
    """What is kept of what *body* writes, as the workflow that it is."""
    output = Output()

    def run() -> None:
        RUNNING.set(Running(None, (1, 1), HERE, output=output))  # type: ignore[arg-type]
        body()

    contextvars.Context().run(run)
    return output.data().decode()


def test_each_has_what_it_writes_and_nobody_else_has(capfd: pytest.CaptureFixture[str]) -> None:
    with told_apart():
        assert said_by(lambda: print("one")) == "one\n"
        assert said_by(lambda: sys.stderr.write("two\ud800")) == "two?"
        assert said_by(lambda: logging.getLogger("shop").warning("%s!", "three")).endswith("WARNING shop: three!\n")
        assert said_by(lambda: logging.getLogger("clx.worker").warning("the host's own")) == ""
        print("nobody")
    print("later")
    assert capfd.readouterr().out == "nobody\nlater\n"


def test_a_record_that_cannot_be_said_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with told_apart():
        assert said_by(lambda: logging.getLogger("shop").warning("%d", "no number")) == ""


def test_a_long_output_is_an_artifact_and_one_that_cannot_be_stored_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(ArtifactStore):
        def share(self, digests: Any) -> None:
            raise ServerError("It is away.")

    output = Output()
    output.add(b"x" * 10_000)
    told = kept(output, ArtifactStore(tmp_path))
    assert told is not None
    assert named(told) is not None
    assert kept(output, Away(tmp_path)) is None
    assert "was not kept: It is away." in caplog.text
