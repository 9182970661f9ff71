"""``clx routines``: the real commands with real workers, what they print, and what they leave."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.cli.test_completion import offered
from tests.support.scene import until

from clx import NewJob, Queue
from clx.cli.routines_run import Unserved
from clx.db.workers import WorkerTable
from clx.routines.tree import Node

SHOP = '''
import os
import time
from asyncio import gather
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import clx
from clx import define

print("the module is imported")


@dataclass
class Order:
    what: str
    pieces: int = 1


@define.task(name="add", version="1.0.0")
def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Not more.
    """
    print("it adds")
    os.write(1, b"and writes\\n")
    return a + b


@define.task(name="add", version="1.1.0-dev")
def add_anew(a: int, b: int = 1) -> int:
    return a + b


@define.task(name="describe", version="1.0.0")
def describe(order: Order, day: date, place: Path, note: str = "", urgent: bool = False) -> tuple:
    return order, day, place, note, urgent


@define.task(name="divide", version="1.0.0")
def divide(a: int, b: int) -> float:
    return a / b


@define.task(name="wait", version="1.0.0")
def wait(flag: str) -> int:
    Path(flag + ".begun").write_text(str(os.getpid()))
    clx.progress(1, 2, "waiting")
    while not os.path.exists(flag):
        time.sleep(0.02)
    return 1


@define.workflow(name="total")
async def total(numbers: list[int]) -> int:
    """Add up."""
    return sum(await gather(*(add(each, 0) for each in numbers)))


@define.workflow(name="outer")
async def outer(flag: str) -> int:
    return await inner(flag)


@define.workflow(name="inner")
async def inner(flag: str) -> int:
    return await wait(flag) + await define.record("one", lambda: 1)


@define.workflow(name="broken")
async def broken() -> float:
    return await divide(1, 0)


@define.trigger(after=divide, on="failure")
@define.task(name="mourn", version="1.0.0")
def mourn(ended: dict) -> str:
    return "alas"
'''


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a module of routines, that its settings name."""
    (tmp_path / ".clx").mkdir()
    (tmp_path / ".clx" / "config.toml").write_text(
        '[python]\nmodules = ["shop"]\n[workers.python]\ncount = 1\n', encoding="utf-8"
    )
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    return tmp_path


def started(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "clx", "routines", *arguments], cwd=cwd, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def clx(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    process = started(*arguments, cwd=cwd)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
    if "-v" not in arguments:
        assert "Traceback" not in err
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def document(*arguments: str, cwd: Path) -> Any:
    return json.loads(clx(*arguments, "--format", "json", cwd=cwd).stdout)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def states(shop: Path) -> dict[str, str]:
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        return {job.type: job.state for job in queue.search()}


# -- run ------------------------------------------------------------------------------------------------


def test_a_run_prints_its_result_and_nothing_else(shop: Path) -> None:
    first = clx("run", "add", "-p", "a=2", cwd=shop)
    assert first.stdout == "3\n"
    assert re.search(r"^\[1/1\] add 1\.0\.0, job 1: done \(\d+\.\d s\)$", first.stderr, re.MULTILINE)
    again = document("run", "add", "--param-json", '{"b": 1, "a": 2}', cwd=shop)
    assert again.pop("seconds") < 10
    assert again == {"job": None, "routine": "task:add:1.0.0", "cached": True, "result": 3}


def test_a_result_that_other_code_made_is_told(shop: Path) -> None:
    clx("run", "add", "-p", "a=1", "--local", cwd=shop)
    assert "Warning" not in clx("run", "add", "-p", "a=1", cwd=shop).stderr
    text = (shop / "shop.py").read_text(encoding="utf-8")
    (shop / "shop.py").write_text(text.replace("it adds", "it adds anew"), encoding="utf-8")
    told = clx("run", "add", "-p", "a=1", cwd=shop)
    assert (told.stdout, told.stderr.count("Warning: add 1.0.0 was cached with other code.")) == ("2\n", 1)


def test_no_process_of_a_run_is_left(shop: Path) -> None:
    clx("run", "total", "-p", "numbers=[1, 2, 3]", cwd=shop)
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        rows = WorkerTable(queue.database).list(live=False)
    assert sorted(row.type for row in rows) == ["python", "workflow"]
    assert all(row.ended_at is not None for row in rows)
    for row in rows:
        until(partial(is_gone, row.pid))


def test_a_run_here_keeps_results_too(shop: Path) -> None:
    done = clx("run", "total", "-p", "numbers=[1, 2, 3]", "--local", cwd=shop)
    assert done.stdout == "6\n"
    assert "it adds" in done.stderr
    assert "and writes" in done.stderr
    assert document("run", "add", "-p", "a=3", "-p", "b=0", cwd=shop)["cached"]
    assert clx("run", "broken", "--local", cwd=shop, code=1).stderr.endswith("ZeroDivisionError: division by zero\n")


def test_arguments_are_read_by_their_types(shop: Path) -> None:
    arguments = [
        "-p", 'order={"what": "tea"}', "-p", "day=2026-11-30", "-p", "place=a/b", "-p", "note=12", "-p", "urgent=true",
    ]  # fmt: skip
    done = clx("run", "describe", *arguments, "--local", cwd=shop)
    assert json.loads(done.stdout) == [{"what": "tea", "pieces": 1}, "2026-11-30", "a/b", "12", True]


def test_what_no_worker_takes_is_told_once() -> None:
    tree = Node("workflow:day", 1, "HANGING", children=[Node("task:a:1", 2, "queued"), Node("task:b:1", 3, "queued")])
    asked = []

    def served() -> set[str]:
        asked.append(1)
        return {"task:b:1"}

    unserved = Unserved({}, served, "clx routines work")
    assert [list(unserved.told(tree, now)) for now in (0, 9)] == [[], []], "workers that were just started need some"
    (said,) = unserved.told(tree, 10)
    assert said == "a 1 waits: no worker takes it. Start one: clx routines work"
    assert [list(unserved.told(tree, 10 + seconds / 10)) for seconds in range(1, 25)] == [[]] * 24
    assert len(asked) == 3, "and one that is there, and busy, is looked for once a second"


def test_a_failure_is_told_with_what_to_type_next(shop: Path) -> None:
    failed = clx("run", "broken", cwd=shop, code=1)
    assert failed.stdout == ""
    assert "Error: workflow:broken failed: ZeroDivisionError: division by zero\n" in failed.stderr
    assert re.search(r"^See `clx routines show \d+`", failed.stderr, re.MULTILINE)
    verbose = clx("run", "divide", "-p", "a=1", "-p", "b=0", "-v", cwd=shop, code=1)
    assert re.search(r'Traceback .*File ".*shop\.py", line \d+, in divide', verbose.stderr, re.DOTALL)
    told = json.loads(clx("run", "broken", "--format", "json", cwd=shop, code=1).stdout)
    assert told["exit_code"] == 1
    assert "division by zero" in told["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "fact", "step"),
    [
        (["run", "ad", "-p", "a=1"], "There is no routine 'ad'.", "Did you mean add?"),
        (["run", "add"], "task:add:1.0.0 needs a.", "Give --param a=… : add(a: int, b: int = 1) -> int"),
        (["run", "add", "-p", "a=x"], "a=x is no int.", "Its parameters: add(a: int, b: int = 1) -> int"),
        (["run", "add", "-p", "a=1", "-p", "c=1"], "task:add:1.0.0 has no parameter c.", "Its parameters"),
        (["run", "add", "-p", "a"], "--param a gives no value.", "Write --param NAME=VALUE."),
        (["run", "add", "-p", "a=1", "-p", "a=2"], "a is given twice.", "Give each argument once."),
        (["run", "add", "-p", "a=1", "--param-json", '{"a": 2}'], "a is given twice.", "Give each argument once."),
        (["run", "add", "--param-json", "[1]"], "The arguments are no JSON object.", "Write '"),
        (["run", "add", "--param-json", "{"], "The arguments are no JSON: ", "Write '"),
        (["run", "add", "--param-json", "@nothing.json"], "nothing.json cannot be read: ", "Name a file"),
        (["run", "add", "-p", "a=1", "--detach", "--local"], "--detach starts nothing.", "Leave --local"),
        (
            ["run", "add", "-p", "a=1", "-m", "shop.py"],
            "shop.py is the name of a file",
            "Write it as it is imported: shop",
        ),
        (
            ["run", "add", "-p", "a=1", "-m", "./a/b.py"],
            "./a/b.py is the name of a file",
            "Write it as it is imported: a.b",
        ),
        (["run", "add", "-p", "a=1", "-m", "nowhere"], "There is no module nowhere", "Type the command in"),
        (["show", "99"], "There is no job 99.", "`clx jobs list` names those there are."),
        (["show", "nobody"], "There is no routine 'nobody'.", "There are: "),
        (["graph", "add"], "add is not the number of a job.", "`clx routines show NAME` lists its runs."),
        (["forget", "add"], "That would remove the kept results: 1 of task:add:1.0.0.", "Type the same with --yes."),
        (["forget", "total", "-p", "numbers=[]"], "workflow:total keeps no results.", "Those of its tasks are kept"),
        (["forget", "nobody"], "There is no routine 'nobody'.", "There are: task:add:1.0.0."),
        (["forget", "nobody", "--trigger"], "There is no routine 'nobody'.", "There are: task:add:1.0.0."),
    ],
)
def test_wrong_input_is_told_with_what_to_do(shop: Path, arguments: list[str], fact: str, step: str) -> None:
    clx("run", "add", "-p", "a=1", "--local", cwd=shop)
    refused = clx(*arguments, cwd=shop, code=2).stderr
    assert f"Error: {fact}" in refused
    assert f"\n{step}" in refused


def test_a_module_that_cannot_be_imported_is_told_with_its_line(shop: Path) -> None:
    (shop / "shop.py").write_text("import os\nnonsense\n", encoding="utf-8")
    refused = clx("run", "add", "-p", "a=1", cwd=shop, code=2).stderr
    assert f"NameError: name 'nonsense' is not defined ({shop / 'shop.py'}, line 2)" in refused
    wrong = 'from clx import define\n\n\n@define.workflow(name="wrong")\ndef wrong() -> None: ...\n'
    (shop / "shop.py").write_text(wrong, encoding="utf-8")
    refused = clx("run", "wrong", cwd=shop, code=2).stderr
    fact = f"shop cannot be imported: The workflow wrong is no coroutine function ({shop / 'shop.py'}, line 4)."
    assert refused == f"Error: {fact}\nWrite async def.\n"
    (shop / ".clx" / "config.toml").unlink()
    assert "No module with routines is named." in clx("run", "add", cwd=shop, code=2).stderr


def test_on_a_terminal_the_tree_is_drawn(shop: Path) -> None:
    drawn, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "clx", "routines", "run", "outer", "-p", "flag=flag"], cwd=shop, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    seen = ""
    while "waiting" not in seen:
        seen += os.read(drawn, 1 << 16).decode(errors="replace")
    (shop / "flag").touch()
    with contextlib.suppress(OSError):
        while more := os.read(drawn, 1 << 16).decode(errors="replace"):
            seen += more
    os.close(drawn)
    assert process.communicate(timeout=60)[0] == "2\n"
    told = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)
    assert re.search(r"outer \(job 1\) HANGING \S+ s on 2\s+└── inner \(job 2\) HANGING \S+ s on 3", told)
    assert "    └── wait 1.0.0 (job 3) WORKING" in told
    assert "[1/2] waiting" in told
    assert told.rstrip().splitlines()[-1].startswith("    └── wait 1.0.0 (job 3) done")


def test_a_run_on_a_server(shop: Path, postgresql: str) -> None:
    """Workers, artifacts and the tree, with the table in a database of a server."""
    assert clx("run", "total", "-p", "numbers=[1, 2, 3]", "--db", postgresql, cwd=shop).stdout == "6\n"
    shown = clx("show", "total", "--db", postgresql, cwd=shop).stdout
    assert re.search(r"^1 +workflow:total +succeeded ", shown, re.MULTILINE)


# -- others do it -----------------------------------------------------------------------------------------


@pytest.fixture
def workers(shop: Path) -> Iterator[subprocess.Popen[str]]:
    process = started("work", "--workers", "1", cwd=shop)
    yield process
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def serving(database: Path) -> bool:
    """Whether a host and a worker for tasks are at work there."""
    if not database.exists():
        return False
    with Queue.open(database) as queue:
        return {row.type for row in WorkerTable(queue.database).list()} == {"python", "workflow"}


def test_what_is_detached_where_nobody_works_waits(shop: Path) -> None:
    asked = clx("run", "total", "-p", "numbers=[1]", "--detach", cwd=shop)
    assert asked.stdout == "1\n"
    assert "No worker has it at the moment. To start some, type: clx routines work" in asked.stderr
    refused = clx("forget", "total", "--yes", cwd=shop, code=2).stderr
    assert "workflow:total keeps no results." in refused


def test_what_is_detached_is_done_by_others(shop: Path, workers: subprocess.Popen[str]) -> None:
    job = clx("run", "total", "-p", "numbers=[1, 2, 3]", "--detach", cwd=shop).stdout
    assert job.strip().isdecimal()
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        assert queue.result(int(job), timeout=60)["value"] == 6
    shown = clx("show", job.strip(), cwd=shop).stdout.splitlines()
    assert shown[0] == "total(numbers=[1, 2, 3])"
    assert shown[1].startswith(f"total (job {job.strip()}) done")
    assert "Result: 6" in shown
    nothing = clx("run", "add", "-p", "a=1", "-p", "b=0", "--detach", cwd=shop)
    assert nothing.stdout == ""
    assert "Nothing to run: a result of task:add:1.0.0 is kept." in nothing.stderr


def test_work_says_what_cannot_be_imported(shop: Path) -> None:
    (shop / "shop.py").write_text("import nothing_of_the_kind\n", encoding="utf-8")
    refused = clx("work", cwd=shop, code=2).stderr
    assert "nothing_of_the_kind" in refused
    assert not (shop / ".clx" / "jobs.db").exists()


def test_work_ends_where_workers_do_not_start(shop: Path) -> None:
    dies = "import os, sys\nif 'routines' not in sys.argv:\n    os._exit(3)\n"  # in the processes of workers
    (shop / "shop.py").write_text(SHOP + dies, encoding="utf-8")
    assert clx("work", cwd=shop, code=3).stderr.count("Error: ") == 1
    assert clx("run", "total", "-p", "numbers=[1]", cwd=shop, code=3).stdout == ""
    assert states(shop) == {"workflow:total": "cancelled"}


def test_workers_that_are_there_are_used(shop: Path, workers: subprocess.Popen[str]) -> None:
    until(lambda: serving(shop / ".clx" / "jobs.db"))
    assert clx("run", "total", "-p", "numbers=[4]", cwd=shop).stdout == "4\n"
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        assert len(WorkerTable(queue.database).list(live=False)) == 2


# -- Ctrl-C -------------------------------------------------------------------------------------------------


def interrupted(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    return err


def test_an_interrupt_cancels_the_run_and_all_that_it_called(shop: Path) -> None:
    process = started("run", "outer", "-p", "flag=flag", cwd=shop)
    until(lambda: (shop / "flag.begun").exists() and (shop / "flag.begun").read_text() != "")
    shown = clx("show", "1", cwd=shop).stdout
    assert "outer (job 1) HANGING" in shown
    assert re.search(r"└── inner \(job 2\) HANGING .* on 3", shown)
    assert re.search(r"└── wait 1\.0\.0 \(job 3\) WORKING", shown)
    said = interrupted(process)
    assert "Job 1 was cancelled, with what it called." in said
    assert states(shop) == dict.fromkeys(("workflow:outer", "workflow:inner", "task:wait:1.0.0"), "cancelled")
    pid = int((shop / "flag.begun").read_text())
    until(partial(is_gone, pid))


def in_a_group(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """As a shell starts it: in a process group of its own, to which a terminal sends what is typed."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "clx", "routines", *arguments], cwd=cwd, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def left_of(shop: Path) -> list[int]:
    """Processes of a project."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_there = str(shop) in " ".join(each.cmdline()) or each.cwd() == str(shop)
            if is_there and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each.pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_whole_group_of_a_run_leaves_nothing_behind(shop: Path, number: signal.Signals) -> None:
    process = in_a_group("run", "outer", "-p", "flag=flag", cwd=shop)
    until(lambda: (shop / "flag.begun").exists() and (shop / "flag.begun").read_text() != "")

    os.killpg(process.pid, number)

    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number), err
    assert "Traceback" not in err
    until(lambda: left_of(shop) == [])
    if number == signal.SIGINT:
        assert set(states(shop).values()) == {"cancelled"}
    (shop / "flag").touch()
    assert clx("run", "outer", "-p", "flag=flag", cwd=shop).stdout == "2\n"
    until(lambda: left_of(shop) == [])
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        assert not queue.search(state=["queued", "running"])


def test_an_interrupt_of_a_run_here_leaves_its_task_to_the_next(shop: Path) -> None:
    process = started("run", "wait", "-p", "flag=flag", "--local", cwd=shop)
    until((shop / "flag.begun").exists)
    interrupted(process)
    assert states(shop) == {"task:wait:1.0.0": "queued"}
    (shop / "flag").touch()
    assert clx("run", "wait", "-p", "flag=flag", "--local", cwd=shop).stdout == "1\n"


def test_what_somebody_else_waits_for_goes_on(shop: Path, workers: subprocess.Popen[str]) -> None:
    until(lambda: serving(shop / ".clx" / "jobs.db"))
    one, other = (started("run", "wait", "-p", "flag=flag", cwd=shop) for _ in range(2))
    until((shop / "flag.begun").exists)
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        until(lambda: queue.database.read("SELECT COUNT(*) FROM wants")[0][0] == 2)
    assert "Job 1 goes on: somebody else waits for it." in interrupted(one)
    (shop / "flag").touch()
    out, err = other.communicate(timeout=60)
    assert (other.returncode, out) == (0, "1\n"), err


# -- list, show, graph, explain, forget -------------------------------------------------------------------


def test_the_list_has_what_is_defined_here_and_what_is_kept(shop: Path) -> None:
    before = clx("list", cwd=shop).stdout
    assert re.search(r"^task:add:1\.0\.0 +shop +0 +– +Add two numbers\.$", before, re.MULTILINE)
    assert re.search(r"^task:mourn:1\.0\.0 +shop +0 +after task:divide:1\.0\.0 \(failure\)", before, re.MULTILINE)
    clx("run", "total", "-p", "numbers=[1, 2, 3]", "--local", cwd=shop)
    found = {each["id"]: each for each in document("list", cwd=shop)["routines"]}
    assert (found["task:add:1.0.0"]["kept"], found["workflow:total"]["kept"]) == (3, 0)
    assert found["task:add:1.0.0"]["signature"] == "add(a: int, b: int = 1) -> int"
    (shop / ".clx" / "config.toml").unlink()
    left = {each["id"]: each["here"] for each in document("list", cwd=shop)["routines"]}
    assert left["task:add:1.0.0"] is False


def test_a_run_is_drawn(shop: Path) -> None:
    clx("run", "total", "-p", "numbers=[1, 2]", cwd=shop)
    (top,) = document("show", "total", cwd=shop)["runs"]
    assert (top["state"], top["arguments"]) == ("succeeded", {"numbers": [1, 2]})
    job = str(top["job"])
    assert clx("graph", job, cwd=shop).stdout.count("add 1.0.0") == 2
    assert clx("graph", job, "--format", "dot", cwd=shop).stdout.startswith("digraph calls {")
    assert "flowchart LR" in clx("graph", job, "--format", "mermaid", cwd=shop).stdout
    tree = json.loads(clx("graph", job, "--format", "json", cwd=shop).stdout)
    assert [each["routine"] for each in tree["calls"]] == ["task:add:1.0.0"] * 2
    told = document("show", job, cwd=shop)
    assert (told["result"], told["tree"]) == (3, tree)


def test_a_failure_is_shown_with_its_cause(shop: Path) -> None:
    clx("run", "broken", cwd=shop, code=1)
    shown = clx("show", "1", cwd=shop).stdout
    assert re.search(r"^└── divide 1\.0\.0 \(job 2\) failed .*– division by zero$", shown, re.MULTILINE)
    assert "Error: ZeroDivisionError: division by zero" in shown
    assert "Its cause: task:divide:1.0.0. `clx routines show 2` tells more." in shown


def test_a_replay_that_asked_for_other_things_is_told(shop: Path) -> None:
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        job = queue.enqueue(NewJob("workflow:outer", {"arguments": {"flag": "x"}}))
        queue.finish(job, queue.claim(["workflow:outer"])[0].run, {"value": 1, "unused": 2})
    shown = clx("show", str(job), cwd=shop).stdout
    assert "2 call(s) of its record were not asked for again: it does not do the same each time." in shown


def test_it_is_explained_why_a_call_runs(shop: Path) -> None:
    told = document("explain", "add", "-p", "a=1", cwd=shop)
    assert (told["arguments"], told["age"], told["nearest"]) == ({"a": 1, "b": 1}, None, None)
    clx("run", "add", "-p", "a=2", "--local", cwd=shop)
    near = clx("explain", "add", "-p", "a=1", cwd=shop).stdout
    assert near.endswith("No result is kept.\nNearest is job 1, which differs in:\n  a: 1 here, 2 there\n")
    assert "made by the code that it has now." in clx("explain", "add", "-p", "a=2", cwd=shop).stdout
    (shop / "shop.py").write_text(SHOP.replace("return a + b", "return b + a"), encoding="utf-8")
    other = clx("explain", "add", "-p", "a=2", cwd=shop).stdout
    assert other.endswith("Give it another version, or type: clx routines forget add:1.0.0\n")
    assert "a -dev version is not cached" in clx("explain", "add:1.1.0-dev", "-p", "a=2", cwd=shop).stdout
    assert "a workflow runs each time" in clx("explain", "outer", "-p", "flag=x", cwd=shop).stdout


def test_what_is_forgotten_runs_again(shop: Path) -> None:
    clx("run", "total", "-p", "numbers=[1, 2, 3]", "--local", cwd=shop)
    one = document("forget", "add", "--args", '{"a": 1, "b": 0}', cwd=shop)
    assert (one["removed"], one["routines"]) == (1, ["task:add:1.0.0"])
    assert clx("forget", "add:1.0.0", "--yes", cwd=shop).stdout == "2 kept result(s) removed.\n"
    assert clx("forget", "add", "--yes", cwd=shop).stdout == "0 kept result(s) removed.\n"
    assert "No result is kept." in clx("explain", "add", "-p", "a=1", "-p", "b=0", cwd=shop).stdout


def test_where_there_is_no_table_nothing_is_made(shop: Path) -> None:
    assert "There is no database at" in clx("show", "total", cwd=shop, code=2).stderr
    assert "There is no database at" in clx("forget", "add", "--yes", cwd=shop, code=2).stderr
    clx("list", cwd=shop)
    assert not (shop / ".clx" / "jobs.db").exists()


def test_a_job_that_is_no_routine_is_said_to_be_none(shop: Path) -> None:
    with Queue.open(shop / ".clx" / "jobs.db") as queue:
        queue.enqueue(NewJob("mail"))
    assert "Type: clx jobs show 1" in clx("show", "1", cwd=shop, code=2).stderr


def test_names_are_completed(shop: Path) -> None:
    clx("run", "total", "-p", "numbers=[1]", cwd=shop)
    clx("run", "add:1.1.0-dev", "-p", "a=1", "--detach", cwd=shop)
    assert {"add:1.0.0", "add:1.1.0-dev", "total"} <= set(offered("clx routines run ", shop))
    assert offered("clx routines explain tot", shop) == ["total"]
