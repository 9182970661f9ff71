"""The process between a worker and the child that runs its functions: it imports them once, and starts the child.

``python -m clx.routines.tasks.keeper NUMBER``, NUMBER that of a socket to the worker, which says first what there is
to do. On Linux the child is forked from it, which takes milliseconds however much was imported; where that is not
safe, because the modules have started threads, the child is a fresh interpreter. It never runs a function itself, so
that it can always end the child with all that came from it. Without its worker it ends, too.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import msgspec

from clx.errors import ClxError, UsageError
from clx.platforms import offspring
from clx.remote.stores import open_store
from clx.routines.registry import load
from clx.routines.routine import Routine
from clx.routines.sources import note_sources
from clx.routines.tasks import child
from clx.routines.tasks.wire import Wire
from clx.settings.schema import ArtifactsSettings

_FIND_IT = "Correct python.modules, or name the directory it lies in: clx config set python.path DIRECTORY"


class Prepared(NamedTuple):
    """What was imported, once.

    Attributes:
        ids: what a child may be asked for.
        perform: what does that, made in the child.
    """

    ids: list[str]
    perform: Callable[[], child.Perform]


Prepare = Callable[[dict[str, Any]], Prepared]
"""Imports what a spec says; raises ClxError."""


class Keeper:
    """Starts and ends the child of one worker.

    Args:
        spec: as the worker has written it.
        module: by which a child is started that is not forked.
    """

    def __init__(self, spec: dict[str, Any], wire: Wire, prepared: Prepared, module: str) -> None:
        self._spec, self._wire, self._prepared, self._module = spec, wire, prepared, module
        self._child = 0
        self._ear, self._mouth = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._is_forked = offspring.FORKS_SAFELY and (
            spec["start"] == "fork" or (spec["start"] == "auto" and _is_alone())
        )

    def run(self) -> None:
        """Do as the worker says, until it is gone."""
        self._mouth.setblocking(False)
        signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        offspring.adopt_orphans()
        try:
            self._wire.send("loaded", self._prepared.ids, "forked" if self._is_forked else "spawned")
        except BrokenPipeError:  # the worker has ended while the modules were imported
            return
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._selector.register(self._wire, selectors.EVENT_READ, self._wire)
        while True:
            ready = [key.data for key, _ in self._selector.select()]
            if None in ready:
                self._ear.recv(4096)
                self._look()
            if self._wire in ready and not self._heed():
                self._end(0.0)
                return

    def _heed(self) -> bool:
        if not self._wire.fill():
            return False
        while (asked := self._wire.next()) is not None:
            if asked[0] == "start":
                self._start()
            elif self._child:
                self._end(float(asked[1]))
        return True

    def _look(self) -> None:
        """The child may have ended by itself."""
        if self._child and (code := offspring.ended(self._child)) is not None:
            self._is_gone(code)

    def _end(self, grace: float) -> None:
        if self._child:
            self._is_gone(offspring.end_group(self._child, grace))

    def _is_gone(self, code: int) -> None:
        self._child = 0
        offspring.end_adopted()
        try:
            self._wire.send("ended", code)
        except OSError:
            return  # the worker is gone: that is why

    def _start(self) -> None:
        try:
            mine, its = map(Wire, socket.socketpair())
            reading, writing = os.pipe()
        except OSError as error:
            self._wire.send("refused", error.strerror or str(error))
            return
        try:
            if not self._is_forked:
                self._child = self._spawn(its, writing)
                mine.send(self._spec)
            elif (pid := os.fork()) == 0:
                self._be_forked(its, writing, (mine, self._wire, self._ear, self._mouth, self._selector), reading)
            else:
                self._child = pid
            self._wire.send("started", self._child, descriptors=(mine.fileno(), reading))
        except OSError as error:
            self._wire.send("refused", error.strerror or str(error))
        finally:
            mine.close()
            its.close()
            os.close(reading)
            os.close(writing)

    def _be_forked(self, its: Wire, writing: int, others: tuple[Any, ...], reading: int) -> NoReturn:
        code = 1
        try:
            offspring.usual_signals()
            for each in others:
                each.close()
            os.close(reading)
            _be_child(self._spec, self._prepared, its, writing)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _spawn(self, its: Wire, writing: int) -> int:
        numbers = (its.fileno(), writing)
        words = [sys.executable, "-P", "-m", self._module, *map(str, numbers)]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=numbers, start_new_session=True)
        process.returncode = 0  # it is waited for here, and not by that object
        return process.pid


def _is_alone() -> bool:
    """Whether the modules have started nothing that a fork would tear: no thread is left in one."""
    return threading.active_count() == 1 and offspring.threads_after_fork() == 1


def _be_child(spec: dict[str, Any], prepared: Prepared, wire: Wire, writing: int) -> None:
    offspring.lead_session()
    offspring.die_with_parent()
    offspring.adopt_orphans()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, to in ((nothing, 0), (writing, 1), (writing, 2)):
        os.dup2(number, to)
    os.close(nothing)
    os.close(writing)
    os.chdir(spec["directory"])
    child.begin(wire, prepared.perform(), spec)


def _routines(spec: dict[str, Any]) -> Prepared:
    """The routines of its modules."""
    try:
        found = load(spec["modules"], spec["path"])
    except UsageError as error:
        is_missing = error.fact.startswith("There is no module")
        raise UsageError(error.fact, _FIND_IT if is_missing else error.next_step) from error
    note_sources(found.values())
    pools = spec.get("pools", ())
    tasks: dict[str, Routine[..., Any]] = {
        each.id: each
        for each in found.values()
        if each.is_task and (not pools or not each.options.pool or each.options.pool in pools)
    }

    def perform() -> child.Perform:
        settings = msgspec.convert(spec["artifacts"], ArtifactsSettings)
        return child.of_routines(tasks, open_store(Path(spec["store"]), settings, token=spec["token"]))

    return Prepared(sorted(tasks), perform)


def main(*numbers: str, prepare: Prepare = _routines, module: str = "clx.routines.tasks.keeper") -> int:
    """Be the keeper, or with the number of a pipe besides a child that was not forked.

    Args:
        module: that of the program itself.
    """
    end = socket.socket(fileno=int(numbers[0]))
    end.set_inheritable(False)
    wire = Wire(end)
    offspring.die_with_parent()  # while it runs what modules do when they are imported, nothing else ends it
    told = wire.receive()
    if told is None:
        return 0
    spec = told[0]
    try:
        prepared = prepare(spec)
    except ClxError as error:
        wire.send("failed", error.fact, error.next_step)
        return error.exit_code
    if len(numbers) > 1:
        _be_child(spec, prepared, wire, int(numbers[1]))
        return 0
    gc.collect()
    gc.freeze()  # what was imported is shared with the children, and stays so
    offspring.die_with_parent(wanted=False)  # it hears of that by its socket, and then ends the child in order
    Keeper(spec, wire, prepared, module).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
