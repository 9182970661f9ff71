"""Running the jobs of a build, with workers that do them in this process."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.planning import job_of

from clx.artifacts.store import ArtifactStore
from clx.course.display import Display, Progress
from clx.course.plan import PlannedJob
from clx.course.report import FailedOutput
from clx.course.run import JobRunner
from clx.course.session import Session, SupersededError
from clx.db.batches import BatchTable
from clx.db.jobs import Job, Queue
from clx.errors import NoWorkersError, StartupError
from clx.settings.origin import OptionValue
from clx.settings.resolve import Resolved, resolve
from clx.workers.executors.spec import WorkerSpec

Does = Callable[[Queue, Job], None]


def finish(queue: Queue, job: Job) -> None:
    queue.finish(job.id, job.run, {"outputs": [], "of": job.payload["source"]})


def fail(queue: Queue, job: Job) -> None:
    queue.fail(job.id, job.run, {"message": "no"})


class WorkerSession(Session):
    """Workers that do one job with each look of the build at them; a session, so that they are not the build's own."""

    def __init__(self, queue: Queue, does: Mapping[str, Does] | None = None) -> None:
        super().__init__()
        self.queue = queue
        self.does = does or {}
        self.needs: list[WorkerSpec] = []
        self.queued: list[dict[str, int]] = []
        self.done: list[Job] = []

    def workers(self, *_: object) -> Any:
        return self

    def require(self, needs: Iterable[WorkerSpec], _auto_start_source: str) -> None:
        self.needs = list(needs)
        for need in self.needs:
            if need.count == 0:
                raise NoWorkersError("none")

    def watch(self, queued: Mapping[str, int]) -> None:
        self.queued.append(dict(queued))
        for need in self.needs:
            for job in self.queue.claim([need.type], pool=need.pool):
                self.does.get(job.payload["source"], finish)(self.queue, job)
                self.done.append(job)
                return

    def counts(self) -> dict[str, int]:
        return {need.type: need.count for need in self.needs}

    def descriptors(self) -> list[int]:
        return []


class Noting(Display):
    """Notes what it is told, as words."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.last = Progress()

    def job_started(self, label: str, fields: dict[str, Any]) -> None:
        self.told.append(f"started {label}")

    def job_done(self, label: str, fields: dict[str, Any]) -> None:
        self.told.append(f"done {label}")

    def job_failed(self, failure: FailedOutput) -> None:
        self.told.append(f"failed {failure.line}")

    def note(self, text: str) -> None:
        self.told.append(text)

    def tick(self, progress: Progress) -> None:
        self.last = progress


@dataclasses.dataclass
class Run:
    """A build of planned jobs."""

    queue: Queue
    session: WorkerSession
    root: Path
    display: Noting = dataclasses.field(default_factory=Noting)
    published: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    refused: Mapping[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def publish(self, job: PlannedJob, result: dict[str, Any]) -> dict[str, Any] | None:
        self.published.append((job.source, result.get("of")))
        return self.refused.get(job.source)

    def __call__(
        self,
        *jobs: PlannedJob,
        resolved: Resolved | None = None,
        why: Mapping[str, str] | None = None,
        fail_fast: bool = False,
        new_workers: bool = False,
    ) -> list[tuple[str, Any]]:
        """Run *jobs*; what failed, by source, with its message."""
        store = ArtifactStore(self.root / "artifacts")
        runner = JobRunner(
            self.queue.database, resolved or resolve(self.root), store, self.root, self.display, self.session
        )
        failures = runner.run(
            "build", list(jobs), self.publish, why=why or {}, fail_fast=fail_fast, new_workers=new_workers
        )
        return [(job.source, error["message"]) for job, error in failures]

    def batches(self) -> list[str]:
        return [row[0] for row in self.queue.database.read("SELECT state FROM batches ORDER BY id")]


@pytest.fixture
def run(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("clx.course.run.require_ready", lambda *_: None)
    monkeypatch.setattr("clx.course.run.mark_lost", lambda *_: None)
    monkeypatch.setattr("clx.course.run._BEAT", 0.01)
    return Run(queue, WorkerSession(queue), tmp_path)


def deck(name: str, **changes: Any) -> PlannedJob:
    return job_of(f"{name}.py", "render en", **changes)


def diagram(name: str) -> PlannedJob:
    return job_of(f"{name}.pu", "")


def test_every_job_is_run_published_and_told(run: Run) -> None:
    assert run(deck("a"), deck("b"), diagram("c")) == []
    assert sorted(run.published) == [("a.py", "a.py"), ("b.py", "b.py"), ("c.pu", "c.pu")]
    assert sorted(run.display.told) == ["done a.py (render en)", "done b.py (render en)", "done c.pu"]
    assert {type_: (each.done, each.queued, each.total) for type_, each in run.display.last.types.items()} == {
        "notebook": (2, 0, 2),
        "plantuml": (1, 0, 1),
    }
    assert run.batches() == ["done"]


def test_a_failed_job_is_handed_back_with_its_error_and_the_rest_goes_on(run: Run) -> None:
    run.session.does = {"b.py": fail}
    assert run(deck("a"), deck("b"), deck("c")) == [("b.py", "no")]
    assert sorted(run.published) == [("a.py", "a.py"), ("c.py", "c.py")]
    assert "failed b.py, render en: no" in run.display.told
    assert run.display.last.types["notebook"].failed == 1
    assert run.batches() == ["done"]


def test_fail_fast_stops_at_the_first_failure_and_cancels_what_waits(run: Run) -> None:
    run.session.does = {"a.py": fail}
    assert run(deck("a"), deck("b"), deck("c"), fail_fast=True) == [("a.py", "no")]
    assert run.published == []
    assert run.queue.stats() == {"notebook": {"failed": 1, "cancelled": 2}}


def test_a_result_that_may_not_be_published_is_a_failure(run: Run) -> None:
    run.refused = {"a.py": {"message": "private text"}}
    assert run(deck("a"), deck("b")) == [("a.py", "private text")]


def test_a_job_that_somebody_cancelled_says_so(run: Run) -> None:
    def cancel(queue: Queue, job: Job) -> None:
        queue.cancel([job.id])
        queue.end_cancelled(job.id, job.run)

    run.session.does = {"a.py": cancel}
    assert run(deck("a")) == [("a.py", "The job was cancelled.")]


def test_a_job_that_is_tried_again_is_counted_once(run: Run) -> None:
    def retry(queue: Queue, job: Job) -> None:
        if job.run == 1:
            queue.fail(job.id, job.run, {"message": "once"}, retry=True, backoff=0)
        else:
            finish(queue, job)

    run.session.does = {"a.py": retry}
    assert run(deck("a")) == []
    progress = run.display.last.types["notebook"]
    assert (progress.queued, progress.running, progress.done, progress.failed) == (0, 0, 1, 0)


# -- what is queued ---------------------------------------------------------------------------------


def test_workers_get_all_they_need_to_know(run: Run) -> None:
    (run.root / "a.py").write_text("# %%\n")
    digest = hashlib.sha256(b"# %%\n").hexdigest()
    job = deck("a", key="the key", files=[("a.py", digest)])
    run(job, diagram("c"), why={"a.py (render en)": "new"})
    [done] = [each for each in run.session.done if each.type == "notebook"]
    assert done.payload == {"source": "a.py", "files": [["a.py", digest]], "cell_timeout": 300.0, "why": "new"}
    assert (done.key, done.priority, done.max_runs, done.timeout) == ("the key", 3, 3, 1_800_000)
    assert ArtifactStore(run.root / "artifacts").get_bytes(digest) == b"# %%\n"
    [drawn] = [each for each in run.session.done if each.type == "plantuml"]
    assert drawn.payload == {"source": "c.pu", "files": [], "why": ""}


def test_diagrams_are_drawn_first(run: Run) -> None:
    run(deck("a"), deck("b"), diagram("c"))
    rows = run.queue.database.read("SELECT type FROM jobs ORDER BY priority DESC, id")
    assert [row[0] for row in rows] == ["plantuml", "notebook", "notebook"]


@pytest.mark.parametrize(("jobs", "count"), [(1, 1), (2, 2), (5, 3)])
def test_no_more_workers_are_wanted_than_there_are_jobs(run: Run, jobs: int, count: int) -> None:
    resolved = resolve(run.root, options={"workers.notebook.count": OptionValue(3, "--notebook-workers")})
    run(*(deck(str(number)) for number in range(jobs)), resolved=resolved)
    [need] = run.session.needs
    assert (need.type, need.count, need.config_source, need.mode) == ("notebook", count, "--notebook-workers", "direct")


def test_workers_of_other_tools_do_not_take_the_jobs(run: Run) -> None:
    run(deck("a", tools={"clx": "1", "python": "3.11"}))
    first = run.session.needs[0].pool
    run(deck("b", tools={"clx": "1", "python": "3.12"}))
    assert first.startswith("direct:1:")
    assert run.session.needs[0].pool != first


def test_new_workers_serve_this_build_alone(run: Run) -> None:
    run(deck("a"), new_workers=True)
    [batch] = run.queue.database.read("SELECT id FROM batches")
    assert run.session.needs[0].pool == f"batch:{batch[0]}"


def test_the_numbers_of_waiting_jobs_reach_the_workers(run: Run) -> None:
    run(deck("a"), deck("b"))
    assert [each["notebook"] for each in run.session.queued] == [2, 1, 0]


# -- what goes wrong --------------------------------------------------------------------------------


def test_nothing_is_queued_when_a_tool_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise StartupError("no java")

    monkeypatch.setattr("clx.course.run.require_ready", missing)
    with pytest.raises(StartupError, match="no java"):
        run(diagram("c"))
    assert (run.queue.stats(), run.batches()) == ({}, [])


def test_a_build_that_cannot_have_workers_is_abandoned(run: Run) -> None:
    resolved = resolve(run.root, options={"workers.notebook.count": OptionValue(0, "--notebook-workers")})
    with pytest.raises(NoWorkersError):
        run(deck("a"), resolved=resolved)
    assert run.batches() == ["abandoned"]


def test_the_batch_of_a_killed_build_is_swept_and_its_jobs_are_taken_over(run: Run) -> None:
    batches = BatchTable(run.queue.database)
    old = batches.open("old", host="elsewhere", pid=1, identity="", lease=-1)
    assert run(deck("a")) == []
    assert (run.batches(), batches.get(old) is not None) == (["abandoned", "done"], True)


def changing(job: PlannedJob, session: WorkerSession) -> Callable[[], Collection[str]]:
    """Its source has changed once the first job is done."""
    return lambda: [job.files[0][0]] if session.done else []


def test_an_edit_gives_the_build_up_and_cancels_what_became_pointless(run: Run) -> None:
    for name in ("a", "b", "c"):
        (run.root / f"{name}.py").write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    jobs = [deck(name, files=[(f"{name}.py", digest)]) for name in ("a", "b", "c")]
    run.session.changed = changing(jobs[2], run.session)
    with pytest.raises(SupersededError):
        run(*jobs)
    states = {job.payload["source"]: job.state for job in run.queue.search()}
    assert states == {"a.py": "succeeded", "b.py": "queued", "c.py": "cancelled"}
    assert run.batches() == ["live"]  # until the next build has queued its own
