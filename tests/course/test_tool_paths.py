"""Settings that name tools: where their paths lead, and that an error about one says where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.courses import Course, clx
from tests.support.tools import require

from clx.jobtypes.drawio.settings import DrawioSettings
from clx.jobtypes.notebook.settings import NotebookSettings
from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.settings.resolve import Resolved, SettingsFile, resolve


def resolved(tmp_path: Path, text: str) -> Resolved:
    path = tmp_path / ".clx" / "config.toml"
    path.parent.mkdir()
    path.write_text(text)
    return resolve(tmp_path, environ={}, files=[SettingsFile("project", path)])


def test_paths_of_tools_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home, a relative path starts at the project, a bare name is looked up on the path."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = resolved(
        tmp_path,
        """
notebook.python = "~/venv/bin/python"
plantuml.jar = "tools/plantuml.jar"
plantuml.java = "java"
drawio.executable = "~nobody-of-that-name/chromium"
""",
    ).settings
    assert found.section(NotebookSettings).python == str(tmp_path / "home/venv/bin/python")
    assert found.section(PlantUmlSettings).jar == str(tmp_path / "tools/plantuml.jar")
    assert found.section(PlantUmlSettings).java == "java"
    assert found.section(DrawioSettings).executable == str(tmp_path / "~nobody-of-that-name/chromium")


def test_interpreter_below_the_home(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build takes it for the interpreter it is."""
    home = course.root.parent / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    course.spec("one")
    course.deck("one")
    failed = course_build(course, 'notebook.python = "~/python"')
    assert f"the interpreter {home / 'python'} cannot be run" in failed
    assert f"It is set in {course.root / '.clx' / 'config.toml'}:1." in failed


def test_a_wrong_jar_names_the_file_and_line_that_set_it(course: Course) -> None:
    """What to do is said as it is, not as a command to type."""
    course.spec("one")
    course.deck("one")
    course.write("slides/module_1/topic_100_one/pu/a.pu", "@startuml\nA -> B\n@enduml\n")
    failed = course_build(course, '\n[plantuml]\njar = "~/nowhere/plantuml.jar"')
    place = f"{course.root / '.clx' / 'config.toml'}:3"
    assert f"Correct or remove the setting plantuml.jar. It is set in {place}.\n" in failed
    assert "Type: Correct" not in failed
    doctor = clx("doctor", str(course.root / "course.yaml"))
    assert doctor.returncode == 3
    assert f" Correct or remove the setting plantuml.jar. It is set in {place}.\n" in doctor.stdout


@pytest.mark.parametrize(
    ("source", "text", "key"),
    [
        ("pu/a.pu", "@startuml\nA -> B\n@enduml\n", "plantuml.java"),
        ("drawio/a.drawio", '<mxGraphModel><root><mxCell id="0"/></root></mxGraphModel>', "drawio.executable"),
    ],
)
def test_a_program_that_is_no_such_tool_is_told_before_the_first_job(
    course: Course, source: str, text: str, key: str
) -> None:
    """Once, with exit code 3, not with every diagram."""
    require("plantuml")
    require("drawio")
    course.spec("one")
    course.deck("one")
    course.write(f"slides/module_1/topic_100_one/{source}", text)
    failed = course_build(course, f'{key} = "/bin/false"')
    assert f"the setting {key} names /bin/false, which does not run: /bin/false -" in failed
    assert f"Correct or remove the setting {key}. It is set in {course.root / '.clx' / 'config.toml'}:1.\n" in failed


def test_a_wrong_variable_is_named(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is spelled in the environment."""
    monkeypatch.setenv("CLX_NOTEBOOK__PYTHON", "/bin/false")
    course.spec("one")
    course.deck("one")
    assert "It is set in CLX_NOTEBOOK__PYTHON." in course_build(course, "")


def course_build(course: Course, settings: str) -> str:
    """What a build with these settings says, which cannot begin; whoever builds trusts the programs they name."""
    course.write(".clx/config.toml", settings)
    assert clx("trust", str(course.root)).returncode == 0
    failed = clx("build", str(course.root / "course.yaml"))
    assert (failed.returncode, "Traceback" in failed.stderr) == (3, False), failed.stderr
    return failed.stderr
