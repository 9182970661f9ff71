"""A run sees nothing of the one before and cannot tell that libraries were loaded for it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.jobtypes.notebook.execution.conftest import Run
from tests.support.scene import is_alive

from clx.jobtypes.notebook.execution.forkserver import scan_for_children
from clx.jobtypes.notebook.execution.pool import KernelPool
from clx.jobtypes.notebook.execution.results import CellResult


def printed(result: CellResult) -> str:
    return "".join(output["text"] for output in result.outputs if output.get("name") == "stdout").strip()


def test_names_variables_and_modules_do_not_survive(run: Run) -> None:
    run("import os, sys, json\nx = 1\nos.environ['LEFT'] = '1'\njson.left = 1\nsys.path.append('/left')")
    (result,) = run(
        "import os, sys, json\n"
        "print('x' in globals(), 'LEFT' in os.environ, hasattr(json, 'left'), '/left' in sys.path)"
    )
    assert printed(result) == "False False False False"


def test_a_run_has_its_directory_session_and_group(run: Run, tmp_path: Path) -> None:
    code = "import os\nprint(os.getcwd())\nprint(os.getpid() == os.getsid(0) == os.getpgid(0))\n%pwd"
    (result,) = run(code)
    assert printed(result).splitlines() == [str(tmp_path), "True"]
    assert result.outputs[-1]["data"]["text/plain"] == repr(str(tmp_path))


def test_helper_modules_are_those_of_this_run(run: Run, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / "helper.py").write_text(f"value = {number}\n")
        assert printed(run("import helper\nprint(helper.value)")[0]) == str(number)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["helper.py"]


def test_a_helper_may_have_the_name_of_a_loaded_library(run: Run, tmp_path: Path) -> None:
    run("import numpy")
    (tmp_path / "numpy.py").write_text("mine = True\n")
    assert printed(run("import numpy\nprint(numpy.mine)")[0]) == "True"


def test_modules_of_the_implementation_are_not_importable(run: Run) -> None:
    code = "import importlib.util\nprint([importlib.util.find_spec(n) for n in ('forkserver', 'client', 'pool')])"
    assert printed(run(code)[0]) == "[None, None, None]"


def test_the_environment_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONWARNINGS", "PYTHONSTARTUP", "CLX_DATABASE__PATH", "FORCE_COLOR", "MPLBACKEND"):
        monkeypatch.setenv(name, "error")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("PYTHONPATH", "/kept")
    pool = KernelPool()
    code = (
        "import os\n"
        "print({k: v for k, v in os.environ.items() if k[:6] in ('PYTHON', 'FORCE_', 'KEPT', 'CLX_DA', 'MPLBAC')})"
    )
    try:
        (result,) = pool.run([code], cwd=tmp_path, cell_timeout=120)
    finally:
        pool.close()
    assert eval(printed(result)) == {
        "KEPT": "1",
        "PYTHONPATH": "/kept",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def test_random_numbers_differ_between_runs(run: Run) -> None:
    code = "import random, numpy\nprint(random.random(), numpy.random.rand())"
    assert printed(run(code)[0]).split()[0] != printed(run(code)[0]).split()[0]
    assert printed(run(code)[0]).split()[1] != printed(run(code)[0]).split()[1]


def test_libraries_see_variables_set_before_their_import(run: Run) -> None:
    cells = ("import os\nos.environ['MPLBACKEND'] = 'svg'", "import matplotlib\nprint(matplotlib.get_backend())")
    run("import matplotlib")
    assert printed(run(*cells)[1]) == "svg"


def test_an_import_that_prints_is_left_to_the_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "site"
    library.mkdir()
    (library / "loud.py").write_text("print('hello from loud')\n")
    (library / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(library))
    pool = KernelPool(preload=("loud", "threaded"))
    try:
        for _ in range(3):
            (result,) = pool.run(["import loud, threaded"], cwd=tmp_path, cell_timeout=120)
            assert printed(result) == "hello from loud"
    finally:
        pool.close()


def test_what_a_cell_started_ends_with_the_run(run: Run) -> None:
    cells = [
        "import subprocess, threading, time",
        "plain = subprocess.Popen(['sleep', '60'])",
        "command = 'setsid sleep 60 >/dev/null 2>&1 & echo $!'",
        "daemon = subprocess.run(command, shell=True, capture_output=True, text=True)",
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        "print(plain.pid, daemon.stdout)",
    ]
    pids = [int(word) for word in printed(run(*cells)[-1]).split()]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)


def test_children_are_found_without_the_kernels_list_of_them() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in scan_for_children(os.getpid())
        assert scan_for_children(child.pid) == set()
        child.kill()


def test_temporary_files_are_removed(run: Run) -> None:
    (result,) = run("import tempfile\nprint(tempfile.mkdtemp())")
    assert not Path(printed(result)).exists()


def test_a_run_ends_promptly_although_threads_go_on(run: Run) -> None:
    run("pass")
    begun = time.monotonic()
    run("import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()")
    assert time.monotonic() - begun < 60
