from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clx.errors import ToolMissingError
from clx.jobtypes.drawio import tools as drawio
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.jobtypes.plantuml import tools as plantuml
from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.tools.catalog import PINS, TOOLS, install_hint
from clx.tools.finding import cache_directory, cache_root, locate, require
from clx.tools.probe import refusal


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any tool: an empty path, an empty cache, none of the variables."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path / "cache"))
    for variable in ("PLANTUML_JAR", "GRAPHVIZ_DOT", "DRAWIO_APP", "DRAWIO_MATH", "CHROME_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("clx.tools.finding._files", lambda _name: ())
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def put_in_cache(name: str) -> Path:
    pin = PINS[name]
    proof = cache_directory(pin) / pin.proof
    proof.parent.mkdir(parents=True)
    proof.touch()
    return cache_directory(pin) / pin.entry


def test_tools_are_those_that_job_types_bring_in_the_order_of_these() -> None:
    assert list(TOOLS.values()) == [*plantuml.TOOLS, *drawio.TOOLS]
    assert list(TOOLS) == ["plantuml", "java", "graphviz", "drawio", "drawio-math", "browser"]
    assert {name for type_ in JOB_TYPES.values() for name in (*type_.tools, *type_.optional_tools)} == set(TOOLS)


@pytest.mark.parametrize("name", TOOLS)
def test_an_absent_tool_is_none_and_the_error_says_what_to_type(nothing: Path, name: str) -> None:
    assert locate(name, Settings()) is None
    with pytest.raises(ToolMissingError, match=f"{name} is not installed") as error:
        require(name, Settings())
    assert install_hint(name) in error.value.next_step


def test_setting_then_variable_then_cache_then_system(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = [nothing / name / "plantuml.jar" for name in ("set", "variable", "system")]
    for jar in jars:
        jar.parent.mkdir()
        jar.touch()
    monkeypatch.setattr("clx.tools.finding._files", lambda _name: (str(jars[2]),))
    seen = [require("plantuml", Settings())]
    kept = put_in_cache("plantuml")
    seen.append(require("plantuml", Settings()))
    monkeypatch.setenv("PLANTUML_JAR", str(jars[1]))
    seen.append(require("plantuml", Settings()))
    seen.append(require("plantuml", Settings().having(PlantUmlSettings(jar=str(jars[0])))))
    assert [(tool.origin, tool.path) for tool in seen] == [
        ("system", jars[2]),
        ("cache", kept),
        ("environment", jars[1]),
        ("setting", jars[0]),
    ]
    assert seen[1].version == PINS["plantuml"].version


def test_a_wrong_setting_or_variable_never_falls_back(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_cache("plantuml")
    put_in_cache("drawio")
    settings = Settings().having(PlantUmlSettings(jar="/nowhere/plantuml.jar"))
    assert locate("plantuml", settings) is None
    with pytest.raises(ToolMissingError, match=r"setting plantuml\.jar names /nowhere/plantuml\.jar"):
        require("plantuml", settings)
    monkeypatch.setenv("DRAWIO_APP", str(nothing))
    with pytest.raises(ToolMissingError, match="variable DRAWIO_APP"):
        require("drawio", Settings())


def test_programs_are_found_by_name_on_the_path(nothing: Path) -> None:
    dot, java = program(nothing / "bin" / "dot"), program(nothing / "bin" / "java21")
    assert require("graphviz", Settings()).path == dot
    assert require("java", Settings().having(PlantUmlSettings(java="java21"))).path == java
    program(nothing / "bin" / "google-chrome")
    preferred = program(nothing / "bin" / "chromium-headless-shell")
    assert require("browser", Settings()).path == preferred
    desktop = program(nothing / "opt" / "drawio")
    found = require("browser", Settings().having(DrawioSettings(executable=str(desktop))))
    assert (found.path, found.origin) == (desktop, "setting")


def test_versions_are_read_without_starting_anything(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = program(nothing / "jdk" / "bin" / "java")
    (nothing / "jdk" / "release").write_text('IMPLEMENTOR="X"\nJAVA_VERSION="21.0.2"\n')
    (nothing / "bin" / "java").symlink_to(java)
    assert require("java", Settings()).version == "21.0.2"
    jar = nothing / "plantuml-1.2024.7.jar"
    jar.touch()
    monkeypatch.setenv("PLANTUML_JAR", str(jar))
    assert require("plantuml", Settings()).version == "1.2024.7"


def test_an_incomplete_copy_in_the_cache_does_not_count(nothing: Path) -> None:
    put_in_cache("drawio")
    assert locate("drawio", Settings()) is not None
    (cache_directory(PINS["drawio"]) / PINS["drawio"].proof).unlink()
    assert locate("drawio", Settings()) is None


def test_the_cache_is_the_users_unless_a_variable_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("CLX_CACHE_DIR")
    assert cache_root().name == "clx"


@pytest.mark.slow
def test_a_tool_that_cannot_be_started_says_why(nothing: Path) -> None:
    """A file that was mended is looked at anew; one that was killed may run the next time."""
    path = program(nothing / "browser")
    tool = require("browser", Settings().having(DrawioSettings(executable=str(path))))
    assert refusal(tool) == ""
    for number, (script, why) in enumerate(
        [
            ("#!/bin/sh\necho no libnss3 >&2\nexit 127\n", f"{path} --version ended with exit code 127: no libnss3"),
            ("#!/bin/sh\nexit 1\n", f"{path} --version ended with exit code 1"),
            ("#!/nowhere/sh\n", "it cannot be started: No such file or directory"),
            ("#!/bin/sh\nkill -KILL $$\n", ""),
        ]
    ):
        path.write_text(script)
        os.utime(path, (number, number))
        assert refusal(tool) == why


@pytest.mark.slow
def test_the_room_is_light_to_import() -> None:
    heavy = {"subprocess", "zipfile", "platformdirs", "sqlalchemy", "rich"}
    code = f"import sys; import clx.tools.catalog, clx.tools.finding; print(*({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
