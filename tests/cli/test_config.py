"""``clx config``: every value with its source; files are written without losing what was there (REQ-2)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tests.support.scene import Scene


def test_show_names_every_origin(scene: Scene) -> None:
    """REQ-2.3, REQ-2.4: file and line, variable, default."""
    scene.settings("# mine\n[workers]\ndefault_worker_count = 2\n[workers.notebook]\ncount = 3\n")
    found = scene.json("config", "show", CLX_WORKERS__DRAWIO__COUNT="5")["settings"]
    assert found["workers.notebook.count"] == {
        "value": 3, "origin": "project", "where": f"{scene.course.root}/.clx/config.toml:5",
    }  # fmt: skip
    assert found["workers.drawio.count"]["where"] == "CLX_WORKERS__DRAWIO__COUNT"
    assert found["workers.plantuml.count"] == {"value": None, "origin": "default", "where": "default"}
    table = scene.clx("config", "show", "--origin", "workers.default_worker_count").stdout
    assert re.search(r"workers\.default_worker_count +2 +.*config\.toml:3", table)


def test_show_takes_sections(scene: Scene) -> None:
    """A section stands for its settings, at any depth."""
    found = list(scene.json("config", "show", "workers.notebook", "jobs")["settings"])
    assert found == [
        "workers.notebook.execution_mode", "workers.notebook.count", "workers.notebook.image",
        "jobs.lease", "jobs.heartbeat", "jobs.max_runs", "jobs.timeout", "jobs.prune",
    ]  # fmt: skip
    assert "worker is not a setting" in scene.clx("config", "show", "worker", code=2).stderr


def test_negative_value_is_a_value(scene: Scene) -> None:
    """What is wrong with it is said of the setting; options stay options."""
    refused = scene.clx("config", "set", "jobs.max_runs", "-1", code=2).stderr
    assert 'jobs.max_runs: "-1" is not a whole number from 1 to 100.' in refused
    assert "No such option" in scene.clx("config", "set", "--usr", "jobs.max_runs", "1", code=2).stderr


@pytest.mark.parametrize("type_", ["notebook", "plantuml", "drawio"])
def test_every_key_and_type_has_its_variable(scene: Scene, type_: str) -> None:
    """REQ-2.3."""
    variables = {
        f"CLX_WORKERS__{type_.upper()}__EXECUTION_MODE": "docker",
        f"CLX_WORKERS__{type_.upper()}__COUNT": "7",
        f"CLX_WORKERS__{type_.upper()}__IMAGE": "mine:1",
        "CLX_WORKERS__DEFAULT_EXECUTION_MODE": "direct",
        "CLX_WORKERS__DEFAULT_WORKER_COUNT": "2",
    }
    workers = scene.json("config", "check", **variables)["workers"]
    assert workers.pop(type_) == {"mode": "docker", "count": 7, "image": "mine:1"}
    assert all(worker == {"mode": "direct", "count": 2, "image": None} for worker in workers.values())


def test_docker_without_an_image_is_refused(scene: Scene) -> None:
    """REQ-2.2: type, key and file are named; a build and services refuse it the same way."""
    scene.settings('[workers]\n[workers.plantuml]\nexecution_mode = "docker"\n')
    scene.decks("one")
    for command in (["config", "check"], ["start-services"]):
        failed = scene.clx(*command, code=2)
        assert "config.toml:3: workers.plantuml.execution_mode" in failed.stderr
        assert "workers.plantuml.image is not set" in failed.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[workers]\ndefault_worker_count = 'two'\n", 'config.toml:2: workers.default_worker_count: "two" is not'),
        ("[workers]\ncuont = 2\n", "config.toml:2: workers.cuont is not a setting"),
        ("[workers\n", "config.toml:1: is not TOML"),
        ("[workers.notebook]\nexecution_mode = 'dokcer'\n", 'Did you mean "docker"?'),
    ],
)
def test_wrong_settings_name_file_line_and_what_is_allowed(scene: Scene, text: str, words: str) -> None:
    """REQ-2.1: exit code 2, from every command that reads settings."""
    scene.settings(text)
    for command in (["config", "check"], ["workers", "list"], ["status"], ["start-services"]):
        assert words in scene.clx(*command, code=2).stderr


def test_set_keeps_everything_else(scene: Scene) -> None:
    """Comments, order and other values stay; the result is what was asked for."""
    scene.settings(
        "# our server\n[workers]\ndefault_worker_count = 1  # for now\n\n"
        "[workers.notebook]\n# decks are slow\ncount = 2\n"
    )
    for key, value in (
        ("workers.default_worker_count", "3"),
        ("workers.notebook.count", "4"),
        ("workers.notebook.image", "mine # not a comment:1"),
        ("plantuml.jar", "~/plantuml.jar"),
        ("workers.auto_start", "false"),
    ):
        scene.clx("config", "set", key, value)
    text = (scene.state / "config.toml").read_text()
    for comment in ("# our server\n", "= 3  # for now\n", "# decks are slow\n"):
        assert comment in text
    assert tomllib.loads(text) == {
        "workers": {
            "default_worker_count": 3,
            "auto_start": False,
            "notebook": {"count": 4, "image": "mine # not a comment:1"},
        },
        "plantuml": {"jar": "~/plantuml.jar"},
    }


@pytest.mark.parametrize(
    "text",
    [
        "workers.notebook.count = 1\n",
        "workers = {notebook = {count = 1}, default_worker_count = 5}\n",
        '[workers]\nnotebook = {count = 1, image = """a\nb"""}\n',
        "[ workers . notebook ]\ncount=1",
        "\ufeff[workers.notebook]\r\ncount = 1\r\n",
    ],
)
def test_set_understands_every_way_of_writing(scene: Scene, text: str) -> None:
    """Whatever the file looks like, only that value changes."""
    scene.course.write(".clx/config.toml", text)
    before = tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    scene.clx("config", "set", "workers.notebook.count", "9")
    before["workers"]["notebook"]["count"] = 9
    assert tomllib.loads((scene.state / "config.toml").read_text(encoding="utf-8-sig")) == before


def test_set_mends_one_mistake_of_two(scene: Scene) -> None:
    """It is written and exits with 0; what else is wrong, in the file or a variable, is a warning."""
    scene.settings('[workers]\ncuont = 2\n[workers.notebook]\ncount = "many"\n')
    mended = scene.clx("config", "set", "workers.notebook.count", "2")
    assert "Warning: It is written, but not all settings are sound yet." in mended.stderr
    assert "config.toml:2: workers.cuont is not a setting" in mended.stderr
    assert tomllib.loads((scene.state / "config.toml").read_text())["workers"]["notebook"] == {"count": 2}
    scene.clx("config", "check", code=2)
    scene.settings("")
    warned = scene.clx("config", "set", "workers.notebook.count", "3", CLX_WORKERS__DRAWIO__COUNT="many")
    assert "CLX_WORKERS__DRAWIO__COUNT" in warned.stderr


@pytest.mark.parametrize(
    ("key", "value", "why", "first"),
    [
        ("jobs.heartbeat", "20", "is more than half of jobs.lease (30 s)", ("jobs.lease", "60")),
        ("workers.drawio.execution_mode", "docker", "drawio workers need an image", ("workers.drawio.image", "mine:1")),
        ("course.shared_modules", "/data", "cannot be set by a project", ()),
    ],
)
def test_set_writes_nothing_that_check_would_refuse(
    scene: Scene, key: str, value: str, why: str, first: tuple[str, ...]
) -> None:
    """Not even a directory is made; what has to be set first can be, and then it is written."""
    refused = scene.clx("config", "set", key, value, code=2).stderr
    assert f"Error: {key} = " in refused
    assert " is not written: " in refused
    assert why in refused
    assert not scene.state.exists()
    if first:
        scene.clx("config", "set", *first)
        assert scene.clx("config", "set", key, value).stderr == ""
        scene.clx("config", "check")


def test_set_refuses_a_file_that_is_not_toml(scene: Scene) -> None:
    """Nothing of it could be kept."""
    scene.settings("[workers\n")
    assert "is not TOML" in scene.clx("config", "set", "workers.notebook.count", "2", code=2).stderr
    assert (scene.state / "config.toml").read_text() == "[workers\n"


def test_init_writes_every_setting_and_changes_nothing(scene: Scene) -> None:
    """REQ-6.3: a fresh file means the same as none."""
    before = scene.json("config", "show")
    scene.clx("config", "init")
    text = (scene.state / "config.toml").read_text()
    after = scene.json("config", "show")
    assert {key: value["value"] for key, value in after["settings"].items()} == {
        key: value["value"] for key, value in before["settings"].items()
    }
    assert all(f"# {key.rpartition('.')[2]} = " in text for key in after["settings"])
    assert "is there already" in scene.clx("config", "init", code=2).stderr
    scene.clx("config", "init", "--force")
    assert "config.toml" in (scene.state / ".gitignore").read_text()


def test_path_and_scopes(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's file, then the project's above it; `set` says when something else wins."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    kinds = [each["kind"] for each in scene.json("config", "path")["files"]]
    assert kinds == ["system", "user", "project"]
    scene.clx("config", "set", "--user", "workers.notebook.count", "2")
    assert scene.json("config", "show")["settings"]["workers.notebook.count"]["origin"] == "user"
    scene.clx("config", "set", "workers.notebook.count", "3")
    beaten = scene.clx("config", "set", "--user", "workers.notebook.count", "4")
    assert "It does not hold here" in beaten.stderr
    assert scene.json("config", "show")["settings"]["workers.notebook.count"]["value"] == 3


IMAGES = {
    "notebook": "mhoelzl/clx-notebook-processor:0.3.0",
    "plantuml": "mhoelzl/clx-plantuml-converter:0.3.0",
    "drawio": "mhoelzl/clx-drawio-converter:0.3.0",
}
MINIMAL = """# .clx/config.toml - Use all defaults
[workers]
# All defaults:
# - Direct execution mode
"""
DEVELOPMENT = """[workers]
default_execution_mode = "direct"
default_worker_count = 1

[workers.notebook]
count = 2  # More parallelism for notebooks
"""
PRODUCTION = f"""[workers]
default_execution_mode = "docker"
default_worker_count = 2

[workers.notebook]
count = 4
image = "{IMAGES["notebook"]}"

[workers.plantuml]
count = 2
image = "{IMAGES["plantuml"]}"

[workers.drawio]
count = 2
image = "{IMAGES["drawio"]}"
"""
MIXED = f"""[workers]
default_execution_mode = "direct"

# Use Docker only for draw.io (requires display server)
[workers.drawio]
execution_mode = "docker"
count = 1
image = "{IMAGES["drawio"]}"
"""


@pytest.mark.parametrize(
    ("text", "notebook", "plantuml", "drawio"),
    [
        pytest.param(MINIMAL, ("direct", 1), ("direct", 1), ("direct", 1), id="minimal"),
        pytest.param(DEVELOPMENT, ("direct", 2), ("direct", 1), ("direct", 1), id="development"),
        pytest.param(PRODUCTION, ("docker", 4), ("docker", 2), ("docker", 2), id="production"),
        pytest.param(MIXED, ("direct", 1), ("direct", 1), ("docker", 1), id="mixed"),
    ],
)
def test_configurations_of_the_requirements_mean_what_they_say(
    scene: Scene, text: str, notebook: tuple[str, int], plantuml: tuple[str, int], drawio: tuple[str, int]
) -> None:
    """REQ-2.1: Appendix A."""
    scene.settings(text)
    workers = scene.json("config", "check")["workers"]
    found = {type_: (worker["mode"], worker["count"]) for type_, worker in workers.items()}
    assert found == {"notebook": notebook, "plantuml": plantuml, "drawio": drawio}
    assert all(worker["image"] == IMAGES[type_] for type_, worker in workers.items() if worker["mode"] == "docker")


def test_settings_that_are_set_at_once_are_all_written(scene: Scene) -> None:
    """Nobody's is lost because another read the file before it and wrote it after."""
    wanted = {"workers.notebook.count": 2, "workers.drawio.count": 3, "jobs.max_runs": 4, "drawio.border": 5,
              "docker.cpus": 6.0, "workers.plantuml.count": 7}  # fmt: skip
    setters = [scene.begin("config", "set", key, str(value)) for key, value in wanted.items()]
    assert [setter.wait(30) for setter in setters] == [0] * len(setters)
    found = scene.json("config", "show", *wanted)["settings"]
    assert {key: found[key]["value"] for key in wanted} == wanted
    assert [path.name for path in scene.state.iterdir() if "config" in path.name] == ["config.toml"]
