"""One run of a job: inputs out of the store, the converter, outputs into the store; and what is told of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.db.models import Job, NewJob
from clx.errors import ArtifactError, ArtifactMissingError, ConversionError, ServerError, ToolMissingError
from clx.platforms import system
from clx.workers.process.job_run import describe_failure, run_job


class Doing:
    """A converter that does what a test says."""

    def __init__(self, does: Callable[[Path, Path], None]) -> None:
        self._does = does

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        self._does(inputs, outputs)
        warn(f"of {payload['source']}")
        return {"pages": 2}

    def close(self) -> None:
        """Nothing is kept."""

    def abandon(self) -> None:
        """Nothing is kept."""


class Bench:
    """A store, and a directory for one job."""

    def __init__(self, root: Path) -> None:
        self.store = ArtifactStore(root / "artifacts")
        self.directory = root / "work" / "1"

    def job(self, **files: str) -> Job:
        listed = [[name.replace("__", "/"), self.store.put_bytes(text.encode())] for name, text in files.items()]
        with Queue.open("memory:") as queue:
            queue.enqueue(NewJob("t", {"source": "a.py", "files": listed}))
            return queue.claim(["t"])[0]

    def run(self, does: Callable[[Path, Path], None], **files: str) -> dict[str, Any]:
        try:
            return run_job(self.job(**files), Doing(does), self.store, self.directory)
        finally:
            assert not self.directory.exists()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_converter_finds_its_inputs_and_leaves_its_outputs_in_the_store(bench: Bench) -> None:
    def convert(inputs: Path, outputs: Path) -> None:
        assert sorted(path.relative_to(inputs).as_posix() for path in inputs.rglob("*")) == ["a", "d", "d/b"]
        (outputs / "sub").mkdir()
        (outputs / "sub/z.html").write_text((inputs / "d/b").read_text() * 2)
        (outputs / "1.png").write_text("p")

    result = bench.run(convert, a="one", d__b="two")
    assert [(name, size) for name, _, size in result["outputs"]] == [("1.png", 1), ("sub/z.html", 6)]
    assert bench.store.get_bytes(result["outputs"][1][1]) == b"twotwo"
    assert (result["warnings"], result["facts"]) == (["of a.py"], {"pages": 2})


def test_what_a_job_made_is_shared_before_its_result_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[list[str]] = []
    monkeypatch.setattr(bench.store, "share", lambda digests: shared.append(list(digests)))

    def convert(_inputs: Path, outputs: Path) -> None:
        (outputs / "a.html").write_text("a")

    result = bench.run(convert)
    assert shared == [[result["outputs"][0][1]]]


def test_a_missing_input_is_told_before_the_converter_is_asked(bench: Bench) -> None:
    job = bench.job(a="one")
    bench.store.path(job.payload["files"][0][1]).unlink()
    with pytest.raises(ArtifactMissingError):
        run_job(job, Doing(lambda *_: pytest.fail("asked")), bench.store, bench.directory)
    assert not bench.directory.exists()


def test_what_a_converter_raises_passes_through_and_nothing_is_left(bench: Bench) -> None:
    def refuse(_inputs: Path, outputs: Path) -> None:
        (outputs / "half.html").write_text("x")
        raise ConversionError("no")

    with pytest.raises(ConversionError, match="no"):
        bench.run(refuse)


def link(_inputs: Path, outputs: Path) -> None:
    (outputs / "passwd").symlink_to("/etc/passwd")


def pipe(_inputs: Path, outputs: Path) -> None:
    os.mkfifo(outputs / "passwd")


@pytest.mark.parametrize("make", [link, pipe])
def test_an_output_that_is_no_file_is_refused(bench: Bench, make: Callable[[Path, Path], None]) -> None:
    with pytest.raises(ConversionError, match="The output passwd is not a regular file"):
        bench.run(make)


def test_an_output_that_is_too_large_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clx.workers.process.job_run.MAX_OUTPUT", 1 << 20)

    def convert(size: int) -> Callable[[Path, Path], None]:
        return lambda _, outputs: os.truncate(os.open(outputs / "big", os.O_CREAT | os.O_WRONLY), size)

    assert bench.run(convert(1 << 20))["outputs"][0][2] == 1 << 20
    with pytest.raises(ConversionError, match="The output big has 1 MiB; 1 MiB are allowed"):
        bench.run(convert((1 << 20) + 1))


@pytest.mark.parametrize(
    ("error", "type_", "message", "retry"),
    [
        (ConversionError("no", "Mend it.", line=3), "ConversionError", "no", False),
        (ConversionError("no", retryable=True), "ConversionError", "no", True),
        (ArtifactError("damaged", "Build again."), "ArtifactError", "damaged", True),
        (ArtifactMissingError("gone", "Build again."), "ArtifactMissingError", "gone", False),
        (ServerError("it is away"), "ServerError", "it is away", True),
        (ToolMissingError("no java", "Type: x"), "ToolMissingError", "no java", False),
        (OSError(errno.ENOSPC, "full", "/x/y"), "NoSpace", "No space left: /x/y.", False),
        (OSError(errno.EDQUOT, "full"), "NoSpace", "No space left: the state directory.", False),
        (OSError(errno.EIO, "broken"), "InternalError", "OSError: [Errno 5] broken", False),
        (ValueError("one\ntwo"), "InternalError", "ValueError: one", False),
    ],
)
def test_a_failure_is_stored_with_what_it_is_and_whether_to_try_again(
    error: Exception, type_: str, message: str, retry: bool
) -> None:
    described, again = describe_failure(error)
    assert (described["type"], described["message"], again) == (type_, message, retry)
    assert ("traceback" in described) is (type_ == "InternalError")


def test_the_place_and_next_step_of_an_error_are_kept() -> None:
    described, _ = describe_failure(ConversionError("no", "Mend it.", line=3))
    assert (described["line"], described["next_step"]) == (3, "Mend it.")
    described, _ = describe_failure(ToolMissingError("no java", "Type: x"))
    assert described == {"type": "ToolMissingError", "message": "no java", "next_step": "Type: x"}


@pytest.mark.slow
def test_peak_memory_is_the_processes_own_and_not_its_starters() -> None:
    held = bytearray(200 << 20)
    mine = system.peak_memory()
    code = "from clx.platforms import system; print(system.peak_memory())"
    started = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert mine is not None
    assert mine > len(held)
    assert 1 << 20 < started < 150 << 20
