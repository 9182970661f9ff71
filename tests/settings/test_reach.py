"""What a project's settings reach outside of it holds only once trusted; each setting says itself what it reaches."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from clx.errors import SettingsError, UntrustedError
from clx.settings.describe import describe
from clx.settings.keys import all_keys, type_text
from clx.settings.reach import RULES, TOOLS
from clx.settings.resolve import Resolved, SettingsFile, resolve
from clx.settings.section import Reach
from clx.settings.trust import trust_setting


@pytest.fixture(autouse=True)
def _nothing_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state home"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".clx").mkdir(parents=True, mode=0o700)
    return tmp_path / "project"


def resolved(project: Path, brought: str, own: str = "", environ: dict[str, str] | None = None) -> Resolved:
    for path, text in ((project / ".clx" / "config.toml", brought), (project.parent / "config.toml", own)):
        path.write_text(text)
        path.chmod(0o644)
    files = [
        SettingsFile("user", project.parent / "config.toml"),
        SettingsFile("project", project / ".clx/config.toml"),
    ]
    return resolve(environ=environ or {}, files=files)


def test_every_text_says_what_it_reaches() -> None:
    """A setting of free text that is added without a decision fails here."""
    for key in all_keys().values():
        words = type_text(key.type)
        assert key.reach is not None or words not in ("text", "a text of at least one character"), key.name
    assert set(RULES) == {*get_args(Reach)} - {"own"}
    assert TOOLS == {
        "notebook": ("notebook.python",),
        "plantuml": ("plantuml.jar", "plantuml.java"),
        "drawio": ("drawio.executable",),
        "graphviz": (),
        "pdf": ("drawio.executable",),
        "python": ("python.interpreter", "python.path"),
        "workflow": ("python.interpreter", "python.path"),
    }


def test_every_reach_is_in_the_reference() -> None:
    trust = {each.key: each.trust for each in describe()}
    assert trust["database.path"] == "needs trust outside of the project"
    assert trust["notebook.python"] == "needs trust"
    assert trust["course.shared_modules"] == "cannot set it"
    assert trust["jobs.lease"] == "holds"


@pytest.mark.parametrize(
    ("path", "asked"),
    [("../other/jobs.db", True), ("/var/lib/jobs.db", True), ("~/jobs.db", True), ("link/jobs.db", True),
     ("sub/jobs.db", False), (".clx/other.db", False), ("../project/jobs.db", False)],
)  # fmt: skip
def test_a_database_outside_of_the_project_is_not_opened(project: Path, path: str, asked: bool) -> None:
    (project / "link").symlink_to(project.parent)
    found = resolved(project, f'database.path = "{path}"\n')
    if not asked:
        assert found.database() == found.path("database.path")
        return
    with pytest.raises(UntrustedError) as refused:
        found.database()
    fact = f"config.toml:1: database.path names a place outside of the project, {path}, that you have not trusted"
    assert refused.value.fact.endswith(fact)
    assert refused.value.next_step == f"Look at it; then type: clx trust {project}"
    trust_setting(project / ".clx" / "config.toml", "database.path", found.digest("database.path")[1])
    assert resolved(project, f'database.path = "{path}"\n').database() == found.path("database.path")
    (project / "link").unlink()
    (project / "link").symlink_to(Path("/"))
    assert bool(resolved(project, f'database.path = "{path}"\n').untrusted()) is (path == "link/jobs.db")


def test_where_it_is_the_users_own_nothing_is_asked(project: Path) -> None:
    environ = {"CLX_DATABASE__PATH": "/elsewhere/jobs.db"}
    assert resolved(project, 'database.path = "/x/jobs.db"', environ=environ).untrusted() == {}
    assert resolved(project, "", own='database.path = "/elsewhere/jobs.db"').untrusted() == {}


@pytest.mark.parametrize(
    ("brought", "own", "asked"),
    [
        ('docker.network = "host"', "", {"docker.network"}),
        ('docker.network = "container:db"', "", {"docker.network"}),
        ('docker.network = "none"', "", set()),
        ('docker.network = "clx_app-network"', "", set()),
        ('docker.network = "clx_app-network"', 'docker.network = "none"', {"docker.network"}),
        ("docker.auto_pull = true", "", set()),
        ("docker.auto_pull = true", "docker.auto_pull = false", {"docker.auto_pull"}),
        ("docker.auto_pull = false", "", set()),
        ('workers.notebook.execution_mode = "direct"', "", set()),
        (
            'workers.notebook.execution_mode = "direct"',
            'workers.default_execution_mode = "docker"',
            {"workers.notebook.execution_mode"},
        ),
        (
            'workers.default_execution_mode = "direct"',
            'workers.default_execution_mode = "docker"',
            {"workers.default_execution_mode"},
        ),
        ('workers.default_execution_mode = "docker"', "", set()),
        ('workers.notebook.image = "clx-notebook:1"', "", set()),
        ('workers.notebook.image = "registry.example/x:1"', "", {"workers.notebook.image"}),
    ],
)
def test_what_makes_walls_weaker_than_the_user_asked_for_has_to_be_trusted(
    project: Path, brought: str, own: str, asked: set[str]
) -> None:
    assert set(resolved(project, brought, own).untrusted()) == asked


@pytest.mark.parametrize(
    ("path", "asked"), [('"src"', False), ('"src", "../lib"', True), ('"/opt/lib"', True), ('"~/lib"', True)]
)
def test_directories_of_modules_outside_of_the_project_have_to_be_trusted(
    project: Path, path: str, asked: bool
) -> None:
    text = f'python.modules = ["shop"]\npython.path = [{path}]\n'
    found = resolved(project, text)
    assert set(found.untrusted()) == ({"python.path"} if asked else set())
    if asked:
        with pytest.raises(UntrustedError, match=r"config\.toml:2: python\.path names directories outside"):
            found.require_trusted("python")
        trust_setting(project / ".clx" / "config.toml", "python.path", found.digest("python.path")[1])
    resolved(project, text).require_trusted("workflow")


def test_an_interpreter_for_tasks_has_to_be_trusted(project: Path) -> None:
    with pytest.raises(UntrustedError, match=r"python\.interpreter names a program"):
        resolved(project, 'python.interpreter = "./python"').require_trusted("python")


def test_workers_are_refused_what_they_would_reach_and_nothing_else(project: Path) -> None:
    text = 'docker.network = "host"\nplantuml.java = "java"\nworkers.notebook.image = "i"\n'
    mode = 'workers.notebook.execution_mode = "docker"\n'
    resolved(project, text).require_trusted("notebook")
    with pytest.raises(UntrustedError, match=r"docker\.network names a network, host"):
        resolved(project, text + mode).require_trusted("notebook")
    with pytest.raises(UntrustedError, match=r"plantuml\.java names a program"):
        resolved(project, text + mode).require_trusted("plantuml")
    own = 'workers.default_execution_mode = "docker"'
    with pytest.raises(UntrustedError, match="takes code out of the containers that you asked for"):
        resolved(project, 'workers.drawio.execution_mode = "direct"', own).require_trusted("drawio")


def test_what_is_trusted_stays_so_where_a_variable_says_otherwise(project: Path) -> None:
    """Of two trusted programs, one of which a variable replaces, the other is still trusted."""
    text = 'plantuml.java = "java"\ndrawio.executable = "chromium"\n'
    for key in resolved(project, text).untrusted():
        trust_setting(project / ".clx" / "config.toml", key, resolved(project, text).digest(key)[1])
    assert resolved(project, text, environ={"CLX_PLANTUML__JAVA": "java"}).untrusted() == {}


def test_what_a_project_cannot_set_is_wrong_for_every_command(project: Path) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml:1: course\.shared_modules cannot be set by a project"):
        resolved(project, 'course.shared_modules = "/"')
