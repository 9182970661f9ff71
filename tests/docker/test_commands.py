"""``clx docker build|list|check``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.course.courses import Course, clx
from tests.docker.machine import Machine, one_deck

from clx import __version__
from clx.workers.executors.docker import invoking_user
from clx.workers.executors.docker_build import EXTRAS, dockerfile, make_wheel


@pytest.mark.parametrize("type_", sorted(EXTRAS))
def test_dockerfiles_keep_the_rules(type_: str) -> None:
    text = dockerfile(type_).read_text(encoding="utf-8")
    for rule in ("ARG BASE_IMAGE=python:3.12-slim-bookworm", "HEALTHCHECK", "USER 1000:1000", "python", f'["{type_}"]'):
        assert rule in text


def test_images_are_listed(machine: Machine) -> None:
    rows = json.loads(clx("docker", "list", "--format", "json").stdout)["images"]
    assert [(row["type"], row["version"]) for row in rows] == [
        (type_, __version__) for type_ in ("notebook", "plantuml", "drawio")
    ]
    assert "clx-drawio" in clx("docker", "list").stdout


def test_check_looks_at_everything(machine: Machine) -> None:
    said = machine.clx("docker", "check").ends(0)
    assert said.splitlines()[-1] == "ok containers see the database and its locks"


def test_check_of_a_course_looks_at_what_it_needs(machine: Machine, course: Course) -> None:
    one_deck(course, "print('here')")
    spec = str(course.root / "course.yaml")
    missing = {"CLX_WORKERS__DRAWIO__IMAGE": "clx-drawio:none"}
    assert "drawio" not in machine.clx("docker", "check", spec, **missing).ends(0)
    said = machine.clx("docker", "check", **missing).ends(3)
    assert "clx docker build drawio" in said


def test_image_holds_what_it_needs_and_no_more(machine: Machine) -> None:
    looks = {
        "notebook": "import ipykernel, jupytext",
        "plantuml": "import defusedxml",
        "drawio": "import defusedxml",
    }
    for type_, imports in looks.items():
        program = f"{imports}; from clx.db.driver import driver; print(driver.sqlite_version_info >= (3, 51, 3))"
        said = machine.client.containers.run(
            f"clx-{type_}:{__version__}", ["-c", program], entrypoint="python", network="none", remove=True
        )
        assert said.decode().strip() == "True"
    absent = ["-c", "import importlib.util as u; print(u.find_spec('ipykernel'), u.find_spec('docker'))"]
    said = machine.client.containers.run(
        f"clx-plantuml:{__version__}", absent, entrypoint="python", network="none", remove=True
    )
    assert said.decode().strip() == "None None"


def test_build_failures_are_told(machine: Machine, tmp_path: Path) -> None:
    said = machine.clx("docker", "build", "notebook", "--wheel", str(tmp_path / "clx-9.whl")).ends(2)
    assert "There is no wheel" in said
    wheel = str(make_wheel(tmp_path))
    options = ("--wheel", wheel, "--requirements", str(tmp_path / "none.txt"))
    said = machine.clx("docker", "build", "notebook", *options).ends(2)
    assert "Correct --requirements." in said
    said = machine.clx("docker", "build", "plantuml", "--wheel", wheel, "--base-image", "127.0.0.1:1/no/base:1").ends(3)
    assert "was not built" in said or "refused to build" in said


@pytest.mark.parametrize(
    ("security", "rootless"), [(["name=seccomp", "name=rootless"], True), (["name=seccomp"], False)]
)
def test_containers_run_as_whoever_builds(security: list[str], rootless: bool) -> None:
    """A rootless engine, which cannot be had everywhere, is told by what it says of itself."""

    class Engine:
        def info(self) -> dict[str, list[str]]:
            return {"SecurityOptions": security}

    assert invoking_user(Engine()) == ("0:0" if rootless else f"{os.getuid()}:{os.getgid()}")
