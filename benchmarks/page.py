"""The page over a long table: ``python -m benchmarks.page [PART …] [--works N] [--seconds S] [--postgresql]``.

A file with a million works of every kind, kept below ``build``, and ``clx server`` on it:

* ``views``: each view by itself, 100 times over a kept connection: milliseconds until the first byte (half of them, and
  99 of 100 at most), and what the server takes of a processor for one;
* ``watch``: a hundred browsers that watch the overview while works are done: looks and statements a second, the share
  of a processor, and the memory of the server before and after.

``--postgresql``: the same in Debian's PostgreSQL, thrown away afterwards; the processor is then that of the server of
the page alone. Without any part: both.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks import peers
from benchmarks.long_table import LARGE, filled_file, filled_server
from benchmarks.measure import ENVIRONMENT, mark, percentile
from clx import Work
from clx.db.jobs import Queue
from clx.work.place import at

AIM_FIRST_BYTE, AIM_PROCESSOR = 100.0, 30.0
"""Milliseconds."""
AIM_LOOKS, AIM_SHARE, AIM_GROWTH = 1.1, 0.25, 2.0
"""Looks a second, share of a processor, MiB."""
WATCHERS = 100
_WARM = 3

_SERVE = """
import json, signal, sys
from clx.db.postgresql.database import PostgresDatabase
from clx.db.sqlite.database import SqliteDatabase
from clx.server.views.rendering import Renderer

counts = {"looks": 0, "statements": 0}
def counted(owner, name, what):
    original = getattr(owner, name)
    def call(*args, **more):
        counts[what] += 1
        return original(*args, **more)
    setattr(owner, name, call)
counted(Renderer, "show", "looks")
counted(SqliteDatabase, "read", "statements")
counted(PostgresDatabase, "read", "statements")
signal.signal(signal.SIGUSR1, lambda *_: print(json.dumps(counts), flush=True))
from clx.cli.main import main
sys.argv[0] = "clx"
main()
"""
"""``clx server``, which tells on SIGUSR1 how often views were looked at and the table was asked."""


def main() -> None:
    """Print one line for each number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["views", "watch", []])
    parser.add_argument("--works", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--asked", type=int, default=100, help="how often each view is asked")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--only", default="", help="views whose name has this word")
    asked = parser.parse_args()
    peers.HOME.mkdir(exist_ok=True)
    place = filled_server(asked.works) if asked.postgresql else filled_file(peers.HOME, asked.works)
    with place as database, Queue.open(database) as queue, _server(database) as server:
        parts = asked.parts or ["views", "watch"]
        if "views" in parts:
            views(server, queue, asked.only, asked.asked)
        if "watch" in parts:
            watch(server, asked.seconds)


class Server:
    """A running server.

    Attributes:
        url: where it is.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self._info = psutil.Process(process.pid)

    def processor(self) -> float:
        """Seconds of a processor so far."""
        times = self._info.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """MiB, without what others share."""
        return float(self._info.memory_full_info().uss) / 2**20

    def counts(self) -> dict[str, int]:
        """How often it has looked and asked so far."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGUSR1)
        told = next(line for line in self.process.stdout if line.startswith("{"))
        found: dict[str, int] = json.loads(told)
        return found


@contextmanager
def _server(database: Path | str) -> Iterator[Server]:
    command = [sys.executable, "-P", "-c", _SERVE, "server", "--db-path", str(database), "--port", "0", "--no-token"]
    with (
        tempfile.TemporaryDirectory(dir=peers.HOME) as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=ENVIRONMENT) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            server = Server(process, next(word.strip("/.") for word in line.split() if word.startswith("http")))
            time.sleep(1)
            yield server
        finally:
            process.terminate()


# -- each view --------------------------------------------------------------------------------------------


def views(server: Server, queue: Queue, only: str, times: int) -> None:
    """Each view by itself."""
    slowest, dearest = 0.0, 0.0
    for name, path in _views(queue):
        if only in name:
            first, processor = _asked(server, path, times)
            slowest, dearest = max(slowest, percentile(first, 0.99)), max(dearest, processor)
            is_met = percentile(first, 0.99) <= AIM_FIRST_BYTE and processor <= AIM_PROCESSOR
            print(
                f"{name:<58} first byte {percentile(first, 0.5):6.1f} ms, p99 {percentile(first, 0.99):6.1f} ms; "
                f"processor {processor:6.1f} ms {mark(is_met)}",
                flush=True,
            )
    _line("the slowest view: first byte, p99", slowest, "ms", AIM_FIRST_BYTE)
    _line("the dearest view: processor of the server", dearest, "ms", AIM_PROCESSOR)


def _asked(server: Server, path: str, times: int) -> tuple[list[float], float]:
    """Milliseconds until the first byte of each answer, sorted; and of a processor for one."""
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found = []
    for number in range(_WARM + times):
        if number == _WARM:
            before = server.processor()
        begun = time.perf_counter()
        connection.request("GET", path, headers={"Accept": "text/html"})
        answer = connection.getresponse()
        if number >= _WARM:
            found.append(1000 * (time.perf_counter() - begun))
        answer.read()
        assert answer.status == 200, (path, answer.status)
    processor = 1000 * (server.processor() - before) / times
    connection.close()
    return sorted(found), processor


def _views(queue: Queue) -> Iterator[tuple[str, str]]:
    """What each view is called, and its address."""
    middle = int(queue.database.read("SELECT max(id) FROM jobs")[0][0]) // 2
    ((work, created),) = queue.database.read("SELECT id, creation FROM works WHERE job_id = ?", (middle,))
    ((parent,),) = queue.database.read("SELECT value FROM work_labels WHERE kind = 'parent' LIMIT 1")
    ((first, last),) = queue.database.read("SELECT min(id), max(id) FROM pipelines WHERE config_id <> 'large'")
    moment, day, week = (
        datetime.fromtimestamp(created / 1_000_000 + days * 24 * 3600, UTC).strftime("%Y-%m-%dT%H:%M")
        for days in (0, 1, 7)
    )
    yield from (("overview", "/"), ("works", "/works"), ("works, live", "/works?store=buckets"))
    yield "works, ended", "/works?store=results"
    for status in ("queued", "running", "success", "failure", "cancelled"):
        yield f"works, {status}", f"/works?status={status}"
    for name, query in _FILTERS.items():
        told = query.format(moment=moment, day=day, week=week, parent=parent, middle=_place(middle), end=_place(40))
        yield f"works, {name}", f"/works?{told}"
    yield "one work", f"/works/{work}"
    for name, path in _OTHERS.items():
        yield name, path.format(middle=middle, first=first, last=last)


_FILTERS = {
    "failure or cancelled": "status=failure&status=cancelled", "a pipeline": "pipeline=p3",
    "a pipeline of few, long ago": "pipeline=rare", "no such pipeline": "pipeline=none",
    "a pipeline and a status": "pipeline=p3&status=failure",
    "a rare pipeline and a status": "pipeline=rare&status=success", "a user": "user=u7",
    "a user of few, long ago": "user=eve", "no such user": "user=none", "a site": "site=kko",
    "a site of few, long ago": "site=gbo", "no such site": "site=none", "an event": "event=4711",
    "no such event": "event=99999999", "a tag of half of all": "tag=night", "a tag of a thousandth": "tag=t7",
    "a tag and a status": "tag=night&status=failure", "a tag and an event": "tag=night&event=4711",
    "a tag and a rare pipeline": "tag=night&pipeline=rare", "a group": "group=g2",
    "a group and a user": "group=g2&user=eve", "a parent": "parent={parent}", "words that stand in all": "text=chime",
    "words that stand in few": "text=supernova", "words that stand in none": "text=nowhere",
    "words among failures": "text=supernova&status=failure", "words and a tag of half of all": "text=nowhere&tag=night",
    "created from": "from={moment}", "created before": "until={moment}",
    "created within, and a rare user": "from={moment}&until={day}&user=eve",
    "created within, and failed": "from={moment}&until={week}&status=failure", "oldest first": "order=deposit",
    "created first": "order=creation", "created last, a rare user": "order=-creation&user=eve",
    "a page in the middle": "after={middle}", "the last page": "after={end}",
    "a rare user, further": "user=eve&after={middle}",
}  # fmt: skip
_OTHERS = {
    "jobs": "/jobs", "jobs, failed": "/jobs?state=failed", "jobs, queued": "/jobs?state=queued",
    "jobs, succeeded": "/jobs?state=succeeded", "jobs, a rare type": "/jobs?type=work:rare",
    "jobs, text in none": "/jobs?text=nowhere", "jobs, no such worker": "/jobs?worker=99", "jobs, a key": "/jobs?key=x",
    "jobs, the middle": "/jobs?before={middle}", "jobs, the end": "/jobs?before=50", "one job": "/jobs/{middle}",
    "pipelines": "/pipelines", "pipelines, a name": "/pipelines?name=survey",
    "pipelines, no such name": "/pipelines?name=none", "pipelines, running": "/pipelines?status=running",
    "pipelines, failure": "/pipelines?status=failure", "pipelines, cancelled": "/pipelines?status=cancelled",
    "pipelines, the end": "/pipelines?before={first}z", "one pipeline of 100 works": "/pipelines/{last}",
    f"one pipeline of {LARGE:,} works": "/pipelines/large", "workflows": "/workflows", "schedules": "/schedules",
    "workers": "/workers", "builds": "/builds",
}  # fmt: skip


def _place(job_id: int) -> str:
    from clx.db.works.searching import place

    return place(job_id, job_id)


# -- a hundred browsers -----------------------------------------------------------------------------------


def watch(server: Server, seconds: float) -> None:
    """A hundred browsers that watch the overview, while works are done."""
    over = threading.Event()
    heard = [0] * WATCHERS
    threads = [threading.Thread(target=_listen, args=(server, heard, n, over), daemon=True) for n in range(WATCHERS)]
    threads.append(threading.Thread(target=_busy, args=(server, over), daemon=True))
    for thread in threads:
        thread.start()
    time.sleep(10)  # everything that grows once has grown
    before, effort, begun, memory = server.counts(), server.processor(), time.perf_counter(), server.memory()
    time.sleep(seconds)
    after, lasted, memory_after = server.counts(), time.perf_counter() - begun, server.memory()
    effort = server.processor() - effort
    over.set()
    for thread in threads:
        thread.join(30)
    _line("100 browsers: looks at the view a second", (after["looks"] - before["looks"]) / lasted, "/s", AIM_LOOKS)
    statements = (after["statements"] - before["statements"]) / lasted
    print(f"{'100 browsers: statements a second, those of the works that are done too':<72} {statements:8.2f} /s")
    _line("100 browsers: share of a processor", effort / lasted, "", AIM_SHARE)
    print(f"{'100 browsers: events that each heard, at least':<72} {min(heard):8d}")
    print(f"{'100 browsers: memory of the server at the start, at the end':<72} {memory:8.1f} {memory_after:.1f} MiB")
    _line("100 browsers: growth of memory", memory_after - memory, "MiB", AIM_GROWTH)


def _listen(server: Server, heard: list[int], number: int, over: threading.Event) -> None:
    with socket.create_connection((server.host, server.port), timeout=1.0) as connection:
        connection.sendall(f"GET /live?view=%2F HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n\r\n".encode())
        while not over.is_set():
            try:
                told = connection.recv(1 << 16)
            except TimeoutError:
                continue
            if not told:
                return
            heard[number] += told.count(b"event: view")


def _busy(server: Server, over: threading.Event) -> None:
    """Works that come and go, so that what is watched changes."""
    with at(server.url, token=""):
        while not over.wait(0.5):
            Work("busy", user="bench").deposit()
            work = Work.withdraw("busy")
            if work is not None:
                work.status = "success"
                work.update()


def _line(what: str, found: float, unit: str, aim: float) -> None:
    print(f"{what:<72} {found:8.2f} {unit}   aim ≤ {aim:g} {unit} {mark(found <= aim)}", flush=True)


if __name__ == "__main__":
    main()
