"""Nothing outlives the worker, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.scene import is_alive

from clx.jobtypes.notebook.execution import server
from clx.jobtypes.notebook.execution.pool import KernelPool
from clx.jobtypes.notebook.execution.results import CellFailedError

PATIENCE = 10.0
"""Seconds within which processes must be gone that would go on for ten minutes."""

WORKER = """
import sys
from pathlib import Path
from clx.jobtypes.notebook.execution import server
from clx.jobtypes.notebook.execution.pool import KernelPool
pool = KernelPool()
cells = sys.argv[2:]
try:
    pool.run(cells, cwd=Path(sys.argv[1]), cell_timeout=600)
except KeyboardInterrupt:
    pool.close()
    print("interrupted", flush=True)
"""

SIGNALS_UP = """
import os, subprocess, pathlib
inner = subprocess.Popen(["sleep", "600"])
outer = subprocess.Popen(["setsid", "sleep", "600"])
pathlib.Path("pids.new").write_text(f"{os.getpid()} {inner.pid} {outer.pid} {os.getppid()}")
os.rename("pids.new", "pids")
outer.wait()
"""


def wait_for(condition: Callable[[], bool], timeout: float) -> bool:
    until = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def gone(pids: list[int]) -> bool:
    return wait_for(lambda: not any(is_alive(pid) for pid in pids), PATIENCE)


@pytest.fixture
def busy(
    tmp_path: Path, worker: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> tuple[subprocess.Popen[str], list[int], Path]:
    """A worker in the middle of a cell: its process, the pids of kernel, two subprocesses and parent; its files."""
    files = tmp_path / "tmp"
    files.mkdir()
    monkeypatch.setenv("TMPDIR", str(files) if len(str(files)) < 50 else "/tmp")
    process = worker(WORKER, [str(tmp_path), SIGNALS_UP])
    assert wait_for((tmp_path / "pids").exists, 60)
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    (own,) = Path(os.environ["TMPDIR"]).glob(f"clx-k-{process.pid}-*")
    return process, pids, own


def test_a_killed_worker_leaves_nothing(busy: tuple[subprocess.Popen[str], list[int], Path]) -> None:
    process, pids, files = busy
    process.kill()
    assert gone(pids)
    assert wait_for(lambda: not files.exists(), PATIENCE)


def test_what_other_namespaces_of_processes_have_is_left_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container or another machine that shares the directory numbers its processes otherwise."""
    monkeypatch.setattr(server, "_base", lambda: tmp_path)
    nobody = 4_000_000  # above what Linux gives
    monkeypatch.setattr(server, "_namespace", lambda: "b")
    for name in (f"clx-k-{nobody}-a-x", f"clx-k-{nobody}-b-x", f"clx-k-{os.getpid()}-b-x"):
        (tmp_path / name).mkdir()
    made = server._short_directory()
    left = {each.name for each in tmp_path.iterdir()} - {made.name}
    assert left == {f"clx-k-{nobody}-a-x", f"clx-k-{os.getpid()}-b-x"}


def test_an_interrupted_worker_leaves_nothing(busy: tuple[subprocess.Popen[str], list[int], Path]) -> None:
    process, pids, files = busy
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "interrupted\n"
    assert gone(pids)
    assert not files.exists()


def test_a_terminated_parent_takes_everything_along(busy: tuple[subprocess.Popen[str], list[int], Path]) -> None:
    _, pids, files = busy
    os.kill(pids[-1], signal.SIGTERM)
    assert gone(pids)
    assert wait_for(lambda: not files.exists(), PATIENCE)


def test_a_killed_parent_takes_everything_along(busy: tuple[subprocess.Popen[str], list[int], Path]) -> None:
    _, pids, files = busy
    os.kill(pids[-1], signal.SIGKILL)
    assert gone(pids)
    assert wait_for(lambda: not files.exists(), PATIENCE)


def test_a_killed_parent_costs_one_run(tmp_path: Path) -> None:
    pool = KernelPool()
    try:
        with pytest.raises(CellFailedError) as caught:
            pool.run(
                ["x = 1", "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)"],
                cwd=tmp_path,
                cell_timeout=120,
            )
        assert (caught.value.kind, caught.value.index, caught.value.retryable) == ("died", 1, True)
        assert pool.run(["1 + 1"], cwd=tmp_path, cell_timeout=120)[0].execution_count == 1
    finally:
        pool.close()


def test_a_parent_that_died_while_idle_is_replaced(tmp_path: Path) -> None:
    pool = KernelPool()
    try:
        (result,) = pool.run(["import os\nos.getppid()"], cwd=tmp_path, cell_timeout=120)
        parent = int(result.outputs[0]["data"]["text/plain"])
        os.kill(parent, signal.SIGKILL)
        assert gone([parent])
        assert pool.run(["1 + 1"], cwd=tmp_path, cell_timeout=120)[0].execution_count == 1
    finally:
        pool.close()


def test_close_leaves_no_process_and_no_file_and_the_pool_usable(tmp_path: Path) -> None:
    pool = KernelPool()
    for _ in range(2):
        (result,) = pool.run(
            ["import os, tempfile\nprint(os.getpid(), os.getppid(), tempfile.gettempdir())"],
            cwd=tmp_path,
            cell_timeout=120,
        )
        kernel, parent, temporary = result.outputs[0]["text"].split()
        assert not is_alive(int(kernel))
        assert is_alive(int(parent))
        pool.close()
        assert not is_alive(int(parent))
        assert not Path(temporary).parents[1].exists()
        pool.close()


def test_open_descriptors_do_not_grow(tmp_path: Path) -> None:
    pool = KernelPool()
    try:
        for _ in range(2):
            pool.run(["1"], cwd=tmp_path, cell_timeout=120)
        before = open_descriptors()
        for _ in range(5):
            pool.run(["1"], cwd=tmp_path, cell_timeout=120)
        assert open_descriptors() <= before
    finally:
        pool.close()


def test_importing_the_room_is_cheap() -> None:
    heavy = ("zmq", "jupyter_client", "IPython")
    code = f"import sys, clx.jobtypes.notebook.execution\nprint([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
