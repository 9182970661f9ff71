"""``clx docker build|list|check``."""

from __future__ import annotations

import ast
import json
import os
import socket
import zipfile
from pathlib import Path

import pytest
from tests.support.courses import Course, clx, tree
from tests.workers.executors.docker.machine import IMAGE, ONE, Machine, one_deck

from clx import __version__
from clx.db.database import Database
from clx.errors import EngineError
from clx.jobtypes.jobtype import JobType
from clx.jobtypes.registry import JOB_TYPES
from clx.workers.container_env import DATABASE_VARIABLE
from clx.workers.executors.docker import build as docker_build
from clx.workers.executors.docker.build import Recipe, dockerfile, make_wheel
from clx.workers.executors.docker.worker import invoking_user


@pytest.mark.parametrize("type_", sorted(JOB_TYPES))
def test_dockerfiles_keep_the_rules(type_: str) -> None:
    text = dockerfile(type_).read_text(encoding="utf-8")
    for rule in ("ARG BASE_IMAGE=python:3.12-slim-bookworm", "HEALTHCHECK", "USER 1000:1000", "python", f'["{type_}"]'):
        assert rule in text


def test_images_are_listed(machine: Machine) -> None:
    rows = json.loads(clx("docker", "list", "--format", "json").stdout)["images"]
    assert [(row["type"], row["version"]) for row in rows] == [(type_, __version__) for type_ in JOB_TYPES]
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


def test_check_is_made_where_the_database_is_or_would_be(machine: Machine, course: Course) -> None:
    """A course's own; one that is not there yet is made for the check alone."""
    one_deck(course, "print('here')")
    spec, before = str(course.root / "course.yaml"), tree(machine.root)
    machine.clx("docker", "check", spec).ends(0)
    machine.clx("docker", "check", spec, "--db-path", str(machine.root / "none" / "jobs.db")).ends(0)
    assert tree(machine.root) == before
    assert not (machine.root / "none").exists()
    assert not machine.state.exists()
    Database.open(machine.database).close()
    machine.clx("docker", "check", spec).ends(0)
    assert (machine.state / "containers" / "shared").is_file()
    machine.database.write_bytes(b"this is no database " * 100)
    machine.clx("docker", "check", spec).ends(4)


def test_check_of_a_hanging_engine_is_soon_over(machine: Machine, mute: socket.socket) -> None:
    host = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
    said = machine.clx("docker", "check", DOCKER_HOST=host).ends(3, seconds=60)
    assert "does not answer: it hangs." in said


NEEDS = {
    "notebook": (["ipykernel", "jupytext"], ["docker", "defusedxml"]),
    "plantuml": (["defusedxml"], ["docker", "ipykernel"]),
    "drawio": (["defusedxml"], ["docker", "ipykernel"]),
    "graphviz": (["defusedxml"], ["docker", "ipykernel"]),
    "pdf": (["pypdf"], ["docker", "ipykernel"]),
}
"""Worker type → the packages that its image holds, and those that it does not."""
LOOK = """
import importlib.util, os
print({"there": [name for name in %r if importlib.util.find_spec(name)], "user": os.getuid()})
"""


@pytest.mark.parametrize("type_", sorted(NEEDS))
def test_image_holds_what_it_needs_and_no_more(machine: Machine, type_: str) -> None:
    """The packages of its type only, a user that is not root, a health check."""
    there, absent = NEEDS[type_]
    name = f"clx-{type_}:{__version__}"
    said = machine.client.containers.run(
        name, ["-c", LOOK % [*there, *absent]], entrypoint="python", network="none", remove=True
    )
    assert ast.literal_eval(said.decode()) == {"there": there, "user": 1000}
    config = machine.client.images.get(name).attrs["Config"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-P", "-m", "clx.workers.healthcheck"]
    assert (config["Labels"]["clx.type"], config["Labels"]["clx.version"]) == (type_, __version__)


def test_class_archive_is_in_the_image(machine: Machine) -> None:
    """No worker spends the end of a build writing one that is lost with its container."""
    look = (
        "from clx.settings.schema import Settings; from clx.jobtypes.plantuml.launch import Tools, unsaved_archive; "
        "print(unsaved_archive(Tools.find(Settings())))"
    )
    image = f"clx-plantuml:{__version__}"
    said = machine.client.containers.run(
        image, ["-c", look], entrypoint="python", user="0:0", network="none", remove=True
    )
    assert said.decode().strip() == "None"  # there is none to write, though root could


def test_package_that_an_image_of_ones_own_adds_is_there_for_cells(
    machine: Machine, course: Course, tmp_path: Path
) -> None:
    """As the documentation has it: ``FROM clx-notebook``, then ``pip install``."""
    wheel = tmp_path / "added-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("added.py", "WORD = 'from a package of the course'")
        archive.writestr("added-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: added\nVersion: 1\n")
        archive.writestr("added-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("added-1.dist-info/RECORD", "")
    lines = (f"FROM {IMAGE}", "COPY *.whl /tmp/", "RUN pip install --no-index /tmp/*.whl")
    (tmp_path / "Dockerfile").write_text("\n".join(lines), encoding="utf-8")
    name = "clx-test:own"
    machine.client.images.build(path=str(tmp_path), tag=name, rm=True)
    try:
        one_deck(course, "import added", "print(added.WORD)")
        said = machine.build(course, *ONE).ends(1)
        assert "clx docker build notebook --requirements FILE" in said
        machine.build(course, *ONE, CLX_WORKERS__NOTEBOOK__IMAGE=name).ends(0)
        (page,) = course.output.rglob("0*.html")
        assert "from a package of the course" in page.read_text(encoding="utf-8")
    finally:
        machine.client.images.remove(name)


def test_health_is_that_of_the_worker(machine: Machine) -> None:
    """Healthy once its worker beats; another container on the same database without one is not."""
    Database.open(machine.database).close()
    image = f"clx-plantuml:{__version__}"
    check = {"test": machine.client.images.get(image).attrs["Config"]["Healthcheck"]["Test"], "interval": 300_000_000}
    common = {
        "volumes": {str(machine.database.parent): {"bind": "/clx/data", "mode": "rw"}},
        "environment": {DATABASE_VARIABLE: "/clx/.clx/jobs.db"},
        "labels": {"clx.worker": "plantuml"}, "network": "none", "init": True, "user": invoking_user(machine.client),
    }  # fmt: skip
    command = ["plantuml", "--db", "/clx/.clx/jobs.db"]
    worker = machine.client.containers.run(image, command, detach=True, healthcheck=check, **common)
    other = machine.client.containers.create(image, check["test"][2:], entrypoint="python", **common)
    try:

        def status() -> str:
            worker.reload()
            return str(worker.attrs["State"]["Health"]["Status"])

        machine.wait_until(lambda: status() == "healthy", "the engine does not call it healthy")
        other.start()
        assert other.wait(timeout=60)["StatusCode"] == 1
        assert other.logs() == b""
    finally:
        worker.remove(force=True)
        other.remove(force=True)


def test_build_failures_are_told(machine: Machine, tmp_path: Path) -> None:
    said = machine.clx("docker", "build", "notebook", "--wheel", str(tmp_path / "clx-9.whl")).ends(2)
    assert "There is no wheel" in said
    wheel = str(make_wheel(tmp_path))
    options = ("--wheel", wheel, "--requirements", str(tmp_path / "none.txt"))
    said = machine.clx("docker", "build", "notebook", *options).ends(2)
    assert "Correct --requirements." in said
    said = machine.clx("docker", "build", "plantuml", "--wheel", wheel, "--base-image", "127.0.0.1:1/no/base:1").ends(3)
    assert "was not built" in said or "refused to build" in said
    assert "name a base that is: --base-image IMAGE" in said


def test_pip_in_the_engine_says_why_an_image_was_not_built(machine: Machine, tmp_path: Path) -> None:
    """A package that is not among those that were fetched."""
    recipe = Recipe("notebook", "clx-test:unbuilt", make_wheel(tmp_path), "clx-base-tools:local", fetch=True)
    context = tmp_path / "context"
    context.mkdir()
    docker_build._context(recipe, context)
    (context / "packages" / "requirements.txt").write_text("no-such-package\n")
    with pytest.raises(EngineError) as caught:
        docker_build._build(machine.client, recipe, context, "0")
    assert caught.value.fact.startswith("clx-test:unbuilt was not built: pip install failed: No matching distribution")
    assert "--base-image" in caught.value.next_step


def test_what_a_killed_image_build_left_is_removed_by_the_next(machine: Machine, tmp_path: Path) -> None:
    wheel, place = str(make_wheel(tmp_path)), tmp_path / "tmp"
    place.mkdir()
    command = ("docker", "build", "notebook", "--base-image", "127.0.0.1:1/no/base:1", "--wheel")
    build = machine.clx(*command, wheel, TMPDIR=str(place))
    machine.wait_until(lambda: any(owner.read_text() for owner in place.glob("*/owner")), "it does nothing")
    build.kill()
    assert list(place.glob("clx-image-*"))
    machine.clx(*command, str(tmp_path / "none.whl"), TMPDIR=str(place)).ends(2)
    assert not list(place.glob("clx-image-*"))


def test_building_again_leaves_no_image_without_a_name(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three builds the last one's image and stage stay; an image that a container runs in stays until it ends."""

    def context(recipe: Recipe, folder: Path) -> None:
        (folder / "word").write_text(recipe.wheel.name, encoding="utf-8")
        lines = [f"FROM {recipe.base} AS packages", "LABEL clx.stage=test", "COPY word /word"]
        lines += [f"FROM {recipe.base}", "COPY --from=packages /word /word"]
        (folder / "Dockerfile").write_text("\n".join(lines), encoding="utf-8")

    def nameless() -> set[str]:
        return {each["Id"] for each in machine.client.api.images(filters={"dangling": True})}

    monkeypatch.setattr(docker_build, "_context", context)
    monkeypatch.setattr(docker_build, "_STAGE_AGE", -60.0)
    monkeypatch.setattr(docker_build, "labels_of", lambda recipe: {"test": recipe.wheel.name})
    nothing = JobType(name="test", title="", converter="")
    monkeypatch.setitem(JOB_TYPES, "test", nothing)
    before, name = nameless(), "clx-test:again"
    try:
        for word in ("one", "two"):
            docker_build.build(Recipe("test", name, tmp_path / word, "clx-base:local"), print)
        assert len(nameless() - before) == 1
        user = machine.client.containers.create(name, ["true"], network="none")
        two = machine.client.images.get(name).id
        docker_build.build(Recipe("test", name, tmp_path / "three", "clx-base:local"), print)
        user.remove()
        assert two in nameless()
        assert len(nameless() - before) == 2
        machine.client.api.remove_image(two)
    finally:
        machine.client.images.remove(name)
        for each in nameless() - before:
            machine.client.api.remove_image(each)


def test_packages_in_conflict_are_no_matter_of_the_network(machine: Machine, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("msgspec==0.0.1\n")
    options = ("--wheel", str(make_wheel(tmp_path)), "--requirements", str(wanted), "--base-image", "clx-base:local")
    said = machine.clx("docker", "build", "notebook", *options, "--fetch").ends(3)
    assert "pip download failed: Cannot install" in said
    assert "Correct the file named with --requirements" in said


@pytest.mark.parametrize(
    ("security", "rootless"), [(["name=seccomp", "name=rootless"], True), (["name=seccomp"], False)]
)
def test_containers_run_as_whoever_builds(security: list[str], rootless: bool) -> None:
    """A rootless engine, which cannot be had everywhere, is told by what it says of itself."""

    class Engine:
        def info(self) -> dict[str, list[str]]:
            return {"SecurityOptions": security}

    assert invoking_user(Engine()) == ("0:0" if rootless else f"{os.getuid()}:{os.getgid()}")
