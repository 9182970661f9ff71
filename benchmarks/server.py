"""The interface over kept connections: ``python -m benchmarks.server [--calls N] [--connections N]``.

* ``POST /api/v1/jobs`` against the same server whose operation stores nothing, and against ``Queue.enqueue`` alone;
* ``GET /healthz`` for what HTTP itself costs here;
* the memory of the server.

The calls come from threads of another process, each with a connection of its own, by the standard library's client.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.measure import mark, rate_row
from clx.db.jobs import Queue
from clx.db.models import NewJob

_SERVE = """
import sys
from dataclasses import replace
from pathlib import Path
from clx.db.database import Database
from clx.server import place, serving
from clx.server.application import Application
from clx.server.api import interface
from clx.server.api.documents import Enqueued

if sys.argv[2] == "nothing":
    operations = tuple(
        replace(each, run=lambda call: Enqueued(1)) if each.name == "enqueue" else each for each in interface.OPERATIONS
    )
    Application.__init__.__kwdefaults__["operations"] = operations
with Database.open(Path(sys.argv[1])) as database:
    serving.serve(database, place.Place(port=0), lambda text: print(text, flush=True))
"""
_CALL = """
import http.client, json, sys, threading, time
port, token, path, body, count, connections = sys.argv[1:]
count, connections = int(count), int(connections)
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
def call():
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    connection.connect()
    connection.sock.setsockopt(6, 1, 1)
    for _ in range(count // connections):
        connection.request("POST" if body else "GET", path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status < 300, answer.status
threads = [threading.Thread(target=call) for _ in range(connections)]
begun = time.perf_counter()
[each.start() for each in threads]
[each.join() for each in threads]
print(time.perf_counter() - begun)
"""
BODY = json.dumps({"type": "mail", "payload": {"to": "somebody", "n": 1}})


class Server:
    """A server in a process of its own."""

    def __init__(self, directory: Path, kind: str) -> None:
        command = [sys.executable, "-c", _SERVE, str(directory / f"{kind}.db"), kind]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline() + self.process.stdout.readline()
        self.port = re.findall(r":(\d+)/", said)[0]
        self.token = re.findall(r"token=(\S+)", said)[0]

    def rate(self, path: str, body: str, calls: int, connections: int) -> float:
        """Calls a second."""
        words = [self.port, self.token, path, body, str(calls), str(connections)]
        said = subprocess.run([sys.executable, "-c", _CALL, *words], capture_output=True, text=True, check=True).stdout
        return calls / float(said)

    def memory(self) -> float:
        """MiB that it has by itself."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


def enqueued(directory: Path, calls: int) -> float:
    """Jobs a second by the queue itself."""
    with Queue.open(directory / "alone.db") as queue:
        begun = time.perf_counter()
        for _ in range(calls):
            queue.enqueue(NewJob("mail", {"to": "somebody", "n": 1}))
        return calls / (time.perf_counter() - begun)


def main() -> None:
    """Alternating, so that a busy moment of the machine hits all alike; the best of each counts."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--calls", type=int, default=4000)
    arguments.add_argument("--connections", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stores, nothing = Server(directory, "stores"), Server(directory, "nothing")
        fresh = stores.memory()
        best: dict[str, float] = {}
        for _ in range(given.rounds):
            for what, server, path, body in (
                ("stores", stores, "/api/v1/jobs", BODY),
                ("nothing", nothing, "/api/v1/jobs", BODY),
                ("healthz", stores, "/healthz", ""),
            ):
                rate = server.rate(path, body, given.calls, given.connections)
                best[what] = max(best.get(what, 0), rate)
            best["queue"] = max(best.get("queue", 0), enqueued(directory, given.calls))
        used = stores.memory()
        stores.end()
        nothing.end()
    of = f"{given.connections} kept connections"
    rate_row(f"enqueue by /api/v1, {of}, against 1,500/s", best["stores"], 1500, 1.0)
    rate_row("the same, against the same handler without the table", best["stores"], best["nothing"], 0.0)
    rate_row("the same, against Queue.enqueue without a server", best["stores"], best["queue"], 0.0)
    rate_row("/healthz, against the same", best["healthz"], best["nothing"], 0.0)
    print(f"memory of the server, MiB: begun {fresh:.0f}, after all calls {used:.0f}   aim ≤ 60 {mark(used <= 60)}")


if __name__ == "__main__":
    main()
