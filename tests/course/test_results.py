"""Which results are known, which files of them are to be written, and which may not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course
from tests.support.planning import job_of, plan_of

from clx.artifacts.store import ArtifactStore
from clx.course.build_state import BuildState, Owner
from clx.course.display import Display, Reporter
from clx.course.kept_warnings import KeptWarnings
from clx.course.plan import OutputPath, Plan, PlannedJob, StaticFile
from clx.course.publish import Publisher
from clx.course.results import Results

SECRET = "the password is Zebra and nobody knows"


class Known:
    """Results of a plan, and the output that they go into."""

    def __init__(self, root: Path, state: BuildState) -> None:
        self.root = root
        self.state = state
        self.plan = Plan()
        self.results = self.anew()

    def anew(self) -> Results:
        """What a next build knows."""
        output = self.root / "output"
        self.store = ArtifactStore(self.root / "artifacts")
        self.publisher = Publisher(
            [str(output)], Owner("course.yaml", str(output)), self.state, self.store, self.root / "state"
        )
        self.reporter = Reporter(Display())
        self.warnings = KeptWarnings(self.state, str(self.root))
        self.results = Results(self.plan, self.publisher, self.store, self.reporter, self.warnings)
        return self.results

    def job(self, name: str, *, source: str = "slides/a.py", variant: str = "en/completed/html") -> PlannedJob:
        job = job_of(source, key=f"key of {name}", places={name: [OutputPath(0, f"d/{name}", variant)]})
        self.plan.jobs.append(job)
        return job

    def result(self, name: str, text: str, *warnings: str) -> dict[str, Any]:
        digest = self.store.put_bytes(text.encode())
        return {"outputs": [[name, digest, len(text.encode())]], "warnings": list(warnings)}

    def file(self, name: str) -> Path:
        return self.root / "output/d" / name


@pytest.fixture
def known(tmp_path: Path, state: BuildState) -> Iterator[Known]:
    known = Known(tmp_path, state)
    yield known
    known.publisher.close()


def test_what_a_job_has_published_is_current_until_it_is_touched(known: Known) -> None:
    job = known.job("a.html")
    assert known.results.not_current() == [job]
    assert known.results.publish(job, known.result("a.html", "one", "look here")) is None
    assert known.file("a.html").read_text() == "one"
    assert known.reporter.report.warnings == ["slides/a.py: look here"]
    assert known.anew().not_current() == []
    known.file("a.html").write_text("other")
    assert known.anew().not_current() == [job]


def test_further_pictures_of_a_diagram_are_current_and_wanted_too(known: Known) -> None:
    job = job_of("a.pu", "", key="k", places={"1.png": [OutputPath(0, "d/a.png", "en/completed/html")]})
    known.plan.jobs.append(job)
    digests = [known.store.put_bytes(text) for text in (b"one", b"two")]
    result = {"outputs": [["1.png", digests[0], 3], ["2.png", digests[1], 3]], "warnings": []}
    known.results.publish(job, result)
    assert known.results.wanted() == {(0, "d/a-2.png"), (0, "d/a.png")}
    later = known.anew()
    assert later.not_current() == []
    assert (0, "d/a-2.png") in later.wanted()
    known.file("a-2.png").unlink()
    assert known.anew().not_current() == [job]


def test_a_known_result_is_published_and_one_without_its_bytes_made_again(known: Known) -> None:
    first, second, third = (known.job(f"{name}.html") for name in "abc")
    results = {job.key: known.result(next(iter(job.places)), job.key) for job in (first, second)}
    known.store.path(results[second.key]["outputs"][0][1]).unlink()
    missing, outdated = known.results.compare([first, second, third], results)
    assert missing == [second, third]
    assert [(job, [file.place.path for file in files]) for job, files in outdated] == [(first, ["d/a.html"])]
    assert known.results.publish_known(outdated) == []
    assert known.file("a.html").read_text() == first.key
    assert list(known.results.done) == [first.key]


def test_a_known_result_whose_bytes_are_damaged_is_made_again(known: Known) -> None:
    job = known.job("a.html")
    result = known.result("a.html", "one")
    path = known.store.path(result["outputs"][0][1])
    path.chmod(0o644)
    path.write_text("two")
    _, outdated = known.results.compare([job], {job.key: result})
    assert known.results.publish_known(outdated) == [job]
    assert known.results.done == {}
    [warning] = known.reporter.report.warnings
    assert warning.startswith("slides/a.py (execute en): ")
    assert warning.endswith(" It is made again.")


@pytest.fixture
def hiding(known: Known, course: Course) -> Known:
    """The deck of the jobs has a cell that nobody is to read."""
    course.deck("values", f"# %% [markdown] tags=['private']\n# {SECRET}\n")
    course.spec("values")
    plan = plan_of(course)
    known.plan.hidden, known.plan.names = {"slides/a.py": next(iter(plan.hidden.values()))}, plan.names
    assert known.plan.hides_anything
    return known


def test_a_result_with_the_text_of_a_hidden_cell_is_not_published(hiding: Known) -> None:
    job, speaker = hiding.job("a.html"), hiding.job("b.html", variant="en/speaker/html")
    error = hiding.results.publish(job, hiding.result("a.html", SECRET))
    assert error is not None
    assert error["message"] == "the text of this private cell would be published in d/a.html"
    assert hiding.results.publish(speaker, hiding.result("b.html", SECRET)) is None
    _, outdated = hiding.results.compare([job], {job.key: hiding.result("a.html", SECRET)})
    hiding.results.publish_known(outdated)
    assert [(each.source, each.error) for each in hiding.reporter.report.failures] == [("slides/a.py", error)]
    assert not hiding.file("a.html").exists()
    assert list(hiding.results.done) == [speaker.key]


def test_a_copy_with_the_text_of_a_hidden_cell_fails_that_cells_deck(hiding: Known) -> None:
    for name, text in (("good.txt", "all may read it"), ("bad.txt", SECRET)):
        (hiding.root / name).write_text(text)
        copy = StaticFile(
            name, hiding.store.put_bytes(text.encode()), [OutputPath(0, f"d/{name}", "en/completed/html")]
        )
        hiding.plan.copies.append(copy)
        hiding.plan.places[0, f"d/{name}"] = (name, copy.digest)
    [file] = hiding.results.static_files(hiding.root, [])
    assert (file.source, file.path) == ("good.txt", hiding.root / "good.txt")
    assert [each.source for each in hiding.reporter.report.failures] == ["slides/a.py"]
    assert list(hiding.results.wanted()) == [(0, "d/good.txt")]


def test_the_warnings_of_a_result_are_told_again_by_each_build_that_uses_it(known: Known) -> None:
    job = known.job("a.html")
    known.results.publish(job, known.result("a.html", "one", "line 3: look here"))
    for _ in range(2):
        known.anew().warn_again(set())
        assert known.reporter.report.warnings == ["slides/a.py: line 3: look here"]
    known.anew().warn_again({job.key})  # it is run again, and tells them itself
    assert known.reporter.report.warnings == []


def test_the_warnings_of_a_kept_result_are_told_and_kept_though_its_files_were_gone(known: Known) -> None:
    job = known.job("a.html")
    result = known.result("a.html", "one", "look here")
    _, outdated = known.results.compare([job], {job.key: result})
    known.results.warn_again(set())
    assert known.reporter.report.warnings == ["slides/a.py: look here"]
    known.results.publish_known(outdated)
    known.anew().warn_again(set())
    assert known.reporter.report.warnings == ["slides/a.py: look here"]
