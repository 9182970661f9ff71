"""Other interpreters, other languages, other platforms."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from clx.errors import ToolMissingError
from clx.jobtypes.notebook.deck import PROG_LANG
from clx.jobtypes.notebook.execution.interpreter import interpreter_fingerprint
from clx.jobtypes.notebook.execution.pool import KernelPool
from clx.jobtypes.notebook.execution.results import CellFailedError
from clx.platforms import system


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without any package, least of all CLX."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory, with_pip=False, symlinks=True)
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def other_python(bare_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has ipykernel but not CLX: CLX's packages by path, except for CLX itself."""
    directory = tmp_path_factory.mktemp("other")
    venv.create(directory, with_pip=False, symlinks=True)
    packages = next((directory / "lib").iterdir()) / "site-packages"
    for entry in Path(_site_packages()).iterdir():
        if "clx" not in entry.name and not entry.name.endswith(".pth"):
            (packages / entry.name).symlink_to(entry)
    (packages / "only_here.py").write_text("value = 42\n")
    return directory / "bin" / "python"


def _site_packages() -> str:
    import ipykernel

    return str(Path(ipykernel.__file__).parents[1])


def test_cells_see_the_packages_of_the_interpreter_named(other_python: Path, tmp_path: Path) -> None:
    pool = KernelPool(str(other_python))
    code = (
        "import importlib.util, only_here, sys\nprint(only_here.value, importlib.util.find_spec('clx'), sys.executable)"
    )
    try:
        (result,) = pool.run([code], cwd=tmp_path, cell_timeout=120)
    finally:
        pool.close()
    assert result.outputs[0]["text"] == f"42 None {other_python}\n"


def test_an_interpreter_without_ipykernel_is_named(bare_python: Path, tmp_path: Path) -> None:
    pool = KernelPool(str(bare_python))
    with pytest.raises(ToolMissingError, match=f"{bare_python} -m pip install ipykernel"):
        pool.run(["1"], cwd=tmp_path, cell_timeout=120)
    pool.close()


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    pool = KernelPool(str(tmp_path / "python"))
    with pytest.raises(ToolMissingError, match="cannot be started"):
        pool.run(["1"], cwd=tmp_path, cell_timeout=120)
    with pytest.raises(ToolMissingError, match="cannot be run"):
        interpreter_fingerprint(str(tmp_path / "python"))


def test_without_forking_kernels_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the modules beside the deck, and none of them in the place of one of the kernel's own."""
    (tmp_path / "helper.py").write_text("value = 7\n")
    for name in ("ipykernel", "ipykernel_launcher", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from beside the deck')\n")
    cells = ["import helper\nx = 1\nprint('hi', helper.value)\nx", "import os\nprint(os.getcwd())", "1 / 0"]
    forked = KernelPool()
    monkeypatch.setattr(system, "FORKS_KERNELS", False)
    spawned = KernelPool()
    monkeypatch.undo()
    try:
        results = [pool.run(cells, cwd=tmp_path, cell_timeout=120, allow_errors_at={2}) for pool in (forked, spawned)]
    finally:
        forked.close()
        spawned.close()
    assert results[0][:2] == results[1][:2]
    assert results[1][2].outputs[0]["ename"] == "ZeroDivisionError"


def test_the_kernel_of_a_language_is_found_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "kernels" / "speaks-java"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.joinpath("kernel.json").write_text(
        json.dumps({"argv": argv, "language": "Java", "display_name": "J", "env": {"GREETING": "{hello}"}})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    pool = KernelPool()
    try:
        results = pool.run(
            ["import os", "print(os.environ['GREETING'])"], cwd=tmp_path, language=PROG_LANG["java"], cell_timeout=120
        )
    finally:
        pool.close()
    assert results[1].outputs == [{"output_type": "stream", "name": "stdout", "text": "{hello}\n"}]


def test_a_language_without_a_kernel_is_named(tmp_path: Path) -> None:
    pool = KernelPool()
    with pytest.raises(ToolMissingError, match="no Jupyter kernel for rust") as caught:
        pool.run(["1"], cwd=tmp_path, language=PROG_LANG["rust"], cell_timeout=120)
    assert "evcxr" in caught.value.next_step
    pool.close()


def test_a_kernel_that_cannot_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "kernels" / "broken"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-c", "raise SystemExit('no luck today')", "{connection_file}"]
    spec.joinpath("kernel.json").write_text(json.dumps({"argv": argv, "language": "java", "display_name": "B"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    pool = KernelPool()
    with pytest.raises(CellFailedError, match="no luck today"):
        pool.run(["1"], cwd=tmp_path, language=PROG_LANG["java"], cell_timeout=120)
    pool.close()


def test_the_fingerprint_follows_what_is_installed(bare_python: Path) -> None:
    before = interpreter_fingerprint(str(bare_python))
    assert before["python"] == ".".join(map(str, sys.version_info[:3]))
    packages = next((bare_python.parents[1] / "lib").iterdir()) / "site-packages"
    installed = packages / "thing-1.0.dist-info"
    installed.mkdir()
    after = interpreter_fingerprint(str(bare_python))
    assert after != before
    installed.rename(packages / "thing-1.1.dist-info")
    assert interpreter_fingerprint(str(bare_python)) != after
    (packages / "thing-1.1.dist-info").rmdir()
    assert interpreter_fingerprint(str(bare_python)) == before


def test_the_fingerprint_of_the_own_interpreter_needs_no_process() -> None:
    code = (
        "import sys\n"
        "from clx.jobtypes.notebook.execution.interpreter import interpreter_fingerprint\n"
        "sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith('subprocess') else None)\n"
        "print(interpreter_fingerprint(None) == interpreter_fingerprint(sys.executable))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout == "True\n", answer.stderr
