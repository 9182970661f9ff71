"""Who takes part in a storm of lookers: each role is one process, started by path with the file and a log of its own.

A line of a log is one fact, written at once, so that a process may be killed after any: ``ack IDS`` (enqueue has
returned), ``look WAY`` (it was answered), ``refused WAY`` (with words that name the supported way), ``wait WHAT`` (the
table took nothing), ``lock FROM TO`` (milliseconds; TO as it is meant to be), ``starved FROM TO``, ``problem WORDS``.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from clx import Consumer, NewJob, Queue
from clx.errors import ClxError, DatabaseBusyError

LEASE = 3.0
"""Seconds: so short that everything which must not matter lasts longer."""
COUNT = "SELECT count(*) FROM jobs"
_RUNS = 1_000_000  # here the killer is the weather, not the job: none is given up
_TEMPORARY = ("locked", "busy", "Connection re", "timed out", "Remote end closed")
"""What the answer of a looker may say at a bad moment: somebody writes, the last user of the file has just gone."""

Look = Callable[[], int]
Ways = dict[str, Callable[[], Any]]


class Log:
    """Where one process writes what happened to it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, what: str, *words: object) -> None:
        """One fact."""
        os.write(self._file, f"{' '.join(map(str, (what, *words)))}\n".encode())


def now() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000


# -- looking ------------------------------------------------------------------------------------------


def look_on(way: str, look: Look, log: Log, pause: float, excused: Callable[[], bool] = bool) -> None:
    """Look again and again; jobs are only ever put in, so their number must never fall."""
    seen = 0
    while True:
        try:
            found = look()
        except Exception as error:
            text = _told(error)
            if "queue.sql" in text or "queue.backup" in text:
                log.say("refused", way)
            elif any(word in text for word in _TEMPORARY) or excused():
                log.say("wait", way)
            else:
                log.say("problem", way, type(error).__name__, text)
            found = seen
        else:
            log.say("look", way)
        if found < seen:
            log.say("problem", way, f"saw {seen} jobs, then {found}")
        seen = max(seen, found)
        time.sleep(random.uniform(0.5, 1.5) * pause)


def _told(error: Exception) -> str:
    return f"{error} {getattr(error, 'next_step', '')}".replace("\n", " ")[:300]


def _in_threads(ways: Ways, log: Log, pause: float, excused: Callable[[], bool] = bool) -> None:
    for way, look in ways.items():
        threading.Thread(target=look_on, args=(way, look, log, pause, excused), daemon=True).start()


def _first(rows: Any) -> int:
    return int(next(iter(rows))[0])


def _plain(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return _first(connection.execute(COUNT))


def _read_only(path: Path) -> int:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return _first(connection.execute(COUNT))


def _attached(path: Path) -> int:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("ATTACH ? AS theirs", (str(path),))
        return _first(connection.execute("SELECT count(*) FROM theirs.jobs"))


def _with_sqlalchemy(path: Path) -> int:
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            return _first(connection.execute(sqlalchemy.text(COUNT)))
    finally:
        engine.dispose()


def _with_pandas(path: Path) -> int:
    import pandas as pd

    if random.random() < 0.5:
        return int(pd.read_sql(COUNT, f"sqlite:///{path}").iloc[0, 0])
    with closing(sqlite3.connect(path)) as connection:
        return len(pd.read_sql("SELECT id, state, priority FROM jobs", connection))


def ways_inside(path: Path) -> Ways:
    """How programs look at the file in the process that also uses the queue."""
    ways = (_plain, _read_only, _attached, _with_sqlalchemy, _with_pandas)
    return {f"inside{way.__name__}": partial(way, path) for way in ways}


_kept: list[Any] = []


def open_behind_its_back(path: Path, log: Log) -> None:
    """``open`` in the process of a queue would drop its locks when it is closed, so it must be refused."""
    openings: Ways = {"inside_open": partial(path.open, "rb"), "inside_os_open": partial(os.open, path, os.O_RDONLY)}
    for way, opening in openings.items():
        try:
            _kept.append(opening())  # never closed, so that nothing is broken by this test itself
        except Exception as error:
            names_the_way = "queue.backup" in _told(error) or "queue.sql" in _told(error)
            log.say("refused" if names_the_way else "problem", way, _told(error))
        else:
            log.say("problem", way, "the file of an open queue could be opened behind SQLite's back")


# -- producers ----------------------------------------------------------------------------------------


def produce(path: Path, log: Log) -> None:
    """A web program: puts jobs in, and looks at the file in every way while it does."""
    _in_threads(ways_inside(path), log, 0.02)
    for _ in _sessions(path, log):
        pass


def _sessions(path: Path, log: Log) -> Iterator[None]:
    """The queue is opened and closed now and then, between the opening and the closing of somebody's look."""
    while True:
        with closing(sqlite3.connect(path, timeout=30)) as early:
            early.execute(COUNT).fetchall()
            queue: Any = Queue.open(path)
            with queue:
                _enqueue_for(random.uniform(1, 4), queue, log)
                _look_as_supported(queue, path, log)
                open_behind_its_back(path, log)
            early.execute(COUNT).fetchall()
            log.say("look", "inside_around_the_queue")
        yield


def _enqueue_for(seconds: float, queue: Any, log: Log) -> None:
    end, last, next_long = time.monotonic() + seconds, None, 0.0
    while time.monotonic() < end:
        try:
            if time.monotonic() >= next_long:  # so that some are at one all the time
                next_long = time.monotonic() + LEASE
                log.say("ack", queue.enqueue(_job("long")))
            ids = _enqueue(queue, last)
        except DatabaseBusyError:
            log.say("wait", "enqueue")
            continue
        log.say("ack", *ids)
        last = ids[-1]
        time.sleep(random.uniform(0, 0.03))


def _enqueue(queue: Any, last: int | None) -> list[int]:
    dice = random.random()
    if dice < 0.02:
        _, ids = queue.enqueue_batch([_job("short") for _ in range(4)], _job("after"))
        return list(ids)
    if dice < 0.05:
        return list(queue.enqueue_many([_job("short") for _ in range(random.randint(1, 10))]))
    if dice < 0.25:
        return [queue.enqueue(_job("short", key=f"k{random.randint(1, 40)}"))]
    if dice < 0.35 and last is not None:
        return [queue.enqueue(_job("short", needs=[last]))]
    if dice < 0.45:
        return [queue.enqueue(_job("short", not_before=now() + 500))]
    return [queue.enqueue(_job("short"))]


def _job(type_: str, **more: Any) -> NewJob:
    return NewJob(type_, max_runs=_RUNS, priority=random.randint(1, 5), **more)


def _look_as_supported(queue: Any, path: Path, log: Log) -> None:
    look_once: Ways = {"supported_sql": partial(queue.sql, COUNT), "supported_backup": partial(_save, queue, path)}
    for way, look in look_once.items():
        try:
            look()
        except DatabaseBusyError:
            log.say("wait", way)
        except Exception as error:
            log.say("problem", way, type(error).__name__, error)
        else:
            log.say("look", way)


def _save(queue: Any, path: Path) -> None:
    copy = path.parent / "copies" / f"queue-{os.getpid()}.db"
    copy.unlink(missing_ok=True)
    queue.backup(copy)
    _whole(copy)


# -- consumers ----------------------------------------------------------------------------------------


class _Straits:
    """What runs out in a process, now and then."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kinds = [_without_memory, _without_descriptors]
        self.since: float | None = None

    def recent(self) -> bool:
        return self.since is not None and time.monotonic() - self.since < 30

    def get_into(self) -> None:
        self.since, began = time.monotonic(), now()
        try:
            self._kinds.reverse()
            self._kinds[0](time.monotonic() + random.uniform(0.5, 1.2) * LEASE)
        finally:
            self._log.say("starved", began, now())


def _without_descriptors(until: float) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    held: list[int] = []
    try:
        while time.monotonic() < until:  # again and again: others of this process close some meanwhile
            with suppress(OSError):
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            time.sleep(0.005)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _without_memory(until: float) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), before[1]))
    held: list[bytearray] = []
    try:
        while time.monotonic() < until:
            with suppress(MemoryError):
                while True:
                    held.append(bytearray(1 << 16))
            time.sleep(0.005)
    finally:
        held.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)


def consume(path: Path, log: Log, *, starving: bool = False) -> None:
    """A consumer as the documentation shows it, in whose process somebody looks at the file too."""
    straits = _Straits(log)

    def short(_job: Any) -> str:
        dice = random.random()
        if dice < 0.01:
            raise ValueError("now and then")
        if starving and dice < 0.04:
            straits.get_into()
        time.sleep(random.uniform(0, 0.003))
        return "done"

    def long(_job: Any) -> str:
        time.sleep(random.uniform(0.1, 1.3) * LEASE)
        return "done"

    with Queue.open(path) as queue:
        consumer = Consumer(queue, {"short": short, "long": long, "after": short}, lease=int(LEASE * 1000))
        _in_threads({"inside_a_consumer": partial(_plain, path)}, log, 0.05, straits.recent)
        consumer.run()


def starve(path: Path, log: Log) -> None:
    """A consumer whose jobs use up what its process may have."""
    consume(path, log, starving=True)


# -- others -------------------------------------------------------------------------------------------


def lock(path: Path, log: Log) -> None:
    """Another program that keeps the table locked: for moments, or up to two leases, one lock soon after the other."""
    connection = sqlite3.connect(path, timeout=120, isolation_level=None)
    for pause, seconds in itertools.cycle([(0.5, 2 * LEASE), (0.05, 1.5 * LEASE), (4.0, 0.2), (1.5, 1.0)]):
        time.sleep(pause)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE jobs SET priority = priority WHERE id = 1")
        log.say("lock", now(), now() + int(1000 * seconds))  # first: it may be killed or frozen in the middle
        time.sleep(seconds)
        connection.execute("COMMIT")


def visit(path: Path, log: Log, datasette: str) -> None:
    """Programs of their own that look at the file, copy it and back it up."""
    copies = path.parent / "copies"
    copy, saved = (copies / f"{name}-{os.getpid()}.db" for name in ("shell", "clx"))
    quick, slow = 0.3, 2.0
    programs: dict[str, tuple[float, list[str], Path | None]] = {
        "shell": (quick, ["sqlite3", str(path), COUNT], None),
        "shell_read_only": (quick, ["sqlite3", "-readonly", str(path), COUNT], None),
        "shell_backup": (slow, ["sqlite3", "-cmd", ".timeout 5000", str(path), f".backup '{copy}'"], copy),
        "cp": (slow, ["sh", "-c", f'cp "{path}"* "{copies}"; echo 0'], None),
        "clx_backup": (slow, [sys.executable, "-m", "clx", "db", "backup", "--db-path", str(path), str(saved)], saved),
    }
    for way, (pause, command, made) in programs.items():
        look = partial(_run, command, made)
        threading.Thread(target=look_on, args=(way, look, log, pause), daemon=True).start()
    look_on("datasette", partial(_ask, datasette), log, 0.2)


def _run(command: list[str], made: Path | None) -> int:
    """How many jobs a program sees, or has copied into *made*."""
    if made is not None:
        made.unlink(missing_ok=True)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{done.returncode}: {done.stderr}")
    return int(done.stdout) if made is None else _whole(made)


def _whole(copy: Path) -> int:
    """How many jobs are in a copy that must be whole."""
    with closing(sqlite3.connect(copy)) as connection:
        problems = connection.execute("PRAGMA integrity_check(3)").fetchall()
        if problems != [("ok",)]:
            raise RuntimeError(f"a copy is broken: {problems}")
        return _first(connection.execute(COUNT))


def _ask(datasette: str) -> int:
    question = urllib.parse.urlencode({"sql": COUNT, "_shape": "arrays", "_ttl": "0"})
    try:
        with urllib.request.urlopen(f"{datasette}/jobs.json?{question}", timeout=60) as answer:
            return _first(json.load(answer)["rows"])
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode(errors="replace")[:300]) from error


ROLES: dict[str, Callable[..., None]] = {
    "produce": produce, "consume": consume, "starve": starve, "lock": lock, "visit": visit,
}  # fmt: skip


def main(role: str, path: str, log: str, *more: str) -> None:
    """Play one role until the process is ended."""
    told = Log(Path(log))
    try:
        ROLES[role](Path(path), told, *more)
    except Exception as error:
        fact = error.fact if isinstance(error, ClxError) else error
        told.say("ended", type(error).__name__, str(fact).replace("\n", " "))
        traceback.print_exc()
        raise SystemExit(1) from None


if __name__ == "__main__":
    assert shutil.which("sqlite3")
    main(*sys.argv[1:])
