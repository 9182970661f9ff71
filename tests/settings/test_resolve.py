"""Layers of settings: which one wins, and that every value knows where it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clx import __version__
from clx.errors import EXIT_USAGE, SettingsError
from clx.settings.keys import all_keys
from clx.settings.origin import OptionValue
from clx.settings.resolve import Resolved, SettingsFile, resolve, settings_files
from clx.settings.schema import Settings

APPENDIX_A = {
    "minimal": """
[workers]
# All defaults:
# - Direct execution mode
""",
    "development": """
[workers]
default_execution_mode = "direct"
default_worker_count = 1

[workers.notebook]
count = 2  # More parallelism for notebooks
""",
    "production": """
[workers]
default_execution_mode = "docker"
default_worker_count = 2

[workers.notebook]
count = 4
image = "mhoelzl/clx-notebook-processor:0.3.0"

[workers.plantuml]
count = 2
image = "mhoelzl/clx-plantuml-converter:0.3.0"

[workers.drawio]
count = 2
image = "mhoelzl/clx-drawio-converter:0.3.0"
""",
    "mixed": """
[workers]
default_execution_mode = "direct"

# Use Docker only for draw.io (requires display server)
[workers.drawio]
execution_mode = "docker"
count = 1
image = "mhoelzl/clx-drawio-converter:0.3.0"
""",
    "REQ-2.1": """
[workers]
# Global default execution mode: "direct" or "docker"
default_execution_mode = "direct"
default_worker_count = 1

[workers.notebook]
execution_mode = "direct"  # Optional: override global default
count = 2                   # Optional: override global default
image = "mhoelzl/clx-notebook-processor:0.3.0"  # Required for docker mode

[workers.plantuml]
execution_mode = "docker"
count = 1
image = "mhoelzl/clx-plantuml-converter:0.3.0"

[workers.drawio]
execution_mode = "direct"
count = 1
""",
}
APPENDIX_A_WORKERS = {
    "minimal": ("direct 1 None", "direct 1 None", "direct 1 None"),
    "development": ("direct 2 None", "direct 1 None", "direct 1 None"),
    "production": (
        "docker 4 mhoelzl/clx-notebook-processor:0.3.0",
        "docker 2 mhoelzl/clx-plantuml-converter:0.3.0",
        "docker 2 mhoelzl/clx-drawio-converter:0.3.0",
    ),
    "mixed": ("direct 1 None", "direct 1 None", "docker 1 mhoelzl/clx-drawio-converter:0.3.0"),
    "REQ-2.1": (
        "direct 2 mhoelzl/clx-notebook-processor:0.3.0",
        "docker 1 mhoelzl/clx-plantuml-converter:0.3.0",
        "direct 1 None",
    ),
}


def project(directory: Path, text: str) -> Path:
    file = directory / ".clx" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def resolved(
    directory: Path,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, OptionValue] | None = None,
) -> Resolved:
    file = project(directory, text)
    return resolve(environ=environ or {}, options=options, files=[SettingsFile("project", file)])


def option(value: object, spelling: str) -> OptionValue:
    return OptionValue(value, spelling)


def test_without_files_everything_is_the_default() -> None:
    found = resolve(environ={}, files=[])
    assert found.settings == Settings()
    assert {str(origin) for _, _, origin in found.items()} == {"default"}
    assert [key for key, _, _ in found.items()] == list(all_keys())


def test_each_layer_beats_the_one_below(tmp_path: Path) -> None:
    files = []
    for kind in ("system", "user", "project"):
        (tmp_path / kind / ".clx").mkdir(parents=True)
        files.append(SettingsFile(kind, tmp_path / kind / ".clx" / "config.toml"))
    found: list[tuple[int, str, str]] = []

    def note(**layers: Any) -> None:
        result = resolve(files=files, environ=layers.get("environ", {}), options=layers.get("options"))
        origin = result.origin("jobs.max_runs")
        found.append((result.settings.jobs.max_runs, origin.kind, origin.where))

    for number, file in enumerate(files, start=4):
        file.path.write_text(f"\n[jobs]\nmax_runs = {number}\n")
        note()
    environ = {"CLX_JOBS__MAX_RUNS": "7"}
    note(environ=environ)
    note(environ=environ, options={"jobs.max_runs": option(8, "--max-runs")})
    assert found == [
        (4, "system", f"{files[0].path}:3"),
        (5, "user", f"{files[1].path}:3"),
        (6, "project", f"{files[2].path}:3"),
        (7, "environment", "CLX_JOBS__MAX_RUNS"),
        (8, "option", "--max-runs"),
    ]


def test_layers_are_merged_key_by_key(tmp_path: Path) -> None:
    user = tmp_path / "user.toml"
    user.write_text("[jobs]\nlease = 60\nmax_runs = 9\n")
    file = project(tmp_path, "[jobs]\nmax_runs = 2\n")
    found = resolve(environ={}, files=[SettingsFile("user", user), SettingsFile("project", file)])
    assert (found.settings.jobs.lease, found.settings.jobs.max_runs) == (60.0, 2)


def test_the_nearest_project_file_counts(tmp_path: Path) -> None:
    outer = project(tmp_path, "")
    inner = project(tmp_path / "a", "")
    spec = tmp_path / "a" / "b" / "course.yaml"
    spec.parent.mkdir()
    spec.touch()
    assert settings_files(spec)[-1] == ("project", inner)
    assert settings_files(tmp_path / "other")[-1] == ("project", outer)
    assert [kind for kind, _ in settings_files(tmp_path)] == ["system", "user", "project"]


def test_system_and_user_files_are_where_the_platform_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for part, runs in (("etc", 7), ("home", 8)):
        (tmp_path / part / "clx").mkdir(parents=True)
        (tmp_path / part / "clx" / "config.toml").write_text(f"[jobs]\nmax_runs = {runs}\n")
    found = resolve(tmp_path, environ={})
    assert found.settings.jobs.max_runs == 8
    assert found.origin("jobs.max_runs") == ("user", f"{tmp_path}/home/clx/config.toml:2", tmp_path / "home/clx")


@pytest.mark.parametrize("name", APPENDIX_A)
def test_the_configurations_of_the_requirements_load_as_written(tmp_path: Path, name: str) -> None:
    workers = resolved(tmp_path, APPENDIX_A[name]).workers()
    found = tuple(f"{worker.mode} {worker.count} {worker.image}" for worker in workers.values())
    assert found == APPENDIX_A_WORKERS[name]


def test_the_variables_of_the_requirements(tmp_path: Path) -> None:
    environ = {
        "CLX_WORKERS__DEFAULT_EXECUTION_MODE": "docker",
        "CLX_WORKERS__DEFAULT_WORKER_COUNT": "3",
        "CLX_WORKERS__NOTEBOOK__EXECUTION_MODE": "direct",
        "CLX_WORKERS__NOTEBOOK__COUNT": "2",
        "CLX_WORKERS__PLANTUML__IMAGE": "mine:1",
        "CLX_WORKERS__DRAWIO__COUNT": "0",
    }
    workers = resolved(tmp_path, "", environ).workers()
    assert [(worker.mode, worker.count, worker.image) for worker in workers.values()] == [
        ("direct", 2, None),
        ("docker", 3, "mine:1"),
        ("docker", 0, None),
    ]
    assert str(workers["notebook"].count_origin) == "CLX_WORKERS__NOTEBOOK__COUNT"
    assert str(workers["plantuml"].mode_origin) == "CLX_WORKERS__DEFAULT_EXECUTION_MODE"


WORKER_COUNT = {"workers.default_worker_count": option(5, "--worker-count")}
NOTEBOOK_WORKERS = {"workers.notebook.count": option(6, "--notebook-workers")}


@pytest.mark.parametrize(
    ("text", "environ", "options", "count", "where"),
    [
        ("count = 2", {}, {}, 2, "config.toml:2"),
        ("count = 2", {}, WORKER_COUNT, 5, "--worker-count"),
        ("count = 2", {}, NOTEBOOK_WORKERS, 6, "--notebook-workers"),
        ("count = 2", {}, WORKER_COUNT | NOTEBOOK_WORKERS, 6, "--notebook-workers"),
        ("count = 2", {"CLX_WORKERS__NOTEBOOK__COUNT": "3"}, {}, 3, "CLX_WORKERS__NOTEBOOK__COUNT"),
        ("count = 2", {"CLX_WORKERS__NOTEBOOK__COUNT": "3"}, WORKER_COUNT, 5, "--worker-count"),
        # A default is a default: it never beats what is said about one type.
        ("count = 2", {"CLX_WORKERS__DEFAULT_WORKER_COUNT": "3"}, {}, 2, "config.toml:2"),
        ("", {"CLX_WORKERS__DEFAULT_WORKER_COUNT": "3"}, {}, 3, "CLX_WORKERS__DEFAULT_WORKER_COUNT"),
        ("count = 2", {}, {"workers.notebook.count": option(0, "--notebook-workers")}, 0, "--notebook-workers"),
        ("count = 2", {}, {"workers.notebook.count": option(None, "--notebook-workers")}, 2, "config.toml:2"),
    ],
)
def test_which_count_a_type_gets(
    tmp_path: Path,
    text: str,
    environ: Mapping[str, str],
    options: Mapping[str, OptionValue],
    count: int,
    where: str,
) -> None:
    worker = resolved(tmp_path, f"[workers.notebook]\n{text}", environ, options).worker("notebook")
    assert worker.count == count
    assert worker.count_origin.where.endswith(where)


def test_workers_option_beats_the_mode_of_a_type_in_a_file(tmp_path: Path) -> None:
    text = '[workers.drawio]\nexecution_mode = "docker"\n'
    options = {"workers.default_execution_mode": option("direct", "--workers")}
    worker = resolved(tmp_path, text, options=options).worker("drawio")
    assert (worker.mode, worker.mode_origin.where) == ("direct", "--workers")


def test_docker_from_the_command_line_falls_back_to_the_image_of_this_version(tmp_path: Path) -> None:
    options = {"workers.default_execution_mode": option("docker", "--workers")}
    found = resolved(tmp_path, '[workers.drawio]\nimage = "mine:2"\n', options=options)
    assert found.worker("notebook").image == f"clx-notebook:{__version__}"
    assert found.worker("notebook").image_origin.where == "default image of this version"
    assert found.worker("drawio").image == "mine:2"


def test_docker_from_a_file_without_image_names_type_key_and_file(tmp_path: Path) -> None:
    found = resolved(tmp_path, '\n[workers.drawio]\nexecution_mode = "docker"\n')
    assert found.worker("notebook").mode == "direct"
    with pytest.raises(SettingsError) as caught:
        found.worker("drawio")
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.fact.startswith(f"{tmp_path}/.clx/config.toml:3: workers.drawio.execution_mode")
    assert "workers.drawio.image is not set" in caught.value.fact
    assert "[workers.drawio]" in caught.value.next_step


def test_docker_as_default_without_images_names_every_type(tmp_path: Path) -> None:
    environ = {"CLX_WORKERS__DEFAULT_EXECUTION_MODE": "docker"}
    with pytest.raises(SettingsError) as caught:
        resolved(tmp_path, "[workers.plantuml]\ncount = 0\n", environ).workers()
    assert caught.value.fact == "2 problems in the settings"
    first, second = caught.value.next_step.splitlines()
    assert first.startswith('CLX_WORKERS__DEFAULT_EXECUTION_MODE: workers.default_execution_mode = "docker"')
    assert "workers.notebook.image" in first
    assert "workers.drawio.image" in second


def test_paths_are_relative_to_where_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", "/home/ada")
    text = '[database]\npath = "data/../jobs.db"\n[plantuml]\njar = "~/p.jar"\njava = "/bin/java"\n'
    found = resolved(tmp_path, text, {"CLX_DRAWIO__EXECUTABLE": "drawio"})
    assert found.path("database.path") == tmp_path / "jobs.db"
    assert found.path("plantuml.jar") == Path("/home/ada/p.jar")
    assert found.path("plantuml.java") == Path("/bin/java")
    assert found.path("drawio.executable") == elsewhere / "drawio"
    assert found.path("notebook.python") is None


def test_modules_are_a_list_in_files_and_words_with_commas_in_variables(tmp_path: Path) -> None:
    file = tmp_path / ".clx" / "config.toml"
    file.parent.mkdir()
    file.write_text('[python]\nmodules = ["shop.tasks", "more"]\npath = ["src", "/opt/lib"]\n')
    found = resolve(environ={}, files=[SettingsFile("project", file)])
    assert found.settings.python.modules == ("shop.tasks", "more")
    assert found.settings.python.path == (str(tmp_path / "src"), "/opt/lib")
    found = resolve(environ={"CLX_PYTHON__MODULES": "a, b.c"}, files=[SettingsFile("project", file)])
    assert found.settings.python.modules == ("a", "b.c")
    file.write_text('[python]\nmodules = ["shop"]\n')
    assert resolve(environ={}, files=[SettingsFile("project", file)]).settings.python.path == (str(tmp_path),)
    for wrong in ('"shop"', "[1]", '[""]'):
        file.write_text(f"[python]\nmodules = {wrong}\n")
        with pytest.raises(SettingsError, match=r"config\.toml:2: python\.modules: .* is not a list of texts"):
            resolve(environ={}, files=[SettingsFile("project", file)])


def test_services_have_workers_of_tasks_where_modules_are_named() -> None:
    assert resolve(environ={}, files=[]).routine_workers() == ()
    environ = {"CLX_PYTHON__MODULES": "shop", "CLX_WORKERS__DEFAULT_WORKER_COUNT": "7"}
    found = resolve(environ=environ, files=[])
    assert {type_: each.count for type_, each in found.workers().items() if type_ in found.routine_workers()} == {
        "python": os.cpu_count(), "workflow": 1,
    }  # fmt: skip
    assert found.worker("notebook").count == 7
    environ |= {"CLX_WORKERS__PYTHON__COUNT": "3", "CLX_WORKERS__WORKFLOW__COUNT": "0"}
    found = resolve(environ=environ, files=[])
    assert (found.worker("python").count, found.worker("workflow").count) == (3, 0)
