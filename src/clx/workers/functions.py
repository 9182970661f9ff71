"""A worker for anybody's functions: ``python -m clx.workers.functions MODULE:NAME --db PATH``, by ``clx worker``.

NAME is a mapping of job types to functions, a ``@task`` function, several of them, or a function that returns one of
these; without ``:NAME`` all ``@task`` functions of the module are meant.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx.db.database import Database
from clx.db.handlers import by_type, functions
from clx.db.jobs import Queue
from clx.db.tasks import Task
from clx.db.validation import check_handlers
from clx.errors import EXIT_DONE, ClxError, UsageError
from clx.platforms import system
from clx.settings.problems import closest
from clx.workers.importing import imported, told
from clx.workers.logs import logged

if TYPE_CHECKING:
    from clx.db.consumer import Consumer, Handler

log = logging.getLogger("clx.worker")

_WRITE_IT = "Write MODULE:NAME, as in shop.jobs:handlers."


def load(target: str, types: Sequence[str] = ()) -> dict[str, Any]:
    """The functions that *target* names, by the type of their jobs.

    Args:
        target: ``MODULE:NAME`` or ``MODULE``; the current directory is looked in first.
        types: only those of them; empty: all.

    Raises:
        UsageError: it cannot be imported, with the file and line at which that failed; or it is none of what can be
            given; or it has no function for one of *types*.
        QueueError: a function is none, or a type has two.
    """
    module_name, _, name = target.partition(":")
    if not module_name or (":" in target and not name):
        raise UsageError(f"{target!r} names no functions.", _WRITE_IT)
    module = imported(module_name)
    found = by_type(*_handlers(target, _named(module, module_name, name) if name else _tasks_of(module, module_name)))
    check_handlers(functions(found))
    if unknown := [type_ for type_ in types if type_ not in found]:
        near = closest(unknown[0], found)
        advice = f"Did you mean {near}?" if near else f"There are: {', '.join(found)}."
        raise UsageError(f"{target} has no function for the type {unknown[0]!r}.", advice)
    return {type_: each for type_, each in found.items() if not types or type_ in types}


def _named(module: Any, module_name: str, name: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            near = closest(part, vars(found)) if hasattr(found, "__dict__") else None
            advice = f"Did you mean {near}?" if near else _WRITE_IT
            raise UsageError(f"{module_name} ({module.__file__}) has no {name}.", advice)
        found = getattr(found, part)
    return found


def _tasks_of(module: Any, name: str) -> list[Task[..., Any]]:
    found = [each for each in vars(module).values() if isinstance(each, Task)]
    if not found:
        raise UsageError(f"{name} ({module.__file__}) has no @task function.", _WRITE_IT)
    return list(dict.fromkeys(found))


def _handlers(target: str, found: Any) -> tuple[Mapping[str, Handler], Iterable[Task[..., Any]]]:
    if callable(found) and not isinstance(found, Task | Mapping):
        factory = found
        found = told(factory, f"{target} cannot be called without arguments")
    if isinstance(found, Task):
        return {}, [found]
    if isinstance(found, Mapping) and found:
        return found, ()
    if isinstance(found, list | tuple | set | frozenset) and found and all(isinstance(each, Task) for each in found):
        return {}, found
    text = f"{target} is {type(found).__name__}, and no mapping of types to functions, nor @task functions."
    raise UsageError(text, 'Write handlers = {"type": function}, or handlers = [a_task, another_task].')


# -- the process -------------------------------------------------------------------------------------


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clx.workers.functions")
    parser.add_argument("target")
    parser.add_argument("--db", type=Path)
    parser.add_argument("--pool", default="")
    parser.add_argument("--type", action="append", default=[], dest="types")
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--until-idle", action="store_true")
    parser.add_argument("--lease", type=int, default=30_000)
    parser.add_argument("--grace", type=float, default=5.0)
    parser.add_argument("--busy-timeout", type=float, default=10.0)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--check", action="store_true", help="only see whether the functions can be had")
    return parser.parse_args(argv)


def serve(argv: list[str] | None = None) -> int:
    """Be one worker; returns its exit code."""
    arguments = _arguments(argv)
    sys.path.insert(0, str(Path.cwd()))
    if arguments.check:
        return _check(arguments)
    from clx.db.consumer import Consumer  # only here: programs that only import modules start without it

    end_with_starter()
    handlers = load(arguments.target, arguments.types)
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(asctime)s %(process)d %(levelname)s %(message)s", stream=sys.stderr
    )
    with Database.open(arguments.db, journal_mode="keep", busy_timeout=arguments.busy_timeout) as database:
        consumer = Consumer(
            Queue(database), handlers, pool=arguments.pool, concurrency=arguments.concurrency,
            lease=arguments.lease, stop_after=arguments.grace,
        )  # fmt: skip
        with logged(database.state.path, arguments.log_level, worker=consumer.worker, type=",".join(handlers)):
            _run(consumer, until_idle=arguments.until_idle)
    return EXIT_DONE


def _run(consumer: Consumer, *, until_idle: bool) -> None:
    log.info("worker %s started: %s", consumer.worker, ", ".join(consumer.handlers), extra={"action": "worker_started"})
    done = consumer.run(until_idle=until_idle)
    log.info("worker %s ended: %s jobs", consumer.worker, done, extra={"action": "worker_stopped"})


def _check(arguments: argparse.Namespace) -> int:
    """Say as the last line of standard output what is wrong, for whoever starts workers."""
    try:
        said: dict[str, Any] = {"types": list(load(arguments.target, arguments.types))}
        code = EXIT_DONE
    except ClxError as error:
        said, code = {"fact": error.fact, "next_step": error.next_step}, error.exit_code
    os.write(1, f"\n{json.dumps(said)}\n".encode())
    return code


def end_with_starter(*, gives_up: bool = False) -> None:
    """End in order once whoever started this process is gone: its end of standard input is closed then.

    Args:
        gives_up: by a second signal at once, so that what it is at is handed back.
    """
    lifeline = os.dup(0)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)  # the functions of jobs have no business with it
    os.close(nowhere)

    def watch() -> None:
        while os.read(lifeline, 1):
            pass
        for number in (signal.SIGTERM, *([signal.SIGINT] if gives_up else [])):  # two of one kind may become one
            system.interrupt_main_thread(number)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


if __name__ == "__main__":
    try:
        code = serve()
    except ClxError as failure:
        print(failure, file=sys.stderr)  # noqa: T201
        code = failure.exit_code
    sys.exit(code)
