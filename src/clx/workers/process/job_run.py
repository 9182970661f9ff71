"""One run of a job: inputs out of the store, the converter, outputs into the store."""

from __future__ import annotations

import errno
import shutil
import traceback
from pathlib import Path
from typing import Any

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Job
from clx.errors import ArtifactError, ArtifactMissingError, ClxError, ConversionError, ServerError
from clx.jobtypes.converter import Converter

MAX_OUTPUT = 512 << 20
"""Bytes one output of a job may have."""


def run_job(job: Job, converter: Converter, store: ArtifactStore, directory: Path) -> dict[str, Any]:
    """Do one job in *directory*, which is made and removed.

    Returns:
        The job's result: ``{"outputs": [[name, digest, size], …], "warnings": […], "facts": {…}}``.

    Raises:
        ConversionError, ToolMissingError: as the converter says.
        ArtifactError: an input is missing or damaged.
        ServerError: the server of artifacts does not answer.
    """
    inputs, outputs = directory / "in", directory / "out"
    files = [(name, digest) for name, digest in job.payload["files"]]
    warnings: list[str] = []
    try:
        inputs.mkdir(parents=True)
        outputs.mkdir()
        store.materialize(files, inputs)
        facts = converter.convert(job.payload, inputs, outputs, warnings.append)
        store.verify_links(files)
        stored = [_keep(path, outputs, store) for path in sorted(outputs.rglob("*")) if not path.is_dir()]
        store.share(digest for _, digest, _ in stored)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return {"outputs": stored, "warnings": warnings, "facts": facts}


def _keep(path: Path, outputs: Path, store: ArtifactStore) -> list[Any]:
    name = path.relative_to(outputs).as_posix()
    if path.is_symlink() or not path.is_file():
        raise ConversionError(f"The output {name} is not a regular file.")
    size = path.stat().st_size
    if size > MAX_OUTPUT:
        raise ConversionError(f"The output {name} has {size >> 20} MiB; {MAX_OUTPUT >> 20} MiB are allowed.")
    digest, size = store.put_file(path)
    return [name, digest, size]


def describe_failure(error: Exception) -> tuple[dict[str, Any], bool]:
    """The error as it is stored with the job, and whether another run may succeed."""
    if isinstance(error, ConversionError):
        return error.as_dict(), error.retryable
    if isinstance(error, ClxError):
        found = {"type": type(error).__name__, "message": error.fact, "next_step": error.next_step}
        # what is nowhere no other run finds: whoever queued the job has it made again
        return found, isinstance(error, ArtifactError | ServerError) and not isinstance(error, ArtifactMissingError)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return {
            "type": "NoSpace",
            "message": f"No space left: {error.filename or 'the state directory'}.",
            "next_step": "Free some space and build again.",
        }, False
    return {
        "type": "InternalError",
        "message": f"{type(error).__name__}: {error}".splitlines()[0],
        "next_step": "This is a fault in CLX; the traceback is in the report (--report) and with -v.",
        "traceback": "".join(traceback.format_exception(error)),
    }, False
