"""The house rules that no linter knows: every module has a quick test, files are short, imports go in no circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support.quick import listed

TESTS = Path(__file__).parent
SOURCES = TESTS.parent / "src"
LONG = 50
"""Lines of a module that must have a test that calls it: one whose costs are known (tests/costs.txt)."""
LONGEST = 500
"""Lines that a file may have."""

UNTESTED = {
    f"clx.{name}": reason
    for reason, names in (
        (
            (
                "a command: what it does and prints is tested by running it, in tests/cli; its texts by "
                "tests/docs/test_reference.py"
            ),
            (
                "cli.build cli.cache cli.check cli.config cli.db cli.doctor cli.jobs cli.selftest cli.services "
                "cli.job_logs cli.schedules cli.limits cli.routines cli.routines_run cli.routine_display "
                "cli.routine_options cli.doctor_daily "
                "cli.server cli.tools cli.trust cli.worker cli.workers "
                "cli.import_ cli.project cli.work cli.work_deposit cli.work_options cli.work_run cli.work_search "
                "cli.work_wait cli.pipelines cli.pipelines_show "
                "cli.pipelines_change cli.pipelines_work "
                "cli.daily_backfill cli.daily_check cli.daily_look cli.daily_monitor "
                "cli.daily_options cli.daily_run cli.daily_work "
                "cli.staging "
            ),
        ),
        (
            "pipelines deployed on a database and a server: held by tests/cli/test_pipelines_run.py",
            "pipelines.planning pipelines.running remote.pipelines",
        ),
        (
            "runners of deployments: held by tests/cli/test_pipelines_work.py, which starts and kills them",
            "pipelines.deployments pipelines.runners",
        ),
        (
            "processes that do routines: held by tests/routines/test_remote.py, which starts them",
            "routines.host routines.remote",
        ),
        (
            "days on Temporal: held by tests/daily/temporal/test_engine.py, which starts its server and workers",
            "daily.temporal.client daily.temporal.interpreter daily.temporal.worker",
        ),
        (
            "processes that do works: held by tests/work/running/test_runner.py, which starts them",
            "work.running.runner work.running.holding",
        ),
        (
            "what `clx routines run` and `explain` do: tests/cli/test_routines.py",
            "routines.explaining",
        ),
        (
            "pipelines from programs and over HTTP: held by tests/cli/test_pipelines_run.py and the wire's own tests",
            "pipelines.planning pipelines.running remote.pipelines server.api.pipelines",
        ),
        (
            "parts of `plan`, `publish`, `spec`: held by the tests of groups, copies, the gate, errors",
            "course.dir_groups settings.reader course.archives course.withdraw course.file_text course.withheld",
        ),
        (
            "parts of `course_index`: held through it by tests/course/pages/test_course_index.py, quick too",
            "course.pages.words course.pages.writing",
        ),
        (
            "a part of `document`, read through it by tests/pipelines, quick too",
            "pipelines.definition",
        ),
        (
            "runs whole builds: tests/course/test_build.py and tests/workers/supervision/test_watch.py",
            "course.build",
        ),
        (
            "a part of `Consumer`, whose tests wait: tests/db/test_consumer.py",
            "db.shutdown db.handlers db.claimed_jobs",
        ),
        (
            "a part of `Queue` and `Database`: held through their faces by tests/db, quick too",
            (
                "db.claiming db.consequences db.finishing db.inserting db.rescue db.writer db.limits "
                "db.sqlite.connect db.sqlite.foreign db.sqlite.memory db.sqlite.thread_connection "
                "db.sqlite.intact db.summary db.enqueuing db.calls.ending db.calls.entering db.calls.registry "
                "db.calls.table db.calls.schema db.works.depositing db.works.following db.works.models db.works.schema "
                "db.works.statements db.works.table db.pipelines.changing "
                "db.pipelines.documents db.pipelines.evaluation db.pipelines.scheduling db.pipelines.schema "
                "db.serving.schema "
                "db.pipelines.statements db.pipelines.table"
            ),
        ),
        (
            "a part of PostgreSQL's `Database`: held by tests/db/postgresql, and tests/db/conformance on a server",
            (
                "db.local_bells db.postgresql.address db.postgresql.backup db.postgresql.connect db.postgresql.dialect "
                "db.postgresql.doubt db.postgresql.driver db.postgresql.facts db.postgresql.frontier "
                "db.postgresql.parameters db.postgresql.tables db.postgresql.thread_connection db.postgresql.within"
            ),
        ),
        (
            "brings tables up, and what Alembic finds by its file: tests/faults/test_migrations.py",
            "db.migrate db.migrations.versions.0003_keys_per_type",
        ),
        (
            "measures and storms, by processes: tests/faults and `clx bench`",
            "db.bench db.storm",
        ),
        (
            (
                "starts browsers or draw.io desktop: tests/jobtypes/drawio and tests/support/pages.py; "
                "tests/jobtypes/notebook/test_mermaid.py, tests/jobtypes/pdf/test_convert.py, "
                "tests/course/test_printing.py"
            ),
            (
                "jobtypes.browser_page jobtypes.drawio.desktop jobtypes.notebook.mermaid jobtypes.pdf.converter "
                "jobtypes.pdf.printer course.printing course.stages"
            ),
        ),
        (
            "starts processes that read decks: tests/jobtypes/notebook/test_reader.py",
            "jobtypes.notebook.reader jobtypes.notebook.limits jobtypes.notebook.execution.interpreter",
        ),
        (
            "starts workers of models: tests/serving/test_trial.py and tests/serving/bench/test_crowds.py",
            "serving.trial serving.bench.crowds",
        ),
        (
            "runs kernels: tests/jobtypes/notebook/execution and test_converter.py",
            (
                "jobtypes.notebook.conversion jobtypes.notebook.converter jobtypes.notebook.execution.client "
                "jobtypes.notebook.execution.forkserver "
                "jobtypes.notebook.execution.kernelapp jobtypes.notebook.execution.outputs "
                "jobtypes.notebook.execution.pool jobtypes.notebook.execution.server"
            ),
        ),
        (
            "a part of reading decks: held through `expand`, `cells`, `reader` by tests/jobtypes/notebook, quick too",
            (
                "jobtypes.notebook.hidden jobtypes.notebook.regions "
                "jobtypes.notebook.written jobtypes.notebook.reading jobtypes.notebook.sandbox"
            ),
        ),
        (
            "starts JVMs or Graphviz: tests/jobtypes/plantuml and tests/jobtypes/graphviz",
            ("jobtypes.graphviz.converter jobtypes.plantuml.graphviz jobtypes.plantuml.jvm_supervisor"),
        ),
        (
            "a part of what is drawn: held through the converter by tests/jobtypes/plantuml/test_answers.py, quick too",
            "jobtypes.plantuml.blame",
        ),
        (
            "starts workers for other programs' tests: tests/workers/supervision/test_pool_manager.py",
            "pytest_plugin",
        ),
        (
            "runs pip and npm: tests/tools/test_install.py and test_npm.py",
            "tools.clients tools.install",
        ),
        (
            "processes with models, links to them: tests/serving/test_kept.py",
            "cli.models cli.serve serving.running serving.worker.onnx",
        ),
        (
            "talks to a container engine: tests/workers/executors/docker",
            (
                "workers.executors.docker.engine workers.executors.docker.network workers.executors.docker.preflight "
                "workers.executors.docker.reaper workers.executors.docker.served "
            ),
        ),
        (
            "a part of the server: held through its application by tests/server, quick too",
            (
                "server.api.cas server.api.documents server.api.openapi server.api.operations "
                "server.api.takers server.api.waiters server.api.work_documents server.api.works server.guard "
                "server.serving server.views.jobs server.views.live server.views.logs server.views.overview "
                "server.views.works server.views.work_filter "
                "server.views.pipelines server.giving server.api.pipelines"
            ),
        ),
        (
            "the processes that run tasks: tests/routines/tasks",
            (
                "platforms.offspring routines.worker routines.tasks.child routines.tasks.keeper "
                "routines.tasks.parent routines.tasks.process"
            ),
        ),
        (
            "starts and ends worker processes: tests/workers/supervision",
            (
                "workers.supervision.function_workers workers.supervision.routine_workers "
                "workers.__main__ workers.executors.foreign_worker workers.executors.direct "
                "workers.supervision.server_process "
                "workers.supervision.worker_group workers.supervision.pool_manager"
            ),
        ),
        (
            "looks at processes, tools and files of a running service: tests/workers/supervision and its services",
            ("workers.logs workers.lock_probe workers.supervision.pruning"),
        ),
    )
    for name in names.split()
}
"""Module → why no measured test imports it."""
LONGER: dict[str, str] = {}
"""File → why it may be longer."""
CIRCLES: dict[frozenset[str], str] = {}
"""Modules that import each other → why they may."""


_NAMED = re.compile(r"(clx(?:\.\w+)+):(\w+)(?:\.\w+)*")


# -- the modules and what they import ---------------------------------------------------------------


@cache
def modules() -> dict[str, Path]:
    """Every module of CLX, packages included."""
    found = {}
    for path in (SOURCES / "clx").rglob("*.py"):
        if "starter" not in path.parts:  # a course, not code
            name = ".".join(path.relative_to(SOURCES).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Modules of CLX that statements import, each with the name that is taken from it; ``""`` for all of it."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner, "") if inner in modules() else (node.module, alias.name)
        elif isinstance(node, ast.Constant) and (named := _NAMED.fullmatch(str(node.value))):
            yield named[1], named[2]


def when_loaded(statements: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """The statements that run when a module is imported: not those of functions, nor those for type checkers."""
    for node in statements:
        if isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                yield from when_loaded([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from when_loaded([*node.body, *node.orelse, *node.finalbody])
            yield from (each for handler in node.handlers for each in when_loaded(handler.body))
        elif isinstance(node, ast.With | ast.ClassDef):
            yield from when_loaded(node.body)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def origins(module: str, name: str) -> Iterator[str]:
    """Where a name comes from that is taken from a module: the module, and those through which it was handed on."""
    yield module
    if name and module in modules():
        for other, passed in imported(when_loaded(tree_of(modules()[module]).body)):
            if passed == name and other in modules():
                yield from origins(other, name)


def taken(paths: Iterable[Path]) -> set[str]:
    """The modules whose names these tests use."""
    return {
        origin
        for path in paths
        for module, name in imported(ast.walk(tree_of(path)))
        for origin in origins(module, name)
    }


def measured_tests() -> Iterator[Path]:
    """Those that call what they test, whether they are quick or just not: no others are in the list."""
    return (TESTS.parent / name for name in listed())


# -- the rules: those that parse all sources are slow -----------------------------------------------


@pytest.mark.slow
def test_every_module_is_imported_by_a_measured_test_or_named_with_a_reason() -> None:
    tested = taken(measured_tests())
    untested = {name for name, path in modules().items() if lines_of(path) > LONG and name not in tested}
    assert sorted(untested - UNTESTED.keys()) == []
    assert sorted(UNTESTED.keys() - untested) == [], "these have such a test now, or are no such modules"


def test_no_file_is_too_long() -> None:
    long = {path.relative_to(SOURCES.parent).as_posix() for path in SOURCES.rglob("*.py") if lines_of(path) > LONGEST}
    assert sorted(long - LONGER.keys()) == []
    assert sorted(LONGER.keys() - long) == [], "these are short enough now"


def test_images_are_made_with_modules_that_are_there() -> None:
    root = Path(__file__).parents[1]
    imported_there = {
        name
        for dockerfile in root.glob("docker/*/Dockerfile")
        for names in re.findall(
            r"from (clx(?:\.\w+)+) import|\"-m\", \"(clx(?:\.\w+)*)", dockerfile.read_text(encoding="utf-8")
        )
        for name in names
        if name
    }
    assert "clx.jobtypes.plantuml.jvm_supervisor" in imported_there
    assert {name for name in imported_there if find_spec(name) is None} == set()


@pytest.mark.slow
def test_no_modules_import_each_other_while_they_are_loaded() -> None:
    graph = {
        name: {other for other, _ in imported(when_loaded(tree_of(path).body)) if other in modules()} - {name}
        for name, path in modules().items()
    }
    found = {frozenset(circle) for circle in circles(graph)}
    assert sorted(map(sorted, found - CIRCLES.keys())) == []
    assert sorted(map(sorted, CIRCLES.keys() - found)) == [], "these are none now"


def circles(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Sets of modules each of which is reached from every other one, of more than one module."""
    reached = {name: reachable(graph, name) for name in graph}
    left = set(graph)
    while left:
        name = left.pop()
        circle = {other for other in reached[name] if name in reached[other]} | {name}
        left -= circle
        if len(circle) > 1:
            yield circle


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for other in graph[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return found


# -- that the rules see -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import clx.regular", {("clx.regular", "")}),
        ("from clx.db import jobs", {("clx.db.jobs", "")}),
        ("from clx.db.jobs import Queue, Job", {("clx.db.jobs", "Queue"), ("clx.db.jobs", "Job")}),
        ("x = 'clx.db.jobs:Queue.open'", {("clx.db.jobs", "Queue")}),
        ("x = 'clx.db.jobs'", set()),
    ],
)
def test_imports_are_seen_however_they_are_written(text: str, found: set[tuple[str, str]]) -> None:
    assert set(imported(ast.walk(ast.parse(text)))) == found


def test_only_what_is_loaded_at_once_can_be_in_a_circle() -> None:
    text = """
import a
if TYPE_CHECKING:
    import b
try:
    import c
except ImportError:
    import d
def f():
    import e
class C:
    import f
"""
    assert {name for name, _ in imported(when_loaded(ast.parse(text).body))} == {"a", "c", "d", "f"}


def test_circles_are_found_whatever_leads_to_them() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a", "e2"}, "e2": {"e"}}
    assert sorted(map(sorted, circles(graph))) == [["b", "c"], ["e", "e2"]]


def test_a_name_that_is_handed_on_counts_for_where_it_comes_from() -> None:
    assert set(origins("clx.db.jobs", "Success")) == {"clx.db.jobs", "clx.db.models"}
