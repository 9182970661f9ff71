"""What the runs of jobs have written: of one that goes on from its file, of others from the table and the store."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from clx.artifacts.store import ArtifactStore
from clx.db.jobs import Queue
from clx.errors import ArtifactError, ClxError
from clx.regular import open_regular
from clx.server.answers import Refusal
from clx.server.api.documents import MOST
from clx.server.views.sections import Parts
from clx.workers.run_logs import live_log, named

_MOST_AT_ONCE = 256 * 1024
"""Bytes of the file of a run that one call gives to who follows it."""


def kept_output(run: Mapping[str, Any]) -> str:
    """The end of what an ended run wrote."""
    held = str(run["stderr"] or "")
    return held.partition("\n")[2] if named(held) else held


class Logs:
    """The outputs of runs as text.

    ``run`` says which one, else it is the newest; ``at``, from which byte of the output on: the header ``X-Log-At``
    says where to go on, ``X-Log-Over`` whether the run has ended. ``download`` makes a browser keep it as a file.
    """

    def __init__(self, parts: Parts) -> None:
        self._queue = parts.queue
        self._threads = parts.threads

    async def answer(self, request: Request) -> Response:
        """One request."""
        asked = {name: _number(request.query_params.get(name, ""), name) for name in ("run", "at")}
        id_ = request.path_params["id"]
        body, at, run, is_over = await self._threads.read(
            partial(output_of, self._queue, id_, asked["run"], asked["at"] or 0)
        )
        headers = {"x-log-at": str(at), "x-log-over": str(int(is_over)), "x-log-run": str(run)}
        if "download" in request.query_params:
            headers["content-disposition"] = f'attachment; filename="job-{id_}-run-{run}.log"'
        return PlainTextResponse(body, headers=headers)


def _number(text: str, name: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= MOST):
        raise Refusal(422, f"{name} is a whole number.", "Correct the address.")
    return int(text)


def output_of(queue: Queue, job_id: int, run: int | None, at: int) -> tuple[bytes, int, int, bool]:
    """What a run wrote from a byte on; up to which byte that is; which run it is; whether it is over.

    Raises:
        Refusal: 404, there is no such job or run.
    """
    if run is not None and (found := _of_file(queue, job_id, run, at)) is not None:
        return found, at + len(found), run, False
    job = queue.get(job_id) if 1 <= job_id <= MOST else None
    if job is None:
        raise Refusal(404, f"There is no job {job_id}.", "It may have been removed: old ones are.")
    run = job.run if run is None else run
    for ended in queue.runs(job_id):
        if ended["run"] == run:
            whole = _whole(queue, str(ended["stderr"] or ""))
            return whole[at:], max(at, len(whole)), run, True
    if job.state == "running" and job.run == run:
        found = _of_file(queue, job_id, run, at) or b""
        return found, at + len(found), run, False
    raise Refusal(404, f"Job {job_id} has no run {run}.", "See its page for those that it has.")


def _of_file(queue: Queue, job_id: int, run: int, at: int) -> bytes | None:
    """What the file of a run that goes on, on this machine, holds from a byte on; None where there is none."""
    try:
        with open_regular(live_log(queue.database.state.path, job_id, run), follow=False) as stream:
            stream.seek(at)
            return stream.read(_MOST_AT_ONCE)
    except OSError:
        return None


def _whole(queue: Queue, held: str) -> bytes:
    """All that is kept of what a run wrote: long outputs are artifacts."""
    digest = named(held)
    if digest is None:
        return held.encode("utf-8", "replace")
    try:
        return ArtifactStore(queue.database.state.shared / "artifacts").get_bytes(digest)
    except (ArtifactError, ClxError, OSError):  # it is on another machine, or was removed: its end is in the row
        return held.encode("utf-8", "replace")
