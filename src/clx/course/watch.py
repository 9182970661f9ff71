"""``clx build --watch``: build, wait for an edit, build again, with workers that stay warm.

A thread collects changes below the course root; the main thread builds. An edit in the middle of a build
gives that build up: jobs whose sources it touched are cancelled at once, everything else goes on and is
taken over by the next build.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from clx.course.build import Build, BuildOptions
from clx.course.display import Display
from clx.course.report import Report
from clx.course.session import Session, SupersededError
from clx.course.source_files import DOUBTFUL_DIRECTORIES, JUNK_DIRECTORIES, is_junk, is_left_by_tools
from clx.course.topics import find_course_root
from clx.course.watched import Watched
from clx.db.doorbell import Doorbell
from clx.db.state import StateDirectory
from clx.errors import ClxError
from clx.settings.resolve import Resolved
from clx.workers.supervision.checks import place_database

DEBOUNCE = 0.05
"""Seconds without a further change after which an edit counts as finished; editors write in several steps."""
_STOP_GRACE = 2.0


class Changes:
    """What was edited below *root*, but not in the *ignored* directories, since somebody last asked.

    *tell* is called from another thread after each edit. What does not matter to *watched* is no edit.
    """

    def __init__(self, root: Path, ignored: Collection[Path], watched: Watched, tell: Callable[[], None]) -> None:
        self._root = os.path.realpath(root)
        self._ignored = [os.path.realpath(path) for path in ignored]
        self._watched = watched
        self._tell = tell
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._arrived = threading.Event()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="clx watch", daemon=True)

    def _watch(self) -> None:
        from watchfiles import watch

        step = int(DEBOUNCE * 1000)
        arriving = watch(
            self._root,
            watch_filter=lambda _change, path: self._matters(path),
            debounce=20 * step,
            step=step,
            rust_timeout=200,
            yield_on_timeout=True,
            stop_event=self._stop,
            raise_interrupt=False,
        )
        for changes in arriving:
            self._ready.set()
            if changes:
                with self._lock:
                    self._paths |= {self._relative(path) for _change, path in changes}
                self._arrived.set()
                self._tell()

    def _relative(self, path: str) -> str:
        return Path(path).relative_to(self._root).as_posix()

    def _matters(self, path: str) -> bool:
        if any(path == folder or path.startswith(folder + os.sep) for folder in self._ignored):
            return False
        *folders, name = Path(self._relative(path)).parts or (".",)
        if is_junk(name) or any(part in JUNK_DIRECTORIES for part in (*folders, name)):
            return False
        doubtful = [number for number, part in enumerate(folders, 1) if part in DOUBTFUL_DIRECTORIES]
        if any(is_left_by_tools(Path(self._root, *folders[:number])) for number in doubtful):
            return False
        return self._watched.matters(self._relative(path))

    def peek(self) -> set[str]:
        """What was edited, as paths below the root."""
        with self._lock:
            return set(self._paths)

    def take(self) -> set[str]:
        """What was edited, and forget it."""
        with self._lock:
            found, self._paths = self._paths, set()
            self._arrived.clear()
            return found

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for an edit; false when there was none in that time."""
        return self._arrived.wait(seconds)

    def __enter__(self) -> Changes:
        self._thread.start()
        self._ready.wait(5)  # what is edited from here on is seen
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(5)


class Watcher(Protocol):
    """Is told what a watch does. The command line implements it."""

    def begin(self) -> Display:
        """A build begins; what happens in it goes to this display."""
        ...

    def done(self, report: Report) -> None:
        """It is over, with or without failures."""
        ...

    def failed(self, error: ClxError) -> None:
        """It could not be done at all: a broken spec, a missing tool. Watching goes on."""
        ...

    def waiting(self, root: Path) -> None:
        """Everything is built; the next edit below *root* begins a build."""
        ...


def watch(options: BuildOptions, resolved: Resolved, watcher: Watcher, written: Sequence[Path] = ()) -> None:
    """Build, and build again after every edit, until interrupted.

    Args:
        written: files that the watcher writes, which are no edits.

    Raises:
        CourseError: there is no course root to watch.
    """
    root = find_course_root(options.spec)
    database = place_database(resolved, (options.database or root / ".clx" / "jobs.db").absolute())
    state = StateDirectory.of(database)
    output = options.output.absolute() if options.output else root / "output"
    doorbell = Doorbell(state.shared / "bells", database)
    watched = Watched(os.path.realpath(root), options.spec, written)
    with Changes(root, [output, state.path], watched, lambda: doorbell.ring("build")) as changes:
        session = Session(watched)
        session.changed = changes.peek
        try:
            while True:
                changes.take()
                if build_once(options, resolved, watcher, session):
                    watcher.waiting(root)
                    changes.wait()
        finally:
            session.close(grace=_STOP_GRACE)


def build_once(options: BuildOptions, resolved: Resolved, watcher: Watcher, session: Session) -> bool:
    """One build of a watch; false when it was given up because of an edit."""
    try:
        watcher.done(Build(options, resolved, watcher.begin(), session).run())
    except SupersededError:
        return False
    except ClxError as error:
        watcher.failed(error)
    session.close_given_up()
    return True
