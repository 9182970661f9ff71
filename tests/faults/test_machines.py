"""Machines on one server: they are killed, so is the server, the network is cut. Nothing is lost or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.machines import PASSWORD, Machine, NetworkServer, network_server, require_namespaces, with_url
from tests.support.scene import until
from tests.support.tools import require

from clx.db.jobs import NewJob, Queue
from clx.db.storm import Storm
from clx.db.workers import register_this_process
from clx.errors import DatabaseBusyError, DatabaseError

pytestmark = pytest.mark.slow
_SOAK = bool(os.environ.get("CLX_SOAK"))
_CUT = 3.0
"""Seconds: longer than the leases of a storm."""


@pytest.fixture(scope="module")
def net() -> Iterator[NetworkServer]:
    """A durable server that is reached by the network."""
    require("postgres")
    require_namespaces()
    with tempfile.TemporaryDirectory(prefix="clx-pg-") as name, network_server(Path(name)) as found:
        yield found


@pytest.fixture
def far(net: NetworkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A second machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Machine(tmp_path, "far") as found:
        yield found


@pytest.fixture
def url(net: NetworkServer, far: Machine) -> str:
    """An empty database, as both machines reach it."""
    net.execute("DROP DATABASE IF EXISTS storm WITH (FORCE)")
    net.execute("CREATE DATABASE storm")
    return net.network_url("storm", far)


def _judge(url: str) -> str:
    """What a process says that took no part."""
    command = [sys.executable, "-m", "clx", "db", "check"]
    done = subprocess.run(command, env=os.environ | with_url(url), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class _Weather:
    """What strikes besides kills, one at a time, in threads that it waits for."""

    def __init__(self, net: NetworkServer, far: Machine) -> None:
        self._net, self._far = net, far
        self._busy = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.seen: set[str] = set()

    def crash(self) -> None:
        """The server's first process is killed."""
        self._begin("crash", self._net.crash)

    def cut(self) -> None:
        """The other machine is cut off for a while."""

        def cut_for_a_while() -> None:
            self._far.link(up=False)
            threading.Event().wait(_CUT)
            self._far.link(up=True)

        self._begin("cut", cut_for_a_while)

    def _begin(self, name: str, what: Callable[[], None]) -> None:
        if not self._busy.acquire(blocking=False):
            return
        self.seen.add(name)

        def run() -> None:
            try:
                what()
            finally:
                self._busy.release()

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def pass_(self) -> None:
        """Wait until it is over."""
        for each in self._threads:
            each.join()


def test_kills_of_workers_of_the_server_and_of_the_network_lose_and_double_nothing(
    net: NetworkServer, far: Machine, url: str
) -> None:
    weather = _Weather(net, far)
    storm = Storm(
        url, jobs=10**9, seconds=600 if _SOAK else 20, workers=4, every=0.8, limit=1800 if _SOAK else 240,
        prefixes=[[], far.prefix], disasters=[weather.crash, weather.cut],
    )  # fmt: skip
    try:
        outcome = storm.run()
    finally:
        weather.pass_()
    assert (outcome.lost, outcome.doubled, outcome.problems) == (0, 0, [])
    assert outcome.kills > 0
    assert outcome.jobs > 0
    assert weather.seen or not outcome.disasters
    assert _judge(url).endswith(": ok\n")


_HOLD = """
import os, sys, time
from clx.db.jobs import Queue
from clx.db.workers import register_this_process
from clx.errors import ClxError
with Queue.open(os.environ["CLX_DATABASE__URL"]) as queue:
    worker = register_this_process(queue.database, "t")
    job = queue.claim(["t"], worker=worker, lease=2000)[0]
    print(job.id, flush=True)
    sys.stdin.readline()
    try:
        queue.finish(job.id, job.run, "from the dead")
        print("taken", flush=True)
    except ClxError as error:
        print(type(error).__name__, flush=True)
"""


def test_a_machine_that_was_cut_off_loses_its_job_after_the_lease_and_is_fenced_when_it_returns(
    far: Machine, url: str
) -> None:
    with Queue.open(url) as queue:
        id_ = queue.enqueue(NewJob("t"))
        holder = subprocess.Popen(
            [*far.prefix, sys.executable, "-c", _HOLD], env=far.environment | with_url(url),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == f"{id_}\n"
        far.link(up=False)
        try:
            mine = register_this_process(queue.database, "t")
            assert until(queue.rescue) == [id_]
            again = queue.claim(["t"], worker=mine)[0]
            queue.finish(again.id, again.run, "from the living")
        finally:
            far.link(up=True)
        told, _ = holder.communicate("go\n", timeout=120)
        assert told == "LostRunError\n"
        found = queue.get(id_)
        assert found is not None
        assert (found.state, found.result, found.run) == ("succeeded", "from the living", 2)
    assert _judge(url).endswith(": ok\n")


def test_more_connections_than_the_server_has_end_with_words_that_name_all_but_the_password(
    net: NetworkServer, far: Machine, url: str
) -> None:
    import psycopg

    with Queue.open(url):
        pass
    held: list[psycopg.Connection[Any]] = []
    try:
        with suppress(psycopg.OperationalError):
            while len(held) < 200:
                held.append(psycopg.connect(net.url("postgres")))
        with pytest.raises(DatabaseBusyError) as refused:
            Queue.open(url, busy_timeout=1.0)
        shown = far.clx("status", code=4, CLX_DATABASE__BUSY_TIMEOUT="1", **with_url(url))
    finally:
        for each in held:
            each.close()
    for text in (str(refused.value), shown):
        assert f"postgresql://clx@{far.gateway}:{net.port}/storm" in text
        assert "connection slots" in text or "too many" in text
        _require_secret(text)


def test_a_wrong_password_is_told_without_it(net: NetworkServer, far: Machine, url: str) -> None:
    wrong = url.replace("geh%3Aeim", "secret")
    with pytest.raises(DatabaseError) as refused:
        Queue.open(wrong)
    assert f"postgresql://clx@{far.gateway}:{net.port}/storm" in str(refused.value)
    assert "secret" not in str(refused.value)


def _require_secret(text: str) -> None:
    assert PASSWORD not in text
    assert "geh" not in text


_HOLDS = """
import sys, time
from clx.db.jobs import Queue
with Queue.open(sys.argv[1]) as queue:
    def hold(tx):
        tx.execute("SELECT id FROM jobs FOR UPDATE").fetchall()
        print("held", flush=True)
        time.sleep(600)
    queue.database.write("hold", hold)
"""


def test_a_machine_that_was_cut_off_in_a_transaction_locks_nothing_for_long(far: Machine, url: str) -> None:
    """The server sees it by itself, long before a transaction may be idle no longer."""
    with Queue.open(url) as queue:
        job = queue.enqueue(NewJob("t"))
        command = [*far.prefix, sys.executable, "-c", _HOLDS, url]
        holder = subprocess.Popen(command, env=far.environment, stdout=subprocess.PIPE, text=True, cwd=far.home)
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "held\n"
            far.link(up=False)
            begun = time.monotonic()
            assert queue.cancel([job]) == [job]
            assert time.monotonic() - begun < _LET_GO
        finally:
            far.link(up=True)
            holder.kill()
            holder.wait()
            holder.stdout.close()


_LET_GO = 30.0
"""Seconds; some 15 are what the server needs to see that nobody is there."""
