"""Services of a second machine: builds use them, each machine keeps its own, a cut and a wrong clock harm none."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.courses import HEADER, Course
from tests.support.machines import Machine, network_server, require_namespaces, with_url
from tests.support.scene import ONLY_DECKS, WAITS, until
from tests.support.serving_process import server_process
from tests.support.tools import require

from clx.db.postgresql.address import parse

pytestmark = pytest.mark.slow
_SHORT = {"CLX_JOBS__LEASE": "3", "CLX_JOBS__HEARTBEAT": "0.5", "CLX_DATABASE__BUSY_TIMEOUT": "2"}
_WRONG = 600
"""Seconds by which the clock of the second machine is ahead."""


@dataclass
class Site:
    """Two machines, this one and another, on one server, with one course."""

    url: str
    far: Machine
    course: Course
    shared: Path

    def here(self, *words: str, code: int = 0) -> str:
        """What ``clx`` says here."""
        command = [sys.executable, "-m", "clx", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=self.shared)
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def there(self, *words: str, code: int = 0, **environment: str) -> str:
        """What ``clx`` says there."""
        return self.far.clx(*words, code=code, **_SHORT, **with_url(self.url), **environment)

    def workers(self) -> dict[str, list[dict[str, Any]]]:
        """Workers by their machine."""
        found: dict[str, list[dict[str, Any]]] = {}
        for each in json.loads(self.here("workers", "list", "--format", "json"))["workers"]:
            found.setdefault(each["host"], []).append(each)
        return found

    def begin_build(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """A build here, in the background."""
        command = [sys.executable, "-m", "clx", "build", str(self.course.root / "course.yaml"), *options]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
        )

    def deck_that_waits(self) -> tuple[Path, Path]:
        """A course of one deck, whose cell goes on once the second of these is there; it makes the first."""
        seen, go = self.shared / "seen", self.shared / "go"
        cell = f"# %%\nimport os\nopen('{seen}', 'a').write(os.uname().nodename + ' ')\n{WAITS.format(go=go)}\n"
        self.course.deck("one", HEADER % ("eins", "one") + cell)
        self.course.write("course.yaml", "name: C\nprog_lang: python\nsections: [{name: S, topics: [one]}]\n")
        return seen, go


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Two machines; the clock of the second is wrong."""
    require("postgres")
    require_namespaces()
    for name, value in {**_SHORT, "XDG_STATE_HOME": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    with (
        tempfile.TemporaryDirectory(prefix="clx-pg-") as folder,
        network_server(Path(folder)) as server,
        Machine(tmp_path, "far", clock=getattr(request, "param", 0)) as far,
    ):
        url = server.network_url("clx", far)
        monkeypatch.setenv("CLX_DATABASE__URL", url)
        place = parse(url).place.parent.relative_to(tmp_path / "state")
        far.share(tmp_path / "state" / place / "artifacts", far.home / "state" / place / "artifacts")
        found = Site(url, far, Course(tmp_path / "course"), tmp_path)
        try:
            yield found
        finally:
            far.link(up=True)
            found.there("stop-services", "--timeout", "1")
            found.here("stop-services", "--timeout", "1")


@pytest.mark.parametrize("site", [_WRONG], indirect=True)
def test_a_build_here_is_done_by_services_there_though_their_clock_is_ten_minutes_wrong(site: Site) -> None:
    site.course.deck("one")
    site.course.spec("one")
    told = site.there("start-services", *ONLY_DECKS, "--notebook-workers", "2")
    assert "started #1, #2" in told
    assert f"clx build course.yaml --db-path {parse(site.url)}" in told
    shown = site.there("workers", "list")
    assert shown.count("far (here)") == 2
    assert {name: len(rows) for name, rows in site.workers().items()} == {"far": 2}
    assert [each["here"] for each in site.workers()["far"]] == [False, False]

    build = site.begin_build("--no-auto-start")
    output, _ = build.communicate(timeout=300)
    assert build.returncode == 0, output
    assert "Using 2 running notebook worker(s): #1, #2." in output
    assert sum(each["jobs_succeeded"] for each in site.workers()["far"]) == 4

    other = site.shared / "file"
    environment = {name: value for name, value in os.environ.items() if name != "CLX_DATABASE__URL"}
    subprocess.run(
        [sys.executable, "-m", "clx", "build", str(site.course.root / "course.yaml"), "-o", str(other)],
        env=environment, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert _tree(other) == _tree(site.course.output)

    assert "started #3" in site.here("start-services", *ONLY_DECKS, "--notebook-workers", "1")
    assert {name: len(rows) for name, rows in site.workers().items()} == {"far": 2, platform.node(): 1}
    assert "1 worker(s) stopped" in site.here("stop-services")
    assert {name: len(rows) for name, rows in site.workers().items()} == {"far": 2}
    assert "2 worker(s) stopped" in site.there("stop-services")


def _tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_services_with_other_packages_take_no_job(site: Site) -> None:
    site.course.deck("one")
    site.course.spec("one")
    packages = site.far.home / "packages"
    (packages / "pygments-99.0.dist-info").mkdir(parents=True)
    site.there("start-services", *ONLY_DECKS, "--notebook-workers", "1", PYTHONPATH=str(packages))
    refused = site.begin_build("--no-auto-start")
    output, _ = refused.communicate(timeout=300)
    assert refused.returncode == 3
    assert "its tools, packages or artifacts, on far, are other ones" in output
    build = site.begin_build()
    output, _ = build.communicate(timeout=300)
    assert build.returncode == 0, output
    assert [each["jobs_succeeded"] for each in site.workers()["far"]] == [0]


def test_services_without_the_artifacts_take_no_job_and_with_a_server_of_them_they_do(site: Site) -> None:
    site.course.deck("one")
    site.course.spec("one")
    place = parse(site.url).place
    site.far.run("umount", str(site.far.home / place.parent.relative_to(site.shared) / "artifacts"))
    site.there("start-services", *ONLY_DECKS, "--notebook-workers", "1")
    refused = site.begin_build("--no-auto-start")
    output, _ = refused.communicate(timeout=300)
    assert refused.returncode == 3
    assert "its tools, packages or artifacts, on far, are other ones" in output
    site.there("stop-services")

    with server_process(place, "--host", site.far.gateway, "--behind-proxy") as server:
        secret = {"CLX_ARTIFACTS__TOKEN": server.token, "CLX_ARTIFACTS__INSECURE": "true"}
        where = ("--artifacts", server.url)
        site.there("start-services", *ONLY_DECKS, "--notebook-workers", "1", *where, code=0, **secret)
        build = site.begin_build("--no-auto-start", *where, **secret)
        output, _ = build.communicate(timeout=300)
    assert build.returncode == 0, output
    assert [each["jobs_succeeded"] for each in site.workers()["far"]] == [4]


@pytest.mark.parametrize("site", [-_WRONG], indirect=True)
def test_a_machine_that_is_cut_off_loses_its_job_and_serves_again_when_it_returns(site: Site) -> None:
    seen, go = site.deck_that_waits()
    site.there("start-services", *ONLY_DECKS, "--notebook-workers", "1")
    build = site.begin_build()
    try:
        until(seen.exists)
        assert seen.read_text(encoding="utf-8") == "far "
        lost = site.workers()["far"][0]
        site.far.link(up=False)
        until(lambda: platform.node() in seen.read_text(encoding="utf-8"))  # the build has started a worker of its own
        assert "the database" in site.there("stop-services", "--timeout", "0", code=0)
        site.far.link(up=True)
        site.there("start-services", *ONLY_DECKS, "--notebook-workers", "1")
    finally:
        go.touch()
        output, _ = build.communicate(timeout=300)
    assert build.returncode == 0, output
    assert "2 jobs run" in output
    assert lost["id"] not in [each["id"] for each in site.workers()["far"]]
    shown = [json.loads(site.here("jobs", "show", id_, "--format", "json"))["runs"] for id_ in ("1", "2")]
    outcomes = [[each["outcome"] for each in runs] for runs in shown]
    assert ["rescued", "succeeded"] in outcomes  # that which it had begun
    assert [runs.count("succeeded") for runs in outcomes] == [1, 1]
    assert site.here("db", "check").endswith(": ok\n")


def test_a_supervisor_that_was_cut_off_has_new_workers_in_the_place_of_those_given_up(site: Site) -> None:
    site.course.deck("one")
    site.course.spec("one")
    site.there("start-services", *ONLY_DECKS, "--notebook-workers", "1")
    site.here("start-services", *ONLY_DECKS, "--notebook-workers", "1")
    (lost,) = site.workers()["far"]
    site.far.link(up=False)
    until(lambda: "far" not in site.workers())
    site.far.link(up=True)
    until(lambda: [each for each in site.workers().get("far", []) if each["id"] != lost["id"]])
    assert [each["here"] for each in site.workers()[platform.node()]] == [True]
    assert all(psutil.pid_exists(each["pid"]) for each in site.workers()[platform.node()])
    build = site.begin_build("--no-auto-start")
    output, _ = build.communicate(timeout=300)
    assert build.returncode == 0, output
