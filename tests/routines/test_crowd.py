"""Very many programs ask one question at once: it runs once, and all of them hear the answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.routines.staff import Staff
from tests.support.scene import until

from clx import Queue

PROGRAMS = 100
ROUTINES = """
import time
from pathlib import Path
from clx import define

@define.task(name="asked", version="{version}")
def asked(n: int) -> int:
    folder = Path(__file__).parent
    with (folder / "runs").open("a") as stream:
        stream.write("x")
    while not (folder / "gate").exists():
        time.sleep(0.01)
    return n + 1
"""
CROWD = """
import asyncio, os, sys
import clx, crowded

async def awaited():
    return await crowded.asked(4)

where, count = sys.argv[1], int(sys.argv[2])
with clx.lifecycle("warm.db"), clx.lifecycle("warm.db", remote=True):  # what children need is imported
    pass
children = []
for number in range(count):
    if not (child := os.fork()):
        with clx.lifecycle(where, remote=True):
            found = crowded.asked(4).result() if number % 2 else asyncio.run(awaited())
        os.write(1, b"%d " % found)
        os._exit(0)
    children.append(child)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


@pytest.mark.parametrize("version", ["1.0.0", "1.0.0-dev"])
def test_a_hundred_programs_that_ask_the_same_run_it_once(queue: Queue, tmp_path: Path, version: str) -> None:
    (tmp_path / "crowded.py").write_text(ROUTINES.format(version=version))
    (tmp_path / "crowd.py").write_text(CROWD)
    with Staff(queue, tmp_path, ["crowded"]) as staff:
        staff.start(tasks=1)
        command = [sys.executable, "crowd.py", staff.where, str(PROGRAMS)]
        crowd = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        wants = "SELECT count(*) FROM wants"
        until(lambda: queue.database.read(wants)[0][0] == PROGRAMS or crowd.poll() is not None, 120)
        connections = _connections(queue)
        (tmp_path / "gate").touch()
        assert crowd.communicate(timeout=120)[0] == "5 " * PROGRAMS
    assert crowd.returncode == 0
    assert (tmp_path / "runs").read_text() == "x"
    assert len(queue.search()) == 1
    assert connections <= 2 * PROGRAMS + 20, connections  # two for each that waits, and those of worker and test


def _connections(queue: Queue) -> int:
    """Those to the server, of whoever waits; 0 where there is none."""
    if not queue.database.is_served:
        return 0
    found = queue.database.read("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    return int(found[0][0])
