"""The side for Windows, run on this system beside what Windows has not: see ``without_posix.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

WITHOUT = Path(__file__).with_name("without_posix.py")


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", str(WITHOUT), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def told(code: str, cwd: Path) -> str:
    """What *code* prints."""
    found = run("-c", code, cwd=cwd)
    assert (found.returncode, found.stderr) == (0, ""), found.stderr
    return found.stdout


def clx(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run("-m", "clx", *words, cwd=cwd)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_side_for_windows_is_taken(tmp_path: Path) -> None:
    assert told("from clx.platforms import system; print(system.__name__)", tmp_path) == "clx.platforms.windows\n"


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    """But for those that run on Linux only and say so, and those that import numpy, whose build for Linux is here."""
    code = """
import importlib, pkgutil, clx
run_on_linux = ("clx.jobtypes.notebook.execution.forkserver", "clx.jobtypes.notebook.execution.kernelapp")
tables = ("arrays", "pandastables", "polarstables", "tabledigest", "tables")
of_others = [f"clx.routines.codecs.{name}" for name in tables]
of_others += ["clx.serving.worker.callables", "clx.serving.worker.onnx"]
beside = (*run_on_linux, *of_others, "clx.platforms.posix", "clx.__main__")
for each in pkgutil.walk_packages(clx.__path__, "clx."):
    if each.name.startswith(("clx.course.starter", "clx.db.migrations")) or each.name in beside:
        continue
    try:
        importlib.import_module(each.name)
    except Exception as error:
        print(each.name, type(error).__name__, error)
"""
    assert told(code, tmp_path) == ""


def test_a_queue_enqueues_claims_and_finishes(tmp_path: Path) -> None:
    code = """
from clx import NewJob, Queue
with Queue.open("jobs.db") as queue:
    queue.enqueue(NewJob("greet", {"name": "Ada"}))
    job = queue.claim(["greet"])[0]
    queue.finish(job.id, job.run, {"said": "hello " + job.payload["name"]})
    print(queue.get(job.id).state, queue.get(job.id).result)
"""
    assert told(code, tmp_path) == "succeeded {'said': 'hello Ada'}\n"


def test_a_consumer_does_what_is_put_in_by_another_process(tmp_path: Path) -> None:
    code = """
import subprocess, sys
from clx import Consumer, NewJob, Queue
put = "from clx import NewJob, Queue; Queue.open('jobs.db').enqueue_many([NewJob('add', {'n': n}) for n in range(5)])"
subprocess.run([sys.executable, "-c", put], check=True)
with Queue.open("jobs.db") as queue:
    Consumer(queue, {"add": lambda job: job.payload["n"] + 1}).run(until_idle=True)
    print(sorted(job.result for job in queue.search(state="succeeded")))
"""
    assert told(code, tmp_path) == "[1, 2, 3, 4, 5]\n"


def test_locks_keep_others_out_until_they_are_let_go(tmp_path: Path) -> None:
    code = """
import os, subprocess, sys
from pathlib import Path
from clx.platforms import system
held = os.open("lock", os.O_RDWR | os.O_CREAT)
print(system.lock(held, wait=False))
other = '''
import os
from clx.platforms import system
print(system.lock(os.open("lock", os.O_RDWR), wait=False), flush=True)
'''
subprocess.run([sys.executable, "-c", other], check=True)
os.close(held)
subprocess.run([sys.executable, "-c", other], check=True)
print(os.path.exists("lock"), os.path.getsize("lock"))
"""
    assert told(code, tmp_path).split() == ["True", "False", "True", "True", "0"]


def test_a_group_is_killed_with_what_it_started(tmp_path: Path) -> None:
    code = """
import subprocess, sys, psutil
from clx.platforms import system
inner = '''
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
time.sleep(60)
'''
process = subprocess.Popen([sys.executable, "-c", inner], stdout=subprocess.PIPE)
child = psutil.Process(int(process.stdout.readline()))
system.kill_group(process.pid)
process.wait()
psutil.wait_procs([child], timeout=10)
print(child.is_running() and child.status() != "zombie")
try:
    system.probe(process.pid)
except ProcessLookupError:
    print("gone")
process.stdout.close()
"""
    assert told(code, tmp_path).split() == ["False", "gone"]


def test_a_process_is_talked_to_until_its_answer_is_whole_or_its_time_is_over(tmp_path: Path) -> None:
    code = """
import subprocess, sys
from clx.platforms import system
def talk(inner):
    return subprocess.Popen([sys.executable, "-c", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
echo = "import sys; line = sys.stdin.readline(); print(line.upper(), end='', flush=True)"
with talk(echo) as process:
    pipes = system.Pipes(process.stdin, process.stdout)
    big = b"a" * 1_000_000 + b"\\n"
    print(pipes.exchange(big, lambda answer: answer.endswith(b"\\n"), 30) == big.upper())
    print(pipes.exchange(b"", lambda answer: False, 30))
with talk("import time; time.sleep(60)") as process:
    try:
        system.Pipes(process.stdin, process.stdout).exchange(b"x", lambda answer: False, 0.1)
    except TimeoutError:
        print("late")
    process.kill()
"""
    assert told(code, tmp_path).split() == ["True", "None", "late"]


@pytest.mark.slow
def test_tools_are_listed_and_looked_at(tmp_path: Path) -> None:
    listed = clx("tools", "list", "--format", "json", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert {"java", "plantuml", "browser"} <= {tool["name"] for tool in json.loads(listed.stdout)["tools"]}
    looked = clx("doctor", "--format", "json", cwd=tmp_path)
    assert looked.returncode in {0, 3}, looked.stderr
    assert "Traceback" not in looked.stderr


@pytest.mark.slow
def test_services_start_are_seen_and_stop(tmp_path: Path) -> None:
    started = clx("start-services", "--worker-count", "1", "--db-path", "jobs.db", cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    rows = json.loads(clx("workers", "list", "--format", "json", "--db-path", "jobs.db", cwd=tmp_path).stdout)[
        "workers"
    ]
    assert {(row["status"], row["mode"]) for row in rows} == {("idle", "direct")}
    stopped = clx("stop-services", "--db-path", "jobs.db", cwd=tmp_path)
    assert stopped.returncode == 0, stopped.stderr
    assert not any(runs(row["pid"]) for row in rows)


@pytest.mark.slow
def test_a_course_is_built_by_workers_and_built_again_and_what_went_is_removed(tmp_path: Path) -> None:
    """No cells are run: kernels are not started there."""
    deck = tmp_path / "course" / "slides" / "module_100_a" / "topic_100_b" / "slides_c.py"
    deck.parent.mkdir(parents=True)
    deck.write_text('# %% [markdown] lang="en"\n# # Hello\n', encoding="utf-8")
    (tmp_path / "course" / "course.yaml").write_text(
        "name: {de: A, en: A}\nprog_lang: python\nsections:\n  - name: {de: B, en: B}\n    topics: [b]\n"
        "output_targets:\n  - {name: public, path: out, kinds: [completed], formats: [notebook], languages: [en]}\n",
        encoding="utf-8",
    )
    built = clx("build", "course/course.yaml", cwd=tmp_path)
    assert built.returncode == 0, built.stderr + built.stdout
    files = list((tmp_path / "course").rglob("*.ipynb"))
    assert len(files) == 1
    again = clx("build", "course/course.yaml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    deck.write_text('# %% [markdown] lang="en"\n# # Goodbye\n', encoding="utf-8")
    clx("build", "course/course.yaml", cwd=tmp_path)
    assert not files[0].exists()
