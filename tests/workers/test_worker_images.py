"""Whether an image holds the CLX that runs: of one version there may be several."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import clx
from clx import DISTRIBUTION, __version__
from clx.cli.docker import _row
from clx.errors import EngineError, UsageError
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.jobtypes.pdf.settings import PdfSettings
from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.settings.resolve import resolve
from clx.settings.schema import DockerSettings, PythonSettings, Settings
from clx.workers.executors.docker.build import Recipe, labels_of
from clx.workers.executors.docker.images import CODE_LABEL, TYPE_LABEL, VERSION_LABEL, obtain
from clx.workers.executors.docker.wheel import digest_of_running
from clx.workers.executors.docker.worker import module_mounts, settings_inside
from clx.workers.executors.spec import Spawn

PACKAGE = Path(clx.__file__).parent


def packed(folder: Path, *, version: str = __version__, changed: str = "") -> Path:
    """A wheel of the CLX that runs, as hatchling would build it but for the file called *changed*."""
    wheel = folder / f"clx_build-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in PACKAGE.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes() + (b"\n" if path.name == changed else b"")
                archive.writestr(f"clx/{path.relative_to(PACKAGE).as_posix()}", content)
        archive.writestr("clx/docker/notebook/Dockerfile", "FROM x")
        archive.writestr(f"clx_build-{version}.dist-info/METADATA", f"Name: {DISTRIBUTION}\nVersion: {version}\n")
    return wheel


def engine_with(labels: dict[str, str]) -> Any:
    """An engine in which every name is an image with *labels*."""
    image = SimpleNamespace(id="sha256:1", attrs={"Config": {"Labels": labels}, "Size": 1})
    return SimpleNamespace(images=SimpleNamespace(get=lambda _name: image))


def obtained(labels: dict[str, str]) -> Any:
    return obtain(engine_with(labels), "notebook", "clx-notebook:0.1.0", DockerSettings())


def test_an_image_of_the_clx_that_runs_fits(tmp_path: Path) -> None:
    labels = labels_of(Recipe("notebook", "t", packed(tmp_path)))
    assert labels == {TYPE_LABEL: "notebook", VERSION_LABEL: __version__, CODE_LABEL: digest_of_running()}
    assert obtained(labels).code == digest_of_running()


@pytest.mark.parametrize("changed", ["loop.py", "exporter.js", "page.css"])
def test_an_image_of_the_same_version_with_other_code_is_refused(tmp_path: Path, changed: str) -> None:
    """Python or not; with what to type. The list of images says so as well."""
    assert any(path.name == changed for path in PACKAGE.rglob("*")), "choose a file that is there"
    labels = labels_of(Recipe("notebook", "t", packed(tmp_path, changed=changed)))
    with pytest.raises(EngineError) as refused:
        obtained(labels)
    fact = f"The image clx-notebook:0.1.0 holds CLX {__version__} too, but its code is not that of this one."
    assert refused.value.fact == fact
    assert refused.value.next_step.startswith("Type: clx docker build notebook")
    assert refused.value.exit_code == 3
    assert _row(engine_with(labels), "notebook", resolve(tmp_path, environ={}, files=[]))["problem"] == fact


def test_an_image_of_before_says_nothing_and_is_refused() -> None:
    with pytest.raises(EngineError, match="its code is not that of this one"):
        obtained({TYPE_LABEL: "notebook", VERSION_LABEL: __version__})


def test_an_image_says_which_version_its_wheel_is_of(tmp_path: Path) -> None:
    """Not which version built it."""
    with pytest.raises(EngineError, match=r"holds CLX 9\.9; this is CLX"):
        obtained(labels_of(Recipe("notebook", "t", packed(tmp_path, version="9.9"))))


@pytest.mark.parametrize("content", [b"no archive", None, b""])
def test_what_is_no_wheel_of_clx_is_refused(tmp_path: Path, content: bytes | None) -> None:
    wheel = tmp_path / "x.whl"
    if content is None:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("other-1.dist-info/METADATA", "Name: other\nVersion: 1\n")
    else:
        wheel.write_bytes(content)
    with pytest.raises(UsageError, match="is no wheel of CLX"):
        labels_of(Recipe("notebook", "t", wheel))


def test_settings_inside_a_container_name_no_program_of_this_machine(tmp_path: Path) -> None:
    drawio, plantuml = DrawioSettings(executable="/opt/drawio", scale=3.0), PlantUmlSettings(jar="/opt/plantuml.jar")
    settings = replace(resolve(tmp_path, environ={}, files=[]).settings, drawio=drawio, plantuml=plantuml)
    inside = settings_inside(settings)
    assert inside.section(DrawioSettings) == DrawioSettings(scale=3.0)
    assert inside.section(PlantUmlSettings) == PlantUmlSettings()
    assert inside.section(PdfSettings) == settings.section(PdfSettings)
    python = PythonSettings(modules=("shop",), path=("/home/me/src", "/opt/lib"), interpreter="/opt/python")
    inside = settings_inside(replace(settings, python=python))
    assert inside.python == PythonSettings(modules=("shop",), path=("/clx/modules/0", "/clx/modules/1"))
    assert msgspec.json.decode(msgspec.json.encode(inside), type=Settings) == inside


def test_the_directories_of_modules_are_mounted_read_only_unless_they_hold_the_state_of_services(
    tmp_path: Path,
) -> None:
    database = tmp_path / ".clx" / "shared" / "jobs.db"
    (tmp_path / "src").mkdir()
    database.parent.mkdir(parents=True)

    def mounts(type_: str, path: Path) -> list[dict[str, Any]]:
        settings = replace(Settings(), python=PythonSettings(modules=("shop",), path=(str(path),)))
        return [
            dict(each) for each in module_mounts(Spawn(type_, 1, "", "", "docker", "i", settings, database=database))
        ]

    assert mounts("notebook", tmp_path) == []
    (found,) = mounts("python", tmp_path / "src")
    assert (found["Target"], found["Source"], found["ReadOnly"]) == ("/clx/modules/0", str(tmp_path / "src"), True)
    for above in (tmp_path, tmp_path.parent):
        with pytest.raises(EngineError, match="the state of services, which no container may see"):
            mounts("workflow", above)
