"""A process killed right before or right after any COMMIT leaves the state of before or of after, nothing between."""

from __future__ import annotations

import ast
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.conftest import Fork, Script

import clx.db
from clx.db.check import check
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.sqlite.database import SqliteDatabase

_ROOM = Path(clx.db.__file__).parent
_FILES = [*_ROOM.rglob("*.py"), _ROOM.parent / "course" / "build_state.py"]
"""All that writes to the database."""

_SETUP = """
class At(Clock):
    is_certain = True

    def __init__(self, now):
        self.now = lambda: now

queue = Queue.open(path)
batches, table = BatchTable(queue.database), WorkerTable(queue.database)
me = register_this_process(queue.database, "t")
"""
_HELD = _SETUP + "queue.enqueue(NewJob('t', key='k', max_runs=2)); job = queue.claim(['t'], worker=me)[0]\n"
_BATCH = _SETUP + "batch = batches.open('b', host='h', pid=1, identity='i', lease=10)\n"
_TOKENS = _SETUP + "from clx.db.tokens import TokenTable\ntokens = TokenTable(queue.database)\n"
_LATE = "queue.database.clock = At(10**14)\n"
_SCHEDULE = _SETUP + "from clx import Schedule\nqueue.database.clock = At(1)\n"
_SCHEDULED = (
    _SCHEDULE + "queue.schedules.add(Schedule('n', '@hourly', NewJob('t')))\nqueue.database.clock = At(7_200_001)\n"
)
_WORKFLOW = (
    _SETUP
    + "from clx.db.calls.models import Call, RoutineRow\n"
    + "queue.enqueue(NewJob('workflow:w')); job = queue.claim(['workflow:w'], worker=me)[0]\n"
    + "call, run = Call('n', 0, NewJob('task:t:1.0.0', key='k')), (job.id, job.run)\n"
    + "after = RoutineRow('task:u:1.0.0', 'm', '0', after='workflow:w', on='always')\n"
)
_TREE = _WORKFLOW + "queue.calls.enter(run, [call]); queue.calls.register([after])\n"
"""A workflow that has called a task, and a routine that is to run after it."""
_WORKS = (
    _SETUP
    + "from clx.db.works.withdrawing import Asked\n"
    + "document = {'pipeline': 'p', 'tags': ['x', 'y'], 'event': 1, 'retries': 2}\n"
)
_DEPOSITED = _WORKS + "queue.works.deposit([document])\n"
_WITHDRAWN = _DEPOSITED + "work = queue.works.withdraw(Asked(('p',)), worker=me)\n"
_PIPELINE = (
    _WORKS
    + "from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition, StepDefinition\n"
    + "steps = tuple(StepDefinition(n, s, works=({'pipeline': 'p', 'retries': 1},)) for n, s in (('a', 1), ('b', 2)))\n"
    + "config = ConfigDefinition('c', '', (PipelineDefinition({}, steps),))\n"
)
_DEPLOYED = _PIPELINE + "made = queue.pipelines.deploy(config); it = made.pipelines\n"
_STOPPED = _DEPLOYED + "queue.pipelines.stop(it)\n"
_OLD = "from clx.db.retention import Policy, prune\n"

_SERVING = (
    _SETUP
    + "from clx.db.serving.models import NewModel, RequestRow\n"
    + "from clx.db.serving.table import ServingTable, Told\n"
    + "models = ServingTable(queue.database)\n"
)
_SERVED = _SERVING + "for _ in range(2): models.add(NewModel('m', callable='a:b'))\n"
_SCENARIOS = {
    "create": ("", "Queue.open(path)"),
    "enqueue": (_SETUP, "queue.enqueue(NewJob('t'))"),
    "enqueue_batch": (_SETUP, "queue.enqueue_batch([NewJob('t')], NewJob('u'))"),
    "claim": (_SETUP + "queue.enqueue(NewJob('t'))\n", "queue.claim(['t'], worker=me)"),
    "settle": (_HELD, "queue.settle([Success(job.id, job.run)], ['t'], 1, worker=me)"),
    "heartbeat": (_HELD, "queue.heartbeat(job.id, job.run, progress={'n': 1})"),
    "finish": (_HELD, "queue.finish(job.id, job.run, 'done')"),
    "fail": (_HELD, "queue.fail(job.id, job.run, {'message': 'no'}, retry=True)"),
    "release": (_HELD, "queue.release(job.id, job.run)"),
    "release_worker": (_HELD, "queue.release_worker(me)"),
    "end_cancelled": (_HELD + "queue.cancel([job.id])\n", "queue.end_cancelled(job.id, job.run)"),
    "cancel": (_HELD, "queue.cancel([job.id])"),
    "retry": (_HELD + "queue.fail(job.id, job.run, {'message': 'no'})\n", "queue.retry([job.id])"),
    "rescue": (_HELD + _LATE, "queue.rescue()"),
    "rescue_worker": (_HELD, "queue.rescue_worker(me, {'kind': 'gone'})"),
    "expire": (_SETUP + "queue.enqueue(NewJob('t', expires=10**12))\n" + _LATE, "queue.rescue()"),
    "let_go": (
        _SETUP
        + "queue.set_limit('l', concurrency=1)\n"
        + "for _ in range(3): queue.enqueue(NewJob('t', limit='l'))\n"
        + "job = queue.claim(['t'], 3, worker=me)[0]; queue.finish(job.id, job.run); queue.cancel([2])\n",
        "queue.rescue()",
    ),
    "set_limit": (_SETUP, "queue.set_limit('l', concurrency=1)"),
    "pause": (_SETUP, "queue.pause('t')"),
    "resume": (_SETUP + "queue.pause('t')\n", "queue.resume('t')"),
    "take_turn": (_SETUP + "from clx.db.upkeep import take_turn\n", "take_turn(queue.database)"),
    "register": (_SETUP, "register_this_process(queue.database, 't')"),
    "beat": (_SETUP + _LATE, "table.beat(me)"),
    "end_worker": (_SETUP, "table.end(me, 'done')"),
    "assign": (_SETUP, "table.assign(me, '', 'other')"),
    "request_stop": (_SETUP, "table.request_stop(me, 'asked', grace=5)"),
    "note": (_SETUP, "table.note(me, 'noted', {})"),
    "open_batch": (_SETUP, "batches.open('b', host='h', pid=1, identity='i', lease=10)"),
    "renew_batch": (_BATCH, "batches.renew(batch, lease=10**9)"),
    "cancel_of_batch": (
        _BATCH + "ids = queue.enqueue_many([NewJob('t')], batch=batch)\n",
        "batches.cancel(batch, ids)",
    ),
    "sweep_batches": (_BATCH + "queue.enqueue_many([NewJob('t')], batch=batch)\n", "batches.sweep(lambda _: True)"),
    "put_aside": (
        _SETUP
        + "queue.enqueue(NewJob('t'))\n"
        + "queue.database.connection().execute(\"UPDATE jobs SET timeout = 'soon'\")\n",
        "queue._writer.put_odd_aside()",
    ),
    "add_token": (_TOKENS, "tokens.add('ci', 'read')"),
    "revoke_token": (_TOKENS + "tokens.add('ci', 'read')\n", "tokens.revoke('ci')"),
    "use_token": (_TOKENS + "tokens.add('ci', 'read')\n", "tokens.note_use(tokens.list()[0])"),
    "put_schedule": (_SCHEDULE, "queue.schedules.add(Schedule('n', '@hourly', NewJob('t')))"),
    "change_schedule": (_SCHEDULED, "queue.schedules.backfill('n', 0, 7_200_000)"),
    "fire": (_SCHEDULED, "queue.schedules.fire_due()"),
    "mend_schedule": (
        _SCHEDULED + "queue.schedules.fire_due(); queue.database.clock = At(1)\n",
        "queue.schedules.fire_due()",
    ),
    "enter_calls": (_WORKFLOW, "queue.calls.enter(run, [call, call._replace(occurrence=1)])"),
    "leave_call": (
        _WORKFLOW + "entered = queue.calls.enter(None, [call])[0]\n",
        "queue.calls.leave(entered.job_id, entered.mark)",
    ),
    "remember_value": (_WORKFLOW, "queue.calls.remember(run, 'now', 0, '1')"),
    "register_routines": (_WORKFLOW, "queue.calls.register([after])"),
    "forget_results": (
        _WORKFLOW
        + "queue.calls.enter(run, [call]); task = queue.claim(['task:t:1.0.0'], worker=me)[0]\n"
        + "queue.finish(task.id, task.run, 1)\n",
        "queue.calls.forget('task:t:1.0.0')",
    ),
    "deposit": (_WORKS, "queue.works.deposit([document, document])"),
    "withdraw": (_DEPOSITED, "queue.works.withdraw(Asked(('p',), tags=('x',)), worker=me)"),
    "update_works": (_WITHDRAWN, "queue.works.update([{**work, 'status': 'failure', 'tags': ['z']}])"),
    "exchange_works": (
        # no look for silent workers is due: before one the two are done apart
        _WITHDRAWN + "queue.works.deposit([{**document, 'user': 'ada'}])\nqueue._rescue_at = float('inf')\n",
        "queue.works.exchange({**work, 'status': 'success'}, Asked(('p',)), worker=me)",
    ),
    "note_run": (
        _WITHDRAWN + "queue.works.update([{**work, 'status': 'success'}])\n",
        "queue.works.note_run(work['id'], work['run'], stdout='said', peak_memory=1)",
    ),
    "delete_works": (_WITHDRAWN, "queue.works.delete([work['id']])"),
    "enter_results": (_WORKS, "queue.works.enter_results([{**document, 'status': 'failure'}])"),
    "move_works": (
        _WITHDRAWN + "queue.works.update([{**work, 'status': 'success'}])\n",
        "queue.works.move_on()",
    ),
    "expire_works": (
        _WITHDRAWN + "queue.works.update([{**work, 'start': 1.0}])\n",
        "queue.works.audit('expired')",
    ),
    "publish_version": (
        _SETUP + "from clx.db.lake.table import LakeTable, VersionRow\n",
        "LakeTable(queue.database).publish(VersionRow('l', 'gold/a', '2026-11-27', 0, '[]', '[]', 1))",
    ),
    "add_model": (_SERVING, "models.add(NewModel('m', callable='a:b'))"),
    "choose_model": (_SERVED, "models.choose('m', '1')"),
    "place_model": (_SERVED, "models.reside('m', 'warm')"),
    "remove_model": (_SERVED, "models.remove('m')"),
    "begin_serving": (_SERVING, "models.begin('here')"),
    "set_serving": (_SERVING, "models.set('phase', 'infer')"),
    "tell_models": (_SERVED, "models.tell([Told('m', '1', 'ready', '', 7)])"),
    "tell_figures": (
        _SERVING + "from clx.db.serving.figures import Figures, FiguresTable\n"
        "told = [Figures(name, '1', 1, 1, 'ready', 1, 0, 0, 0, 0, 7, 1, 2, 3, {}) for name in 'ab']\n",
        "FiguresTable(queue.database).tell(told, [('c', '1')])",
    ),
    "log_serving": (
        _SERVING,
        "models.log(1, [RequestRow(1, '', 'm', '1', 'success', 1, 1, 1, 1, 0, 1, 2)], [])",
    ),
    "deploy_pipelines": (_PIPELINE, "queue.pipelines.deploy(config)"),
    "pause_pipeline": (_DEPLOYED, "queue.pipelines.pause(it)"),
    "resume_pipeline": (_DEPLOYED + "queue.pipelines.pause(it)\n", "queue.pipelines.resume(it)"),
    "stop_pipeline": (_DEPLOYED, "queue.pipelines.stop(it)"),
    "retry_pipeline": (_STOPPED, "queue.pipelines.retry(it)"),
    "remove_pipeline": (_STOPPED, "queue.pipelines.remove(it)"),
    "forget_schedule": (
        _PIPELINE + "from dataclasses import replace\nmade = queue.pipelines.deploy(replace(config, cron='@daily'))\n",
        "queue.pipelines.forget_schedule(made.config)",
    ),
    "remove_pipelines": (_STOPPED, "queue.pipelines.remove([made.config])"),
    "close_batch": (_BATCH + "queue.enqueue_many([NewJob('t')], batch=batch)\n", "batches.close(batch)"),
}
"""Commit → what goes before it, and the call whose commit it is."""

_STATE = (
    _SETUP
    + "from clx.course.build_state import BuildState, Owner, PublishedFile\n"
    + ("state = BuildState(queue.database)\n")
)
_RESULT = (
    _STATE
    + "queue.database.clock = At(0)\nqueue.enqueue(NewJob('t', key='k'))\njob = queue.claim(['t'])[0]\n"
    + "queue.finish(job.id, 1, 1)\n"
    + _LATE
)
_SCENARIOS |= {
    "remember": (_STATE, "state.remember('r', {'p': (1, 2, 3, 4, 'd')}, {'p': {}})"),
    "published": (_STATE, "state.published(Owner('c', 'o'), [PublishedFile('t', 'p', '', 's', '', 'k', 'd', 1, 2)])"),
    "checked": (
        _STATE
        + "owner = Owner('c', 'o')\n"
        + "state.published(owner, [PublishedFile('t', 'p', '', 's', '', 'k', 'd', 1, 2)])\n"
        + "state.remember('r', {}, {'s': {}}, ['s'])\n",
        "state.checked(owner, ['s'])",
    ),
    "move": (
        _STATE
        + "owner = Owner('/a/c.yaml', '/a/o')\n"
        + "state.published(owner, [PublishedFile('/a/o/t', 'p', '', 's', '', 'k', 'd', 1, 2)])\n"
        + "state.remember('/a', {'p': (1, 2, 3, 4, 'd')}, {'p': {}})\n",
        "state.move(owner, Owner('/b/c.yaml', '/b/o'), '/a', '/b')",
    ),
    "keep_warnings": (_STATE, "state.keep_warnings('r', {'k': ['w']})"),
    "forget_warnings": (_STATE + "state.keep_warnings('r', {'k': ['w']})\n", "state.forget_warnings('r')"),
    "keep_pages": (_STATE, "state.keep_pages(Owner('c', 'o'), {'p': {'refs': []}}, [])"),
    "use_results": (
        _RESULT + "from clx.db.results import find_results\n",
        "find_results(queue.database, ['k'])",
    ),
    "prune_jobs": (_RESULT + _OLD, "prune(queue.database, Policy())"),
    "prune_rest": (
        _SETUP + "queue.database.clock = At(0)\nqueue.enqueue(NewJob('t', unique_for=1))\n" + _LATE + _OLD,
        "prune(queue.database, Policy())",
    ),
}


def _commits() -> set[str]:
    """The name of every ``write`` in the room."""
    names: set[str] = set()
    for path in _FILES:
        if path.name == "bench.py":  # it writes to tables of its own, which it drops
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and _is_write(node.func):
                names |= _texts(node.args[0])
    return names - {"name"}


def _is_write(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and called.attr in {"write", "_write", "write_in_slices", "_give_back"}


def _texts(node: ast.expr) -> set[str]:
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_every_commit_of_the_room_has_its_scenario() -> None:
    assert _commits() == set(_SCENARIOS)


def test_nothing_in_the_room_commits_beside_write() -> None:
    pattern = re.compile(r"\bCOMMIT\b|\.commit\(|isolation_level=(?!None)|bind\.begin")
    found = {
        f"{path.parent.name}/{path.name}": [
            line.strip() for line in path.read_text(encoding="utf-8").splitlines() if pattern.search(line)
        ]
        for path in _FILES
        if path.name != "bench.py"  # there the bare driver is the yardstick, on a file of its own
    }
    statements = {name: [line for line in lines if '"COMMIT"' in line or "bind.begin" in line]
                  for name, lines in found.items()}  # fmt: skip
    assert {name: lines for name, lines in statements.items() if lines} == {
        "sqlite/database.py": ['connection.execute("COMMIT")'],
        "postgresql/database.py": [
            '[said] = held.connection.control("COMMIT")', 'if said != "COMMIT":',
        ],
        "db/migrate.py": ["with bind.begin() as connection:"] * 2,  # of a file, of a server
    }  # fmt: skip


_ENDS_OF_A_WORKFLOW = {
    "finish": "queue.finish(job.id, job.run, {'value': 1})",
    "settle": "queue.settle([Success(job.id, job.run, {'value': 1})], worker=me)",
    "fail": "queue.fail(job.id, job.run, {'message': 'no'})",
}


@pytest.mark.parametrize("name", _ENDS_OF_A_WORKFLOW)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_follows_from_the_end_of_a_workflow_is_a_part_of_it(
    name: str, moment: str, tmp_path: Path, script: Script, judge: Callable[[], str]
) -> None:
    died = script(_TREE + _ENDS_OF_A_WORKFLOW[name], crash=f"{name}.{moment}_commit:1")

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert judge() == ""
    with Queue.open(tmp_path / "jobs.db") as queue:
        left = {
            "workflow:w": {"failed" if name == "fail" else "succeeded": 1},
            "task:t:1.0.0": {"cancelled": 1},
            "task:u:1.0.0": {"queued": 1},
        }
        assert queue.stats() == (
            left if moment == "after" else {"workflow:w": {"running": 1}, "task:t:1.0.0": {"queued": 1}}
        )


@pytest.mark.parametrize("name", _SCENARIOS)
def test_a_kill_at_a_commit_leaves_before_or_after(name: str, tmp_path: Path, fork: Fork) -> None:
    """As another process finds it, which is this one."""
    setup, call = _SCENARIOS[name]
    path = tmp_path / "jobs.db"
    dumps = {}
    for moment in ("before", "after"):
        for old in tmp_path.glob("jobs.db*"):
            old.unlink()
        nth = _arrivals(name, setup)
        code, said = fork(setup + call, crash=f"{name}.{moment}_commit:{nth}")
        assert code == -signal.SIGKILL, said
        if name != "put_aside" and not (name == "create" and moment == "before"):  # the odd row stays as it was written
            assert _problems(path) == []
        dumps[moment] = _dump(path)
    assert dumps["before"] != dumps["after"]
    if setup:
        for old in tmp_path.glob("jobs.db*"):
            old.unlink()
        assert fork(setup) == (0, "")
        assert _dump(path) == dumps["before"]


def _problems(path: Path) -> list[str]:
    """Invariants that do not hold."""
    with Database.open(path, journal_mode="keep") as database:
        return list(map(str, check(database)))


def _arrivals(name: str, setup: str) -> int:
    """Which commit of that name is the call's: the setup may have its own."""
    own = {
        "enqueue": "enqueue(", "claim": ".claim(", "register": "register_this_process(",
        "finish": ".finish(", "cancel": ".cancel(",
    }  # fmt: skip
    return setup.count(own[name]) + 1 if name in own else 1


def _dump(path: Path) -> dict[str, Any]:
    """The tables without what differs from run to run: clocks, process numbers, and ids that are made."""
    database = SqliteDatabase(path)
    try:
        if database.revision() is None:
            return {}
        queue = Queue(database)
        return {
            "jobs": [(job.id, job.state, job.run, job.released, job.kills, job.progress, job.cancel_requested)
                     for job in queue.search()],
            "lease": database.read("SELECT lease_until > 5 * 10000000000000 FROM jobs"),
            "runs": database.read("SELECT job_id, run, outcome, peak_memory FROM runs"),
            "workers": database.read(
                "SELECT id, state, pool, jobs_succeeded, jobs_failed, heartbeat_at > 50000000000000 FROM workers"),
            "events": database.read("SELECT worker_id, action FROM worker_events"),
            "batches": database.read("SELECT id, state, pending, lease_until - created_at FROM batches"),
            "tokens": database.read("SELECT name, revoked_at IS NULL, used_at IS NULL FROM tokens"),
            "wanted": database.read("SELECT * FROM batch_jobs"),
            "results": database.read("SELECT key, used_at > 50000000000000 FROM results"),
            "schedules": database.read("SELECT substr(name, 1, 10), paused, next_at FROM schedules"),
            "fires": database.read("SELECT schedule, fire_at, outcome, job_id FROM fires"),
            "held": database.read("SELECT id, held FROM jobs"),
            "limits": database.read("SELECT name FROM limits"),
            "paused": database.read("SELECT type FROM paused"),
            "calls": database.read("SELECT parent_id, name, occurrence, job_id, value FROM calls"),
            "works": database.read(
                "SELECT pipeline, attempt, status, in_bucket, in_results, start > 50000000000000000 FROM works"),
            "labels": database.read(
                "SELECT job_id, kind, CASE kind WHEN 'parent' THEN '' ELSE value END AS label FROM work_labels"
                " ORDER BY job_id, kind, label"),
            "pipelines": database.read("SELECT status, stage FROM pipelines"),
            "lakes": database.read("SELECT lake, dataset, day, version FROM lake_versions"),
            "models": database.read(
                "SELECT name, version, chosen, residence, state, grown FROM serving_models ORDER BY name, version"
            ),
            "serving": database.read("SELECT name, value, changes FROM serving_settings ORDER BY name"),
            "figures": database.read("SELECT model, version FROM serving_figures ORDER BY model"),
            "requests": database.read("SELECT server, number FROM serving_requests"),
            "configs": database.read("SELECT name, schedule FROM pipeline_configs"),
            "steps": database.read("SELECT name, status, works FROM pipeline_steps"),
            "waited for": database.read("SELECT job_id FROM wants"),
            "routines": database.read("SELECT id, after_id FROM routines"),
            "taken": database.read("SELECT key FROM recent_keys"),
            "state": database.read(
                "SELECT root, path FROM files UNION ALL SELECT target, path FROM outputs "
                "UNION ALL SELECT root, path FROM sources"),
        }  # fmt: skip
    finally:
        database.close()
