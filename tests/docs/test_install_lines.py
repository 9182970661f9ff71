"""Every line of the documentation, and of a message, that installs CLX or something for it, typed into a fresh venv."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from clx import DISTRIBUTION
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.workers.executors.docker.build import make_wheel
from clx.workers.executors.docker.wheel import digest_of_running, digest_of_wheel
from clx.workers.supervision.checks import examine

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
INSTALLS = re.compile(r"\bpip install ([^`\n]*[^`\s])")
OF_CLX = re.compile(r"""pip install (?:-\S+ )*['"\\]*(clx[\w-]*)""")


@dataclass
class Clone:
    """A copy of what a clone holds, and a venv in it that sees this environment's packages, but no CLX."""

    root: Path

    def type(self, text: str, **variables: str) -> str:
        """Type lines into a shell whose directory is the clone; returns what they print."""
        path = f"{self.root / '.venv/bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        done = subprocess.run(
            ["sh", "-ec", text],
            cwd=self.root,
            env={**kept, "PATH": path, **variables},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    root = tmp_path_factory.mktemp("clone")
    for name in ("src", "docker"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root)
    venv.create(root / ".venv", with_pip=True, symlinks=True)
    packages = next((root / ".venv" / "lib").iterdir()) / "site-packages"
    (packages / "shared.pth").write_text(f"{Path(click.__file__).parents[1]}\n")
    return Clone(root)


@pytest.fixture(scope="module")
def installed(clone: Clone) -> Clone:
    """CLX installed as README says, with all that README types after it."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    [lines] = [block for block in blocks if "pip install" in block]
    clone.type(lines)
    return clone


def install_lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in INSTALLS.findall(page.read_text(encoding="utf-8")):
            yield page.name, found.partition(" #")[0].strip()


def test_what_readme_types_ends_in_a_course(installed: Clone) -> None:
    pages = list((installed.root / "my-course" / "output").rglob("*.html"))
    assert pages
    where = installed.type("python -P -c 'import clx; print(clx.__file__)'").strip()
    assert Path(where).is_relative_to(installed.root / ".venv")
    assert installed.type("clx --version") == installed.type("python -P -m clx --version")


@pytest.mark.parametrize(("page", "line"), sorted(set(install_lines())))
def test_install_line_of_the_documentation(installed: Clone, page: str, line: str) -> None:
    """What is not there yet is only looked up, not fetched."""
    installed.type(f"pip install {line} {'' if line.startswith(('.', chr(34))) else '--dry-run'}")


def test_hints_install_into_what_is_there_and_reach_nobody_elses_package(installed: Clone) -> None:
    """An extra of an installed CLX is resolved from what is installed; no index is asked for CLX."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for extra in set(extras) - {"dev"}:
        installed.type(f'pip install "{DISTRIBUTION}[{extra}]"', PIP_NO_INDEX="1")


def test_hints_name_extras_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    hints = {each.hint for each in examine(list(JOB_TYPES), Settings()) if "pip install" in each.hint}
    assert hints == {f'Type: pip install "{DISTRIBUTION}[{extra}]"' for extra in ("notebook", "diagrams", "pdf")}
    assert {"notebook", "diagrams", "docker"} <= set(extras)


def test_no_line_installs_what_is_called_clx_elsewhere() -> None:
    """The name clx is taken; only an installed CLX may be named, to add an extra to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION != "clx"
    assert project["scripts"]["clx"]
    texts = [*PAGES, *(ROOT / "docker").rglob("*file"), *(ROOT / "src").rglob("*.py"), ROOT / "docker-compose.yaml"]
    named = {name for path in texts for name in OF_CLX.findall(path.read_text(encoding="utf-8"))}
    assert named <= {DISTRIBUTION}


def test_all_that_is_required_is_in_the_registry(tmp_path: Path) -> None:
    """One real resolution of everything, as on a machine that has nothing."""
    wheel = make_wheel(tmp_path)
    report = tmp_path / "report.json"
    options = ("--quiet", "--dry-run", "--ignore-installed", "--disable-pip-version-check", "--report", str(report))
    asked = f"{wheel}[all]"
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options, asked], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {each["metadata"]["name"].lower() for each in json.loads(report.read_text())["install"]}
    assert {DISTRIBUTION, "click", "ipykernel", "defusedxml", "docker"} <= names


def test_installed_clx_is_packed_as_the_wheel_it_came_from(installed: Clone, tmp_path: Path) -> None:
    """`clx docker build` needs a wheel where there is neither a clone nor a release."""
    built = make_wheel(tmp_path)
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
        code = (
            "import pathlib, sys; from clx.workers.executors.docker.build import make_wheel; "
            "make_wheel(pathlib.Path(sys.argv[1]))"
        )
        installed.type(f"python -P -c '{code}' {folder}")
    first, second = (next(folder.glob("*.whl")) for folder in folders)
    assert digest_of_wheel(built) == digest_of_wheel(first) == digest_of_running()  # else no image would fit
    assert first.name == built.name
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(built) as one, zipfile.ZipFile(first) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        for name in one.namelist():
            assert name.endswith("/RECORD") or one.read(name) == other.read(name), name
    installed.type(f"pip install --no-deps --target {tmp_path / 'target'} {first}")
    assert (tmp_path / "target" / "clx" / "docker" / "notebook" / "Dockerfile").is_file()


def test_system_packages_of_the_guide_are_those_that_setup_installs() -> None:
    guide = (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8")
    script = (ROOT / "scripts" / "system-packages.sh").read_text(encoding="utf-8")
    [named] = re.findall(r"`apt-get install ([^`]+)`", guide)
    assert all(re.search(rf"\b{re.escape(package)}\b", script) for package in named.split())
