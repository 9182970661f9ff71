"""What every test gets, and the rule that no tier may run nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.support.cgroup import group
from tests.support.containers import client, engine, images
from tests.support.postgresql import postgresql, server, shared_database, tables
from tests.support.tiers import empty_tiers, tiers_of

__all__ = ["client", "engine", "group", "images", "postgresql", "server", "shared_database", "tables"]

CONTAINERS = ("workers", "cli/test_workers.py")
"""Directories and files below ``tests`` whose tests may use a container engine: those are one part of `make test`."""

QUICK = (
    "artifacts",
    *(
        f"course/test_{name}.py"
        for name in (
            *(
                "check",
                "closure",
                "display",
                "explain",
                "importing",
                "far_files",
                "kept_warnings",
                "private_text",
                "dir_groups",
                "layout",
                "mistakes",
                "deck_links",
                "deck_pictures",
                "link_check",
                "look",
                "name_clash",
                "names",
                "notebook_decks",
                "plan",
                "printing",
                "publish",
                "removal",
                "report",
                "results",
                "run",
            ),
            *("source_files", "spec", "spec_errors", "survey", "topics", "watched", "web_links", "withheld"),
        )
    ),
    "course/pages/test_page_text.py",
    "course/pages/test_course_index.py",
    "course/pages/test_server.py",
    *(
        f"daily/test_{name}.py"
        for name in (
            *("backfill", "checks", "code", "day", "days", "flow", "history", "lake", "lineage", "settling"),
            *("delta", "facts", "nights", "staged_kinds", "staging", "why"),
        )
    ),
    "daily/temporal/test_plan.py",
    "db",
    "docs/test_development.py",
    "cli/test_displays.py",
    "cli/test_next_steps.py",
    "cli/test_output.py",
    "cli/test_report_file.py",
    "cli/test_words.py",
    "cli/test_buckets.py",
    "cli/test_work.py",
    "cli/test_work_hostile.py",
    "cli/test_work_workspace.py",
    "docs/test_reference.py",
    "platforms/test_seam.py",
    "jobtypes/drawio/test_answers.py",
    "jobtypes/drawio/test_document.py",
    "jobtypes/drawio/test_site.py",
    "jobtypes/notebook",
    "jobtypes/pdf",
    "pipelines",
    "expressions",
    "routines/tasks/test_output.py",
    "tools/test_program.py",
    "jobtypes/test_glyphs.py",
    "jobtypes/test_registry.py",
    *(f"jobtypes/plantuml/test_{name}.py" for name in ("answers", "blocks", "includes", "stage")),
    "remote",
    "routines/codecs",
    *(
        f"routines/test_{name}.py"
        for name in ("announcing", "asking", "define", "kept", "performing", "readable", "saying", "tree")
    ),
    "server",
    "serving",
    "settings",
    "workers/executors/test_modes.py",
    "workers/test_functions.py",
    "workers/test_elsewhere.py",
    "workers/test_liveness.py",
    "test_exposition.py",
    "test_house.py",
    "test_spelling.py",
    "work",
    "tools/test_finding.py",
    "tools/test_unpacking.py",
    *(f"workers/process/test_{name}.py" for name in ("directories", "job_run", "limits", "loop", "seal")),
    "workers/supervision/services/test_restart_policy.py",
    "workers/supervision/services/test_supervisor.py",
    "workers/supervision/test_job_history.py",
    "workers/test_platforms.py",
    "workers/test_pools.py",
    "workers/test_worker_images.py",
    "workers/test_requirements.py",
)
"""Directories and files below ``tests`` that `make unit` runs; all others run whole commands, tools or storms."""
SLOW = (
    "course/test_printing.py",
    "db/pipelines/test_model.py",
    "db/test_consumer.py",
    "db/test_consumer_ending.py",
    "db/test_doubt.py",
    "db/test_held_up.py",
    "db/test_retention.py",
    "db/test_wait.py",
    "jobtypes/notebook/execution",
    "jobtypes/notebook/test_converter.py",
    "jobtypes/notebook/test_mermaid.py",
    "jobtypes/notebook/test_page_outputs.py",
    "jobtypes/notebook/test_page_readers.py",
    "jobtypes/notebook/test_reader.py",
    "jobtypes/pdf/test_convert.py",
    "remote/test_artifacts.py",
    "remote/test_conformance.py",
    "routines/test_kept.py",
    "server/api/test_openapi.py",
    "server/test_protocol.py",
    "server/test_serving.py",
    "server/views/test_browser.py",
    "server/wire/test_peers.py",
    "serving/bench/test_crowds.py",
    "serving/test_client.py",
    "serving/test_contract.py",
    "serving/test_deadlines.py",
    "serving/test_guarding.py",
    "serving/test_hostile.py",
    "serving/test_kept.py",
    "serving/test_machines.py",
    "serving/test_many_clients.py",
    "serving/test_memory.py",
    "serving/test_page.py",
    "serving/test_remote.py",
    "serving/test_trial.py",
    "serving/test_uploads.py",
    "work/running/test_runner.py",
)
"""Those among them that it leaves out all the same: they wait, or start kernels."""

# a shell that runs the suite in the background makes it, and all it starts, ignore SIGINT
signal.signal(signal.SIGINT, signal.default_int_handler)

# an example that takes long says something of the machine, not of what is tested; the same code has the same examples,
# new ones are for the soak
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not os.environ.get("CLX_SOAK"),
)
settings.load_profile("any machine")

_ROOT = Path(__file__).parent
_passed: set[str] = set()


@pytest.fixture(scope="session", autouse=True)
def _no_project_above(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What somebody left above the tests' directories would be the project of them all."""
    for folder in tmp_path_factory.getbasetemp().parents:
        if (folder / ".clx").exists():
            pytest.exit(f"{folder / '.clx'} would be the project of every test: remove it, or set --basetemp.", 1)


@pytest.fixture(autouse=True)
def _own_user_directories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own configuration; the cache of tools is shared on purpose."""
    home = tmp_path_factory.getbasetemp() / "home"
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    for name in [name for name in os.environ if name.startswith("CLX_") and "__" in name]:
        monkeypatch.delenv(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make unit` leaves out, and what uses a container engine."""
    for item in items:
        if "images" in getattr(item, "fixturenames", ()):  # whoever asks first builds them all
            item.add_marker(pytest.mark.timeout(1200))
        path = item.path.relative_to(_ROOT)
        if _asks_an_engine(item, path):
            item.add_marker("docker")
            if not is_below(path, CONTAINERS):
                raise pytest.UsageError(f"{item.nodeid} uses a container engine: CONTAINERS in tests/conftest.py")
        if not is_below(path, QUICK) or is_below(path, SLOW) or _asks_a_server(item):
            item.add_marker("slow")


def _asks_a_server(item: pytest.Item) -> bool:
    """Whether a test runs on PostgreSQL: each of its commits takes as long as ten of SQLite's."""
    call = getattr(item, "callspec", None)
    chosen = call.params.values() if call is not None else ()
    return "postgresql" in chosen or "postgresql" in getattr(item, "fixturenames", ())


def _asks_an_engine(item: pytest.Item, path: Path) -> bool:
    """Whether a test looks into the container engine, where it may find what is its own only."""
    call, asked = getattr(item, "callspec", None), getattr(item, "fixturenames", ())
    is_inside = "scene" in asked and call is not None and call.params.get("mode") == "docker"
    return is_inside or "engine" in asked or path.is_relative_to("workers/executors/docker")


def is_below(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note what passed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.passed:
        _passed.add(f"tests/{item.path.relative_to(_ROOT).as_posix()}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where tools are required and everything is run, a tier without a passed test is a failure."""
    everything = session.config.args_source.name == "TESTPATHS" and not session.config.option.markexpr
    if not os.environ.get("CLX_REQUIRE") or not everything or exitstatus:
        return
    if empty := empty_tiers(tiers_of(_ROOT), _passed):
        print(f"\nThese tiers ran no test: {', '.join(empty)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
