"""The JVM as a process: killed, too slow, left alone, ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.jobtypes.plantuml.bench import Bench
from tests.support.tools import require

from clx.errors import ConversionError
from clx.jobtypes.plantuml.converter import PlantUmlConverter
from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.tools.finding import locate

CLASSES = "@startuml\nclass A\nA --> B\n@enduml\n"


class Gate:
    """A Graphviz that announces itself on a FIFO and, while the gate is shut, does not go on."""

    def __init__(self, folder: Path) -> None:
        self._fifo, self._shut = folder / "started", folder / "shut"
        os.mkfifo(self._fifo)
        self.program = folder / "dot"
        self.program.write_text(
            '#!/bin/sh\ncase "$1" in -V) exit 0 ;; esac\n'
            f"if [ -e {self._shut} ]; then echo $$ > {self._fifo}; exec sleep 600; fi\n"
            f'exec {shutil.which("dot")} "$@"\n'
        )
        self.program.chmod(0o755)
        self._shut.touch()

    def arrival(self) -> int:
        """Wait until a diagram is being laid out; the process id of the waiting dot."""
        return int(self._fifo.read_text())

    def open(self) -> None:
        self._shut.unlink()

    def close(self) -> None:
        self._shut.touch()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    require("plantuml")
    gate = Gate(tmp_path)
    monkeypatch.setenv("GRAPHVIZ_DOT", str(gate.program))
    return gate


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    require("plantuml")
    (tmp_path / "work").mkdir()
    converter = PlantUmlConverter(Settings(), work_dir=tmp_path / "work")
    yield Bench(converter, tmp_path / "jobs")
    converter.close()


class Background:
    """A conversion on another thread, so that the test can interfere."""

    def __init__(self, bench: Bench) -> None:
        self.pictures: list[bytes] = []
        self.error: ConversionError | None = None
        self._thread = threading.Thread(target=self._run, args=(bench,))
        self._thread.start()

    def _run(self, bench: Bench) -> None:
        try:
            self.pictures = bench.convert(CLASSES)
        except ConversionError as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive()


def gone(pid: int) -> bool:
    """Wait at most 30 seconds for the end of a process that need not be a child."""
    try:
        psutil.Process(pid).wait(30)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def test_a_jvm_killed_during_a_diagram_is_replaced_and_the_diagram_repeated(gate: Gate, own: Bench) -> None:
    work = Background(own)
    dot, (jvm,) = gate.arrival(), own.converter.pids()
    gate.open()
    os.kill(jvm, signal.SIGKILL)
    work.join()
    assert work.error is None
    assert b">A</text>" in work.pictures[0]
    assert own.converter.pids() != [jvm]
    assert gone(dot)


def test_a_jvm_killed_twice_fails_the_run_but_not_the_job(gate: Gate, own: Bench) -> None:
    work = Background(own)
    for _ in range(2):
        gate.arrival()
        os.kill(own.converter.pids()[0], signal.SIGKILL)
    work.join()
    assert work.error is not None
    assert work.error.retryable
    assert "SIGKILL" in work.error.fact
    assert work.error.line == 1
    gate.open()
    assert own.convert(CLASSES)


def test_a_diagram_that_ends_the_jvm_by_itself_is_to_blame(own: Bench) -> None:
    with pytest.raises(ConversionError, match="ended while it drew") as error:
        own.convert("\n@startjcckit\ndata/curves = curve\n@endjcckit\n")
    assert not error.value.retryable
    assert error.value.line == 2
    assert "jcckit" in (error.value.traceback or "")
    assert own.convert(CLASSES)


def test_a_diagram_that_takes_too_long_is_killed_with_its_dot(gate: Gate, own: Bench) -> None:
    gate.open()
    own.convert(CLASSES)  # from now on it takes no time until dot is called
    gate.close()
    (jvm,) = own.converter.pids()
    announced: list[int] = []
    reader = threading.Thread(target=lambda: announced.append(gate.arrival()), daemon=True)
    reader.start()
    with pytest.raises(ConversionError, match="did not finish the diagram within 5 s") as error:
        own.convert(CLASSES, timeout=5)
    reader.join(60)
    assert not error.value.retryable
    assert gone(jvm)
    assert gone(announced[0])
    gate.open()
    assert own.convert(CLASSES)


def test_a_jvm_that_died_between_two_jobs_is_replaced(own: Bench) -> None:
    own.uml("A -> B")
    (jvm,) = own.converter.pids()
    os.kill(jvm, signal.SIGKILL)
    assert "A" in own.uml("A -> B")
    assert own.converter.pids() != [jvm]


def test_the_jvms_end_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    require("plantuml")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pu").write_text(CLASSES)
    (tmp_path / "out").mkdir()
    program = f"""
import sys
from pathlib import Path
from clx.settings.schema import Settings
from clx.jobtypes.plantuml.converter import PlantUmlConverter
here = Path({str(tmp_path)!r})
converter = PlantUmlConverter(Settings(), work_dir=here)
for kind in ("png", "svg"):
    converter.convert({{"source": "a.pu", "format": kind}}, here / "in", here / "out", print)
print(*converter.pids(), flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        jvms = [int(pid) for pid in worker.stdout.readline().split()]
        assert len(jvms) == 2
        assert all(psutil.pid_exists(pid) for pid in jvms)
        worker.kill()
    assert all(gone(pid) for pid in jvms)


def test_closing_leaves_neither_processes_nor_files(own: Bench, tmp_path: Path) -> None:
    own.convert(CLASSES)
    own.convert(CLASSES, format="png")
    jvms = own.converter.pids()
    assert len(jvms) == 2
    own.converter.close()
    own.converter.close()
    assert not any(psutil.pid_exists(pid) for pid in jvms)
    assert list((tmp_path / "work").iterdir()) == []


def test_the_first_jvm_of_a_machine_leaves_an_archive_that_the_next_one_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("plantuml")
    jar = locate("plantuml", Settings())
    assert jar is not None
    settings = Settings().having(PlantUmlSettings(jar=str(jar.path)))
    monkeypatch.setenv("CLX_CACHE_DIR", str(tmp_path / "cache"))
    pictures: list[list[bytes]] = []
    for _ in range(2):
        converter = PlantUmlConverter(settings, work_dir=tmp_path)
        pictures.append(Bench(converter, tmp_path / f"jobs{len(pictures)}").convert(CLASSES))
        maps = Path(f"/proc/{converter.pids()[0]}/maps").read_text()
        converter.close()
        (archive,) = (tmp_path / "cache" / "java-classes").iterdir()
    assert archive.suffix == ".jsa"
    assert str(archive) in maps
    assert pictures[0] == pictures[1]


def test_asking_for_the_fingerprint_is_cheap_and_imports_nothing_heavy() -> None:
    program = """
import sys
from clx.settings.schema import Settings
from clx.jobtypes.registry import JOB_TYPES
assert not {"subprocess", "sqlalchemy", "jinja2", "zipfile"} & set(sys.modules), sys.modules
JOB_TYPES["plantuml"].fingerprint(Settings())
assert "subprocess" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    times = []
    for _ in range(5):
        before = time.perf_counter()
        JOB_TYPES["plantuml"].fingerprint(Settings())
        times.append(time.perf_counter() - before)
    assert min(times) < 0.02, "a JVM that is asked for its version takes far longer"
