"""Containers: how soon they work, what a job costs more than in a subprocess, how fast a shared queue is.

Type: ``python -m benchmarks.docker``. Needs an engine and the images of ``clx docker build``. Each row is a time of
CLX, the time it is held against, and their ratio:

* from ``clx build --workers docker`` to the first job of three worker types, against one bare ``docker run``;
* a job in a container, against the same job in a subprocess (decks that are rendered and not run, so that little
  but CLX itself is measured);
* a direct build, cold and with nothing to do, with the Docker SDK installed, against the same with it hidden.

The last rows are jobs per second of one queue that two processes here and two containers share.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import clx, run, seconds
from clx import __version__
from clx.db.database import Database
from clx.errors import StartupError
from clx.settings.schema import DockerSettings
from clx.workers.executors.docker.images import image_fingerprint

DECKS = 40
STORM_JOBS = 1000
ROUNDS = 5
_HEADER = "# j2 from 'macros.j2' import header\n# {{ header('Titel', 'Title') }}\n"
_DECK = _HEADER + "# %% [markdown]\n# Text\n\n# %%\nprint(1)\n"
_DIAGRAM = '<mxGraphModel><root><mxCell id="0"/><mxCell id="1" parent="0"/></root></mxGraphModel>'
_STORM = """
import os, sys, time
from pathlib import Path
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerTable
with Database.open(Path(sys.argv[1]), journal_mode=sys.argv[2], busy_timeout=60.0) as database:
    queue, table = Queue(database), WorkerTable(database)
    me = table.register(type="storm", pool="", mode="direct", host="", pid=os.getpid(), identity="", version="")
    while len(table.list()) < 4:
        time.sleep(0.005)
    for number in range(int(sys.argv[3])):
        queue.enqueue(NewJob("storm", {}))
        for job in queue.claim(["storm"], worker=me, lease=120_000):
            queue.finish(job.id, job.run)
"""


def main() -> None:
    """Measure and print, one line per number."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        without_sdk(folder / "sdk")
        try:
            for type_ in ("notebook", "plantuml", "drawio"):
                image_fingerprint(type_, _image(type_), DockerSettings(auto_pull=False))
        except StartupError as error:
            print(f"the rest is not measured: {error.fact} {error.next_step}")
            return
        starting(folder)
        overhead(folder)
        for journal_mode in ("wal", "delete"):
            throughput(folder / journal_mode, journal_mode)


def _image(type_: str) -> str:
    return f"clx-{type_}:{__version__}"


def course(root: Path, decks: int, *, diagrams: bool) -> Path:
    """A course of *decks* decks, with a diagram of each kind where asked for."""
    topics = []
    for number in range(decks):
        topic = root / "slides" / "module" / f"topic_{number:03}_t{number}"
        topic.mkdir(parents=True)
        (topic / f"slides_{number}.py").write_text(_DECK, encoding="utf-8")
        topics.append(f"      - t{number}\n")
        if diagrams:
            (topic / "a.pu").write_text("@startuml\nA -> B\n@enduml\n", encoding="utf-8")
            (topic / "b.drawio").write_text(_DIAGRAM, encoding="utf-8")
    spec = root / "course.yaml"
    text = f"name: Bench\nprog_lang: python\nsections:\n  - name: One\n    topics:\n{''.join(topics)}"
    spec.write_text(text, encoding="utf-8")
    return spec


def _moments(spec: Path, wanted: str, since: float = 0.0) -> list[int]:
    """Milliseconds UTC, one per type of the jobs that were queued *since* then."""
    with Database.open(spec.parent / ".clx" / "jobs.db", readonly=True) as database:
        rows = database.read(f"SELECT {wanted} FROM jobs WHERE created_at >= ? GROUP BY type", (since,))
    return [row[0] for row in rows]


def starting(folder: Path) -> None:
    """From the command to the moment when each of three types has its first job, against one bare container."""
    spec = course(folder / "start", 1, diagrams=True)
    run(clx("build", spec, "--workers", "docker"))  # looks from inside a container once; later builds know the answer
    found = []
    for _ in range(ROUNDS):
        began = time.time() * 1000
        run(clx("build", spec, "--workers", "docker", "--force"))
        found.append((max(_moments(spec, "min(started_at)", began)) - began) / 1000)
    bare = ["docker", "run", "--rm", "--entrypoint", "python", _image("notebook"), "-c", "pass"]
    theirs = seconds(lambda: run(bare), rounds=ROUNDS)
    _tell("build to first job of three types / one docker run", statistics.median(found), theirs)


def overhead(folder: Path) -> None:
    """One job more or less: the time from the first start to the last end, divided by the jobs."""
    per_job = {}
    for mode in ("docker", "direct"):
        spec = course(folder / mode, DECKS, diagrams=False)
        run(clx("build", spec, "--workers", mode, "--format", "notebook"))
        [first], [last] = _moments(spec, "min(started_at)"), _moments(spec, "max(finished_at)")
        per_job[mode] = (last - first) / 1000 / DECKS
    _tell("one rendered deck: in a container / in a subprocess", per_job["docker"], per_job["direct"])


def without_sdk(folder: Path) -> None:
    """A direct build where the SDK can be imported, against one where it cannot: nothing asks for it."""
    shown, hidden = folder / "shown", folder / "hidden"
    for path in (shown, hidden):
        path.mkdir(parents=True)
    for module in ("docker", "requests"):
        (hidden / f"{module}.py").write_text("raise ImportError('hidden')\n", encoding="utf-8")
    spec = course(folder / "course", DECKS, diagrams=False)
    build = clx("build", spec, "--format", "notebook")

    def timed(path: Path, *options: str) -> float:
        started = time.perf_counter()
        run([*build, *options], variables={"PYTHONPATH": str(path)})
        return time.perf_counter() - started

    timed(shown)
    for what, options in (("nothing to do", ()), ("cold", ("--force",))):
        times = [(timed(shown, *options), timed(hidden, *options)) for _ in range(2 * ROUNDS)]
        ours, theirs = (statistics.median(each) for each in zip(*times, strict=True))
        _tell(f"direct build, {what}: SDK installed / hidden", ours, theirs)


def _tell(what: str, ours: float, theirs: float) -> None:
    print(f"{what:<56} {ours:7.3f} s {theirs:7.3f} s {ours / theirs:6.2f} ×", flush=True)


def throughput(folder: Path, journal_mode: str) -> None:
    """Two processes here and two containers; each, once all are there, puts jobs in and does as many."""
    folder.mkdir()
    path = folder / "jobs.db"
    Database.open(path, journal_mode="wal" if journal_mode == "wal" else "delete").close()
    arguments = [journal_mode, str(STORM_JOBS)]
    mount = ["-v", f"{folder}:/clx/data", "--user", "0:0", "--network", "none"]
    inside = ["docker", "run", "--rm", *mount, "--entrypoint", "python", _image("notebook"), "-c", _STORM]
    here = [sys.executable, "-c", _STORM, str(path), *arguments]
    commands = [[*inside, "/clx/data/jobs.db", *arguments]] * 2 + [here] * 2
    processes = [subprocess.Popen(command) for command in commands]
    if any(process.wait() for process in processes):
        raise SystemExit("a process of the storm failed")
    with Database.open(path, readonly=True) as database:
        [(first, last, jobs)] = database.read("SELECT min(created_at), max(finished_at), count(*) FROM jobs")
    taken = (last - first) / 1000
    what = f"queue, 2 processes and 2 containers, {journal_mode.upper()}"
    print(f"{what:<56} {jobs / taken:7.0f} jobs/s ({jobs} in {taken:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
