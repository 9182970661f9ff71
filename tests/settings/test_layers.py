"""One layer at a time: what a file, the environment and the command line set, and what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.settings.layers import environment_layer, file_layer, option_layer
from clx.settings.origin import OptionValue, Origin
from clx.settings.problems import PROBLEM_LIMIT, Problem


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a project's settings are."""
    path = tmp_path / ".clx" / "config.toml"
    path.parent.mkdir(mode=0o700)
    return path


def read(file: Path, text: str) -> tuple[dict[str, object], list[Problem]]:
    """Values by key, and problems."""
    file.write_text(text)
    problems: list[Problem] = []
    found = file_layer("project", file, problems)
    return {name: value.value for name, value in found.items()}, problems


# -- files ------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_sets_nothing(file: Path) -> None:
    problems: list[Problem] = []
    assert (file_layer("project", file, problems), problems) == ({}, [])


def test_values_know_their_line_and_what_their_paths_are_relative_to(file: Path) -> None:
    file.write_text("\n[jobs]\nlease = 7\n")
    lease = file_layer("project", file, [])["jobs.lease"]
    assert lease == (7, Origin("project", f"{file}:3", file.parent.parent))
    assert file_layer("user", file, [])["jobs.lease"].origin.base == file.parent


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[workers.notebook]\ncount = 2\n", {"workers.notebook.count": 2}),
        ("workers = {notebook = {count = 2}}\n", {"workers.notebook.count": 2}),
        ("workers.notebook.count = 2\njobs.max_runs = 4\n", {"workers.notebook.count": 2, "jobs.max_runs": 4}),
        ("[jobs]\n", {}),
        ("", {}),
    ],
)
def test_settings_are_found_however_toml_writes_them(file: Path, text: str, values: dict[str, object]) -> None:
    assert read(file, text) == (values, [])


@pytest.mark.parametrize(
    ("text", "line", "fact", "step"),
    [
        ("[jobs]\nleese = 3\n", 2, "jobs.leese is not a setting", 'Did you mean "jobs.lease"?'),
        ("[jobs]\njar = 'x'\n", 2, "jobs.jar is not a setting", 'Did you mean "plantuml.jar"?'),
        ("lease = 3\n", 1, "lease is not a setting", 'Did you mean "jobs.lease"?'),
        ("[job]\nlease = 3\n", 1, "job is not a setting", 'Did you mean "jobs"?'),
        ("jobs = 3\n", 1, "jobs is a section, not a value", "Write its settings under [jobs]."),
        ('"jobs.lease" = 3\n', 1, "jobs.lease is not a setting", "Possible here: workers, database, artifacts, jobs,"),
        ("[jobs]\nlease = 'x'\n", 2, 'jobs.lease: "x" is not a number above 0 up to 604800', ""),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_meant(
    file: Path, text: str, line: int, fact: str, step: str
) -> None:
    values, [problem] = read(file, text)
    assert values == {}
    assert (problem.where, problem.fact) == (f"{file}:{line}", fact)
    assert step in problem.next_step


def test_a_mistake_leaves_the_rest_standing(file: Path) -> None:
    values, problems = read(file, "[jobs]\nlease = 'x'\nmax_runs = 4\nno = 1\n")
    assert values == {"jobs.max_runs": 4}
    assert [problem.where.rpartition(":")[2] for problem in problems] == ["2", "4"]


def test_a_file_that_is_no_toml_is_one_problem(file: Path) -> None:
    values, [problem] = read(file, "[jobs\n")
    assert values == {}
    assert problem.where == f"{file}:1"


def test_beyond_the_limit_mistakes_are_counted_but_nothing_is_guessed(file: Path) -> None:
    _, problems = read(file, "[jobs]\n" + "".join(f"leas{number} = 1\n" for number in range(PROBLEM_LIMIT + 5)))
    assert len(problems) == PROBLEM_LIMIT + 5
    assert [bool(problem.next_step) for problem in problems] == [True] * PROBLEM_LIMIT + [False] * 5


# -- the environment --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "key", "found"),
    [
        ("CLX_JOBS__LEASE", "7.5", "jobs.lease", 7.5),
        ("CLX_JOBS__LEASE", "  7.5 ", "jobs.lease", 7.5),
        ("CLX_WORKERS__NOTEBOOK__COUNT", "2", "workers.notebook.count", 2),
        ("CLX_WORKERS__AUTO_START", "false", "workers.auto_start", False),
        ("CLX_DRAWIO__EXECUTABLE", "/opt/x", "drawio.executable", "/opt/x"),
        ("CLX_PYTHON__MODULES", "shop, till", "python.modules", ("shop", "till")),
        ("CLX_PYTHON__MODULES", '["shop", "till"]', "python.modules", ("shop", "till")),
    ],
)
def test_a_variable_sets_what_its_name_says(variable: str, value: str, key: str, found: object) -> None:
    problems: list[Problem] = []
    assert environment_layer({variable: value}, problems) == {key: (found, Origin("environment", variable))}
    assert problems == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CLX_JOBS__LEASE", ""),
        ("CLX_JOBS__LEASE", "  "),
        ("CLX_CACHE_DIR", "/tmp"),
        ("CLX___LEASE", "1"),
        ("CLX_JOBS_LEASE", "1"),
        ("PATH", "/bin"),
        ("clx_jobs__lease", "1"),
    ],
)
def test_other_and_empty_variables_say_nothing(variable: str, value: str) -> None:
    problems: list[Problem] = []
    assert (environment_layer({variable: value}, problems), problems) == ({}, [])


@pytest.mark.parametrize(
    ("variable", "step"),
    [
        ("CLX_JOBS__LEESE", 'Did you mean "CLX_JOBS__LEASE"?'),
        ("CLX_JOB__LEASE", 'Did you mean "CLX_JOBS__LEASE"?'),
        ("CLX_JOBS__QQQQQQQQ", "`clx config show jobs` lists its settings."),
        ("CLX_QQQQ__X", "Sections are"),
    ],
)
def test_an_unknown_variable_of_a_section_is_a_mistake(variable: str, step: str) -> None:
    problems: list[Problem] = []
    assert environment_layer({variable: "1"}, problems) == {}
    assert [(each.where, each.fact) for each in problems] == [(variable, "is not a setting")]
    assert step in problems[0].next_step


def test_a_wrong_value_is_blamed_on_its_variable() -> None:
    problems: list[Problem] = []
    assert environment_layer({"CLX_JOBS__LEASE": "soon", "CLX_JOBS__MAX_RUNS": "2"}, problems).keys() == {
        "jobs.max_runs"
    }
    assert [(each.where, each.fact) for each in problems] == [
        ("CLX_JOBS__LEASE", '"soon" is not a number above 0 up to 604800')
    ]


# -- the command line -------------------------------------------------------------------------------


def test_an_option_counts_where_it_was_given_and_is_blamed_as_typed() -> None:
    problems: list[Problem] = []
    given = {
        "workers.notebook.count": OptionValue(2, "--notebook-workers"),
        "workers.drawio.count": OptionValue(None, "--drawio-workers"),
        "workers.plantuml.count": OptionValue(-1, "--plantuml-workers"),
    }
    assert option_layer(given, problems) == {"workers.notebook.count": (2, Origin("option", "--notebook-workers"))}
    assert [each.where for each in problems] == ["--plantuml-workers"]
