"""All that fits a filter is changed on a database of a server: by commands, and from the page in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.server.views.test_browser import PATIENCE, Site, shown, until

from clx.cli.main import cli
from clx.db.jobs import Queue
from clx.db.works.searching import Condition, Search
from clx.db.works.withdrawing import Asked

MANY = 1200
"""More than commands change at once."""
SOME = 450
"""More than the page changes at once."""


def _fill(queue: Queue, pipeline: str, count: int) -> list[str]:
    return queue.works.deposit(
        [
            {"pipeline": pipeline, "parameters": {"n": n}, "tags": ["night"], "retries": 1, "user": "ada"}
            for n in range(count)
        ]
    )


def _status(queue: Queue, pipeline: str) -> dict[str, int]:
    return {name: count for name, count in queue.works.status(pipeline).items() if count}


def _hold(queue: Queue, pipeline: str) -> dict[str, Any]:
    found = queue.works.withdraw(Asked((pipeline,)))
    assert found is not None
    return found


def test_commands(postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLX_DATABASE__URL", postgresql)
    monkeypatch.delenv("CLX_WORK__URL", raising=False)

    def run(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(cli, [*words, "--yes", "--format", "json"])
        assert done.exit_code == 0, f"{done.output}{done.exception!r}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    with Queue.open(postgresql) as queue:
        ids, others = _fill(queue, "a", MANY), _fill(queue, "b", 5)
        held = _hold(queue, "a")
        found = run("work", "cancel", "--pipeline", "a", "--tag", "night")
        assert (len(found["cancelled"]), [each["id"] for each in found["left"]]) == (MANY - 1, [held["id"]])
        assert not queue.works.renew(held["id"], held["run"]), "who holds it is told"
        assert queue.works.update([{**held, "status": "cancelled"}]) == [True]
        assert _status(queue, "a") == {"cancelled": MANY}
        found = run("work", "retry", "--pipeline", "a", "--limit", str(MANY - 100))
        assert sorted(found["queued"]) == sorted(ids)[100:], "the newest"
        assert _status(queue, "a") == {"queued": MANY - 100, "cancelled": 100}
        assert len(run("work", "cancel", "--where", "parameters.n>=600", "--pipeline", "a")["cancelled"]) == 600
        assert len(run("results", "lock", "--pipeline", "a", "--where", "parameters.n>=1000")["locked"]) == 200
        found = run("results", "rm", "--pipeline", "a")
        assert (len(found["removed"]), len(found["left"])) == (500, 200)
        assert len(run("results", "unlock", "--all")["unlocked"]) == 200
        assert len(run("buckets", "rm", "--pipeline", "a", "--status", "cancelled")["removed"]) == 200
        assert _status(queue, "a") == {"queued": 500}
        assert len(run("work", "rm", "--user", "ada", "--pipeline", "a")["removed"]) == 500
        assert queue.works.count(Search([Condition("pipeline", "=", "a")])) == 0
        assert _status(queue, "b") == {"queued": 5}
        assert sorted(run("work", "rm", "--all")["removed"]) == sorted(others)


@pytest.fixture
def site(postgresql: str, tmp_path: Path) -> Iterator[Site]:
    command = [sys.executable, "-m", "clx", "server", "--db-path", postgresql, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\w.]+:\d+", process.stdout.readline())
            assert found is not None
            with shown((postgresql, found[0]), tmp_path) as made:
                yield made
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _press(site: Site, button: str, told: str) -> None:
    site.js(f"[...document.querySelectorAll('main button')].find(b => b.textContent === '{button}').click(); 0")
    until(lambda: site.js("document.getElementById('ask').open"))
    site.js("document.getElementById('ask-yes').click(); 0")
    try:
        until(lambda: site.js("document.getElementById('told').textContent") == told)
    except AssertionError:
        pytest.fail(f"it says: {site.js('document.getElementById(`told`).textContent')}, not: {told}")
    until(lambda: not site.js("document.getElementById('ask').open"))


def test_the_page(site: Site) -> None:
    queue = site.queue
    _fill(queue, "a", SOME)
    _fill(queue, "b", 5)
    held = _hold(queue, "a")
    site.enter("admin")
    site.open("/works?pipeline=a&tag=night")
    _press(site, "Cancel all that fit", f"{SOME} changed.")
    assert _status(queue, "a") == {"running": 1, "cancelled": SOME - 1}
    assert queue.works.update([{**held, "status": "cancelled"}]) == [True]
    site.open("/works?pipeline=a&tag=night")
    _press(site, "Retry all that fit", f"{SOME} changed.")
    assert _status(queue, "a") == {"queued": SOME}
    site.open("/works?pipeline=a&tag=night")  # what was told is told no more
    _press(site, "Delete all that fit", f"{SOME} changed.")
    assert queue.works.count(Search([Condition("pipeline", "=", "a")])) == 0
    assert site.js("location.search") == "?pipeline=a&tag=night", "the filter stays"
    assert _status(queue, "b") == {"queued": 5}
