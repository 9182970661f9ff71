"""Services have workers for tasks and hosts for workflows where the settings name modules."""

from __future__ import annotations

from tests.support.scene import Scene, until

from clx.db.jobs import NewJob, Queue

_SETTINGS = """
[python]
modules = ["shop"]
path = ["src"]

[workers.python]
count = 2

[workers.notebook]
count = 0
[workers.plantuml]
count = 0
[workers.drawio]
count = 0
"""
_MODULE = """
from clx import define

@define.task(name="add", version="1.0.0", cache=False)
def add(a: int, b: int = 1) -> int:
    print("adding")
    return a + b

@define.workflow(name="twice")
async def twice(a: int) -> int:
    return await add(await add(a))
"""


def put(scene: Scene, name: str, **arguments: int) -> int:
    with scene.open() as database:
        return Queue(database).enqueue(NewJob(name, {"arguments": arguments}, max_runs=3))


def end(scene: Scene, job_id: int) -> str:
    with scene.open() as database:
        (job,) = Queue(database).wait([job_id], timeout=60)
    return f"{job.state} {(job.result or {}).get('value')}"


def test_they_start_serve_and_stop_like_all_others(scene: Scene) -> None:
    scene.settings(_SETTINGS)
    scene.course.write("src/shop.py", _MODULE)
    told = scene.clx("start-services").stdout
    assert "python: 2 worker(s), direct: started" in told
    assert "workflow: 1 worker(s), direct: started" in told
    job = put(scene, "task:add:1.0.0", a=1)
    assert end(scene, job) == "succeeded 2"
    assert end(scene, put(scene, "workflow:twice", a=1)) == "succeeded 3"
    assert scene.clx("jobs", "logs", str(job)).stdout == "adding\n"
    workers = scene.json("workers", "list")["workers"]
    assert sorted(each["type"] for each in workers) == ["python", "python", "workflow"]
    assert {tuple(each["routines"]) for each in workers} == {("task:add:1.0.0",), ("workflow:twice",)}
    assert scene.json("status")["workers"]["python"]["idle"] == 2
    victim = next(row for row in scene.workers() if row.type == "python")
    scene.kill(victim.pid)
    until(lambda: len([row for row in scene.workers() if row.type == "python" and row.id != victim.id]) == 2)
    assert end(scene, put(scene, "task:add:1.0.0", a=2)) == "succeeded 3"
    assert "3 worker(s) stopped" in scene.clx("stop-services").stdout
    scene.await_nothing_left()


def test_a_module_that_cannot_be_imported_is_told_once_with_its_place(scene: Scene) -> None:
    scene.settings(_SETTINGS)
    scene.course.write("src/shop.py", "import clx\n\nx = 1 / 0\n")
    failed = scene.clx("start-services", code=3)
    place = scene.course.root / "src" / "shop.py"
    assert f"shop cannot be imported: ZeroDivisionError: division by zero ({place}, line 3)." in failed.stderr
    assert f"Correct {place}, line 3." in failed.stderr
    assert scene.workers() == []
    scene.await_nothing_left()


def test_a_module_that_is_not_there_is_told_with_the_setting_that_finds_it(scene: Scene) -> None:
    scene.settings(_SETTINGS)
    failed = scene.clx("start-services", code=3, CLX_WORKERS__WORKFLOW__COUNT="0")
    assert "There is no module shop, here or among what is installed." in failed.stderr
    assert "clx config set python.path DIRECTORY" in failed.stderr
    scene.await_nothing_left()


def test_jobs_of_a_routine_that_no_worker_has_are_told(scene: Scene) -> None:
    scene.settings(_SETTINGS)
    scene.course.write("src/shop.py", _MODULE)
    scene.clx("start-services", "--workflow-workers", "0", "--python-workers", "1")
    put(scene, "task:add:2.0.0", a=1)
    (warning,) = scene.json("status")["warnings"]
    assert warning.startswith("1 task:add:2.0.0 job(s) wait and no worker takes them.")
    scene.clx("stop-services")
