"""What is wrong in settings is never ignored: place, fact, suggestion."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clx.errors import SettingsError
from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.settings.keys import InvalidValueError, all_keys
from clx.settings.origin import OptionValue
from clx.settings.resolve import SettingsFile, resolve


def failure(directory: Path, content: str | bytes) -> SettingsError:
    file = directory / "config.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SettingsError) as caught:
        resolve(environ={}, files=[SettingsFile("user", file)])
    return caught.value


def environment_failure(**environ: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        resolve(environ=environ, files=[])
    return caught.value


@pytest.mark.parametrize(
    ("text", "fact", "next_step"),
    [
        ("\n[workers.notebok]\ncount = 1\n", "2: workers.notebok is not a setting", '"workers.notebook"?'),
        ("[workers]\ncuont = 1", "2: workers.cuont is not a setting", "Possible here: default_execution_mode"),
        ("[workers.drawio]\nconut = 1", "2: workers.drawio.conut is not a setting", '"workers.drawio.count"?'),
        ("[docker]\nauto-pull = true", "2: docker.auto-pull is not a setting", '"docker.auto_pull"?'),
        ("[worker]\n", "1: worker is not a setting", '"workers"?'),
        ("journal_mode = 'wal'", "1: journal_mode is not a setting", '"database.journal_mode"?'),
        ('"jobs.lease" = 3', "1: jobs.lease is not a setting", "jobs"),
        ("\n[jobs]\nmax_runs = 0x" + "f" * 9999, "3: jobs.max_runs is a number that takes more than 64 bits", ""),
        ("workers = 3", "1: workers is a section, not a value", "[workers]"),
        ("[[workers]]\ncount = 1", "1: workers is a section, not a value", "[workers]"),
        ("[workers.notebook.count]\na = 1", "1: workers.notebook.count: {'a': 1} is not a whole number", ""),
        ('[jobs]\nmax_runs = "3"', '2: jobs.max_runs: "3" is not a whole number from 1 to 100', ""),
        ("[jobs]\nmax_runs = true", "2: jobs.max_runs: true is not a whole number", ""),
        ("[jobs]\nmax_runs = 0", "2: jobs.max_runs: 0 is not a whole number from 1 to 100", ""),
        ("[jobs]\nlease = nan", "2: jobs.lease: nan is not a number above 0", ""),
        ("[jobs]\nlease = 1979-05-27", "2: jobs.lease: datetime.date(1979, 5, 27) is not a number", ""),
        ("[jobs]\nlease = 1979-05-27 07:32:00\nx = 1", "2: jobs.lease: datetime", "3: jobs.x is not a setting"),
        ("[workers]\nauto_start = 'yes'", '2: workers.auto_start: "yes" is not true or false', ""),
        (
            "[workers]\n\ndefault_execution_mode = 'dokcer'",
            '3: workers.default_execution_mode: "dokcer" is not "direct" or "docker"',
            'Did you mean "docker"?',
        ),
        ("[workers.notebook]\nimage = ''", '2: workers.notebook.image: "" is not a text of at least one character', ""),
        ("[docker]\nmemory = '2 GB'", '2: docker.memory: "2 GB" is not a size like 512m or 2g', ""),
        ("\nworkers = {notebook = {count = -1}}", "2: workers.notebook.count: -1 is not a whole number", ""),
        ("[jobs]\nlease = 5\nheartbeat = 4", "3: jobs.heartbeat (4 s) is more than half of jobs.lease (5 s)", ""),
        ("[jobs]\nlease = 5", "2: jobs.heartbeat (5 s) is more than half of jobs.lease (5 s)", "raise jobs.lease"),
        ("[jobs\nlease = 5", "1: is not TOML: ", ""),
        ("[jobs]\nlease = 5\nlease = 6", "3: is not TOML: ", ""),
        ("[workers]\nauto_start = True", "2: is not TOML: ", "true and false are written small"),
        ("[workers]\nauto_start: true", "2: is not TOML: ", "not key: value"),
        ("a = '''x\n\n", "1: is not TOML: ", ""),
        (f"a = {'9' * 5000}", "1: is not TOML: ", ""),
        (b"[jobs]\n# caf\xe9\n", "2: is not UTF-8 text", "UTF-8"),
        (f"a = {'[' * 5000}{']' * 5000}", "1: is nested too deeply", ""),
    ],
)
def test_a_wrong_file(tmp_path: Path, text: str | bytes, fact: str, next_step: str) -> None:
    error = failure(tmp_path, text)
    prefix = f"{tmp_path}/config.toml:"
    assert prefix + fact in str(error)
    assert next_step in error.next_step
    assert "\n" not in error.fact


def test_all_problems_of_all_layers_are_reported_at_once(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text("[jobs]\nlease = 'x'\nrunz = 2\n")
    second.write_text("[docker\n")
    with pytest.raises(SettingsError) as caught:
        resolve(
            files=[SettingsFile("user", first), SettingsFile("project", second)],
            environ={"CLX_JOBS__MAX_RUNS": "many"},
            options={"workers.notebook.count": OptionValue(-1, "--notebook-workers")},
        )
    assert caught.value.fact == "5 problems in the settings"
    places = [line.partition(": ")[0] for line in caught.value.next_step.splitlines()]
    assert places == [
        f"{first}:2",
        f"{first}:3",
        f"{second}:1",
        "CLX_JOBS__MAX_RUNS",
        "--notebook-workers",
    ]


def test_very_many_problems_are_counted_not_listed(tmp_path: Path) -> None:
    error = failure(tmp_path, "".join(f"unknown_{number} = 1\n" for number in range(3000)))
    assert error.fact == "3000 problems in the settings"
    assert error.next_step.splitlines()[-1] == "… and 2980 more"


@pytest.mark.parametrize(
    ("variable", "value", "fact", "next_step"),
    [
        ("CLX_WORKERS__NOTEBOK__COUNT", "1", "is not a setting", "CLX_WORKERS__NOTEBOOK__COUNT"),
        ("CLX_WORKER__DEFAULT_WORKER_COUNT", "1", "is not a setting", "CLX_WORKERS__DEFAULT_WORKER_COUNT"),
        ("CLX_WORKERS__NOTEBOOK", "1", "is not a setting", "Did you mean"),
        ("CLX_QQQ__ZZZ", "1", "is not a setting", "clx config show"),
        (
            "CLX_FOO__MAX_RUNS",
            "1",
            "is not a setting",
            "Sections are ARCHIVE, ARTIFACTS, COURSE, DATABASE, DIAGRAMS, DOCKER, DRAWIO, GRAPHVIZ, JOBS",
        ),
        ("CLX_JOB__MAX_RUNS", "1", "is not a setting", 'Did you mean "CLX_JOBS__MAX_RUNS"?'),
        ("CLX_JOBS__QQQ", "1", "is not a setting", "`clx config show jobs` lists its settings."),
        ("CLX_WORKERS__NOTEBOOK__COUNT", "two", '"two" is not a whole number from 0 to 256', ""),
        ("CLX_WORKERS__NOTEBOOK__COUNT", "300", '"300" is not a whole number from 0 to 256', ""),
        ("CLX_WORKERS__AUTO_START", "maybe", '"maybe" is not true or false', ""),
        ("CLX_WORKERS__DEFAULT_EXECUTION_MODE", "Docker", "is not", 'Did you mean "docker"?'),
        ("CLX_JOBS__LEASE", "inf", '"inf" is not a number above 0 up to 604800', ""),
    ],
)
def test_a_wrong_variable(variable: str, value: str, fact: str, next_step: str) -> None:
    error = environment_failure(**{variable: value})
    assert error.fact.startswith(f"{variable}: ")
    assert fact in error.fact
    assert next_step in error.next_step


def test_variables_that_are_not_settings_are_left_alone() -> None:
    environ = {
        "CLX_REQUIRE": "docker",
        "CLX_CRASH": "x",
        "CLX_CACHE_DIR": "/x",
        "CLX__X": "1",
        "CLX___X": "1",
        "clx_a__b": "1",
    }
    assert resolve(environ=environ, files=[]).origin("jobs.lease").kind == "default"


def test_an_empty_variable_counts_as_not_set() -> None:
    found = resolve(environ={"CLX_JOBS__LEASE": "", "CLX_JOBS__MAX_RUNS": " "}, files=[])
    assert {origin.kind for _, _, origin in found.items()} == {"default"}


@pytest.mark.parametrize(("text", "value"), [("1", True), ("TRUE", True), ("off", False), (" no ", False)])
def test_truth_values_in_variables(text: str, value: bool) -> None:
    found = resolve(environ={"CLX_WORKERS__AUTO_START": text}, files=[])
    assert found.settings.workers.auto_start is value


def test_a_word_that_other_formats_call_null_is_text() -> None:
    assert resolve(environ={"CLX_PLANTUML__JAR": "null"}, files=[]).settings.section(PlantUmlSettings).jar == "null"


def test_a_missing_file_is_no_error_but_a_directory_and_a_dangling_link_are(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "config.toml"
    resolve(environ={}, files=[SettingsFile("user", missing)])
    for name in ("directory", "link"):
        path = tmp_path / name / ".clx" / "config.toml"
        path.parent.mkdir(parents=True)
        path.mkdir() if name == "directory" else path.symlink_to("nowhere")
        with pytest.raises(SettingsError, match=f"^{path}: "):
            resolve(tmp_path / name, environ={})


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    # A link to itself cannot be opened by anyone, root included.
    path.symlink_to(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        resolve(environ={}, files=[SettingsFile("user", path)])


def test_a_file_far_too_large_is_not_parsed(tmp_path: Path) -> None:
    assert "larger than" in failure(tmp_path, b"#" * 1_000_001).fact


def test_byte_order_mark_and_windows_line_ends_are_harmless(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[jobs]\r\nmax_runs = 4\r\n")
    found = resolve(environ={}, files=[SettingsFile("user", file)])
    assert (found.settings.jobs.max_runs, found.origin("jobs.max_runs").where) == (4, f"{file}:2")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_may_be_infinite(value: float) -> None:
    numbers = [key for key in all_keys().values() if isinstance(key.default, float) or key.name == "docker.cpus"]
    assert len(numbers) > 5
    for key in numbers:
        with pytest.raises(InvalidValueError):
            key.check(value)


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from([key.variable for key in all_keys().values()]), st.text(max_size=9).map("CLX_".__add__)
        ),
        st.text(max_size=12),
        max_size=4,
    )
)
def test_any_environment_gives_settings_or_a_settings_error(environ: dict[str, str]) -> None:
    error = None
    try:
        resolve(environ=environ, files=[])
    except SettingsError as caught:
        error = caught
    assert error is None or ("CLX_" in str(error) and "\n" not in error.fact)


def test_the_working_directory_may_be_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    before = Path.cwd()
    os.chdir(gone)
    try:
        gone.rmdir()
        with pytest.raises(SettingsError, match="current directory"):
            resolve(environ={})
    finally:
        os.chdir(before)
