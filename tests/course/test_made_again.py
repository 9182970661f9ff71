"""A build whose workers are on another machine: what is nowhere when a job wants it is made again, not failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course
from tests.support.serving import Listening, listening

from clx.artifacts.store import ArtifactStore
from clx.course.build import Build, BuildOptions
from clx.course.display import Display
from clx.course.layout import Selection
from clx.course.plan import PlannedJob
from clx.course.report import Report
from clx.course.run import JobRunner
from clx.course.session import Session
from clx.db.jobs import Job, Queue
from clx.remote.stores import open_store
from clx.settings.origin import OptionValue
from clx.settings.resolve import resolve
from clx.workers.executors.spec import WorkerSpec
from clx.workers.process.job_run import describe_failure, run_job

DECK = """# %% [markdown] tags=["slide"]
# # A Deck

# %%
print(1)
"""


class Converter:
    """Leaves a file for each place that the plan has."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        text = "".join(sorted(path.read_bytes().hex()[:40] for path in inputs.rglob("*") if path.is_file()))
        for name in self._names:
            (outputs / name).write_text(f"{name} of {text}")
        return {}

    def close(self) -> None:
        """Nothing is kept."""

    abandon = close


class OtherMachine(Session):
    """Does the jobs of a build, one with each look of the build, with a store of its own.

    Attributes:
        before: called once with the first job of a type, before it is run.
        after: the same, once it has ended.
        ran: type and outcome of each run.
    """

    def __init__(self, queue: Queue, store: ArtifactStore, scratch: Path) -> None:
        super().__init__()
        self.queue = queue
        self.store = store
        self.before: dict[str, Callable[[Job], None]] = {}
        self.after: dict[str, Callable[[dict[str, Any]], None]] = {}
        self.ran: list[tuple[str, str]] = []
        self.planned: list[PlannedJob] = []
        self._scratch = scratch
        self._needs: list[WorkerSpec] = []

    def workers(self, *_: object) -> Any:
        return self

    def require(self, needs: Iterable[WorkerSpec], _auto_start_source: str) -> None:
        self._needs = list(needs)

    def watch(self, _queued: Mapping[str, int]) -> None:
        for need in self._needs:
            for job in self.queue.claim([need.type], pool=need.pool):
                self._do(job)

    def _do(self, job: Job) -> None:
        if (before := self.before.pop(job.type, None)) is not None:
            before(job)
        planned = next(each for each in self.planned if each.key == job.key)
        try:
            result = run_job(job, Converter(planned.places), self.store, self._scratch / f"{job.id}-{job.run}")
        except Exception as error:
            described, retry = describe_failure(error)
            self.queue.fail(job.id, job.run, described, retry=retry, backoff=0)
            self.ran.append((job.type, described["type"]))
            return
        self.queue.finish(job.id, job.run, result)
        self.ran.append((job.type, "done"))
        if (after := self.after.pop(job.type, None)) is not None:
            after(result)

    def counts(self) -> dict[str, int]:
        return {need.type: need.count for need in self._needs}

    def descriptors(self) -> list[int]:
        return []


class Noting(Display):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failed: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def job_failed(self, failure: Any) -> None:
        self.failed.append(failure.line)


class Machines:
    """One that builds and keeps the database, one that keeps artifacts for all, one that works."""

    def __init__(self, root: Path, server: Listening, kept: ArtifactStore) -> None:
        self.course = Course(root / "course")
        self.course.deck("one", DECK)
        self.course.spec("one")
        self.kept = kept
        self.server = server
        self.database = self.course.root / ".clx" / "jobs.db"
        self.local = ArtifactStore(self.database.parent / "artifacts")
        self.database.parent.mkdir()
        self.resolved = resolve(
            self.course.root,
            environ={"CLX_ARTIFACTS__TOKEN": server.secrets["work"]},
            options={"artifacts.url": OptionValue(server.url, "--artifacts")},
        )
        self.queue = Queue.open(self.database)
        self.elsewhere = open_store(root / "elsewhere", self.resolved.settings.artifacts)
        self.session = OtherMachine(self.queue, self.elsewhere, root / "scratch")
        self.display = Noting()

    def build(self, *formats: str, code: int = 0) -> Report:
        selection = Selection(frozenset({"en"}), frozenset({"completed"}), frozenset(formats))
        options = BuildOptions(self.course.root / "course.yaml", selection=selection)
        report = Build(options, self.resolved, self.display, self.session).run()
        assert report.exit_code == code, (report.failures, self.session.ran)
        return report

    def lose(self, *digests: str) -> None:
        """These are nowhere any more."""
        for digest in digests:
            for store in (self.kept, self.local, self.elsewhere):
                store.path(digest).unlink(missing_ok=True)

    def outputs(self) -> list[str]:
        return sorted(path.suffix for path in self.course.output.rglob("*") if path.is_file())


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setattr("clx.course.run.require_ready", lambda *_: None)
    monkeypatch.setattr("clx.course.run._BEAT", 0.01)
    with Queue.open(tmp_path / "server" / "jobs.db") as queue, listening(queue) as server:
        made = Machines(tmp_path, server, ArtifactStore(queue.database.state.shared / "artifacts"))
        real = JobRunner.run

        def run(self: JobRunner, name: str, jobs: list[PlannedJob], *arguments: Any, **named: Any) -> Any:
            made.session.planned += jobs
            return real(self, name, jobs, *arguments, **named)

        monkeypatch.setattr(JobRunner, "run", run)
        yield made
        made.queue.close()
        made.session.close(grace=0)


def test_machines_that_share_no_directory_build_a_course(machines: Machines) -> None:
    machines.build("html")
    assert machines.session.ran == [("notebook", "done")]
    assert ".html" in machines.outputs()
    assert set(machines.elsewhere.digests()) <= set(machines.kept.digests())
    machines.build("html")
    assert len(machines.session.ran) == 1, "nothing is done twice"


def test_a_source_that_was_lost_after_its_job_was_queued_is_put_again(machines: Machines) -> None:
    machines.session.before["notebook"] = lambda job: machines.lose(*(digest for _, digest in job.payload["files"]))
    report = machines.build("html")
    assert machines.session.ran == [("notebook", "ArtifactMissingError"), ("notebook", "done")]
    assert ".html" in machines.outputs()
    assert (report.failures, machines.display.failed, report.ran) == ([], [], 1)
    (note,) = [note for note in machines.display.notes if "made again" in note]
    assert "slides_one.py" in note


def test_a_result_that_was_lost_before_it_was_published_is_made_anew(machines: Machines) -> None:
    machines.session.after["notebook"] = lambda result: machines.lose(*(each[1] for each in result["outputs"]))
    report = machines.build("html")
    assert machines.session.ran == [("notebook", "done"), ("notebook", "done")]
    assert ".html" in machines.outputs()
    assert report.failures == []


def test_what_another_job_had_made_is_made_by_it_anew(machines: Machines) -> None:
    def lose_the_page(job: Job) -> None:
        (page,) = [digest for name, digest in job.payload["files"] if name.endswith(".html")]
        machines.lose(page)

    machines.session.before["pdf"] = lose_the_page
    report = machines.build("html", "pdf")
    assert machines.session.ran[:5] == [
        ("notebook", "done"),
        ("pdf", "ArtifactMissingError"),
        ("notebook", "done"),
        ("pdf", "done"),
        ("pdf", "done"),
    ]
    assert ".pdf" in machines.outputs()
    assert report.failures == []


def test_what_is_lost_again_and_again_fails_at_last(machines: Machines) -> None:
    def lose(job: Job) -> None:
        machines.session.before["notebook"] = lose
        machines.lose(*(digest for _, digest in job.payload["files"]))

    machines.session.before["notebook"] = lose
    report = machines.build("html", code=1)
    assert machines.session.ran == [("notebook", "ArtifactMissingError")] * 3
    assert [failure.error["type"] for failure in report.failures] == ["ArtifactMissingError"]
    assert len(machines.display.failed) == 1


def test_what_the_worker_cannot_reach_it_tries_again(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away for a while fails no job."""
    real = machines.elsewhere.materialize

    def away(*_: object) -> None:
        from clx.errors import ServerError

        monkeypatch.setattr(machines.elsewhere, "materialize", real)
        raise ServerError("it is away")

    monkeypatch.setattr(machines.elsewhere, "materialize", away)
    machines.build("html")
    assert machines.session.ran == [("notebook", "ServerError"), ("notebook", "done")]


def test_a_server_that_is_away_is_told_by_the_build(machines: Machines) -> None:
    from clx.errors import ServerError

    machines.resolved = resolve(
        machines.course.root,
        environ={"CLX_ARTIFACTS__PATIENCE": "0.1", "CLX_ARTIFACTS__URL": "http://127.0.0.1:9"},
    )
    with pytest.raises(ServerError, match="Connection refused"):
        machines.build("html")
    assert machines.session.ran == []
