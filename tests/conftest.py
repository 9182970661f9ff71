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
from tests.support.examples import examples
from tests.support.postgresql import postgresql, server, shared_database, tables
from tests.support.tiers import empty_tiers, tiers_of

__all__ = ["client", "engine", "group", "images", "postgresql", "server", "shared_database", "tables"]

CONTAINERS = ("workers", "cli/test_workers.py")
"""Directories and files below ``tests`` whose tests may use a container engine: those are one part of `make test`."""

# a shell that runs the suite in the background makes it, and all it starts, ignore SIGINT
signal.signal(signal.SIGINT, signal.default_int_handler)

# an example that takes long says something of the machine, not of what is tested; the same code has the same examples,
# new ones are for the soak
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not os.environ.get("CLX_SOAK"),
    max_examples=examples(100),
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
        if _runs_elsewhere(item):
            item.add_marker("slow")


def _runs_elsewhere(item: pytest.Item) -> bool:
    """Whether a test runs on PostgreSQL, or in a file where it runs in memory too."""
    call = getattr(item, "callspec", None)
    params = call.params if call is not None else {}
    chosen = {name: value for name, value in params.items() if isinstance(value, str)}  # arrays compare otherwise
    asks_a_server = "postgresql" in chosen.values() or "postgresql" in getattr(item, "fixturenames", ())
    return asks_a_server or chosen.get("open_queue", "memory") != "memory"


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
