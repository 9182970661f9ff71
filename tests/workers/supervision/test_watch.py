"""``clx build --watch``: an edit is on disk as HTML at once, whatever editors, specs and cells do meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from tests.support.courses import Course
from tests.support.scene import BOTH, GONE_IN, PATIENCE, Scene, until

from clx.course.build import BuildOptions
from clx.course.display import Display
from clx.course.layout import Selection
from clx.course.report import Report
from clx.course.session import Session
from clx.course.watch import build_once
from clx.errors import ClxError
from clx.settings.resolve import resolve

DECK = "slides/module_1/topic_100_one/slides_one.py"


class Watching:
    """A running ``clx build --watch`` and its output."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.process = scene.begin("build", "course.yaml", "--watch", "--language", "en")
        self._lines: Queue[str] = Queue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.until("Watching")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def until(self, words: str) -> None:
        """Wait for a line with *words*."""
        seen = ""
        while words not in seen:
            seen = self._lines.get(timeout=PATIENCE)

    def html(self, name: str = "one") -> Path:
        """The executed page of a deck."""
        [found] = [path for path in self.scene.course.output.rglob("Completed/**/*.html") if name in path.name]
        return found

    def seconds_until(self, words: str, name: str = "one") -> float:
        """How long it takes until the page shows *words*."""
        began = time.monotonic()
        until(lambda: words in self.html(name).read_text())
        return time.monotonic() - began

    def end(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def last_words(self) -> str:
        """What it said last; it has ended."""
        self._reading.join(PATIENCE)
        return str(self._lines.queue[-1]).strip()


@pytest.fixture
def watching(scene: Scene) -> Callable[..., Watching]:
    def start(cell: str = "print('done')") -> Watching:
        scene.decks("one", "two", cell=cell)
        return Watching(scene)

    return start


def edit(scene: Scene, code: str) -> None:
    scene.course.write(DECK, f'# %% tags=["keep"]\n{code}\n')


@BOTH
def test_edit_is_on_disk_at_once(scene: Scene, watching: Callable[..., Watching]) -> None:
    """Warm workers: the same processes for every edit; they end with the watch."""
    watch = watching()
    rows = {row.id for row in scene.workers()}
    taken = []
    for number in range(5):
        edit(scene, f"print('edit {number}')")
        taken.append(watch.seconds_until(f"edit {number}"))
        watch.until("Watching")
    assert sorted(taken)[2] < 10.0, taken  # 0.3 s where nothing else runs
    assert {row.id for row in scene.workers()} == rows
    assert watch.end() == 130
    assert watch.last_words() == "Stopped."
    scene.await_nothing_left()


def test_a_watch_that_is_ended_in_the_middle_of_a_build_says_that_it_can_go_on(
    scene: Scene, watching: Callable[..., Watching]
) -> None:
    watch = watching()
    edit(scene, "import time; time.sleep(60)")
    until(scene.running)
    assert watch.end() == 130
    assert watch.last_words() == "Interrupted. Build again to go on where it stopped."


def test_editors_that_replace_files(scene: Scene, watching: Callable[..., Watching]) -> None:
    """Write beside it and rename; move away and write anew."""
    watch = watching()
    deck = scene.course.root / DECK
    beside = deck.with_name(".slides_one.py.tmp")
    beside.write_text('# %% tags=["keep"]\nprint("renamed over")\n')
    beside.replace(deck)
    watch.seconds_until("renamed over")
    watch.until("Watching")
    deck.rename(deck.with_name("slides_one.py~"))
    deck.write_text('# %% tags=["keep"]\nprint("written anew")\n')
    watch.seconds_until("written anew")
    watch.end()


def test_broken_spec_and_deleted_topic_in_between(scene: Scene, watching: Callable[..., Watching]) -> None:
    """Each is told, and watching goes on."""
    watch = watching()
    good = (scene.course.root / "course.yaml").read_text()
    scene.course.write("course.yaml", good.replace("prog_lang: python", "prog_lang: pyhton"))
    watch.until('Did you mean "python"?')
    scene.course.write("course.yaml", good)
    watch.until("Watching")
    (scene.course.root / "slides/module_1/topic_100_two").rename(scene.course.root.parent / "deleted")
    watch.until("Error: ")
    scene.course.write("course.yaml", good.replace("      - two\n", "").replace("      - two", ""))
    watch.until("stale files removed")
    edit(scene, "print('still here')")
    watch.seconds_until("still here")
    watch.end()


def test_edit_cancels_what_it_made_pointless(scene: Scene, watching: Callable[..., Watching]) -> None:
    """A cell that would run for ten minutes does not hold up its own correction."""
    watch = watching()
    edit(scene, "import time; time.sleep(600)")
    until(scene.executing)
    edit(scene, "print('corrected')")
    watch.seconds_until("corrected")
    assert "cancelled" in {job.state for job in scene.jobs()}
    watch.end()


def test_edit_leaves_alone_what_it_did_not_touch(scene: Scene, watching: Callable[..., Watching]) -> None:
    """A long job of another deck goes on through the next build."""
    go = scene.course.root.parent / "go"
    watch = watching()
    waits = f"import pathlib, time\nwhile not pathlib.Path('{go}').exists(): time.sleep(0.01)\nprint('waited')"
    scene.course.write(DECK.replace("one", "two"), f'# %% tags=["keep"]\n{waits}\n')
    job = until(scene.executing)
    edit(scene, "print('meanwhile')")
    until(lambda: any("slides_one" in each.payload["source"] for each in scene.jobs("queued")))
    go.touch()
    watch.seconds_until("waited", "two")
    watch.seconds_until("meanwhile")
    [done] = [each for each in scene.jobs() if each.id == job.id]
    assert (done.state, done.run) == ("succeeded", 1)
    watch.end()


def test_killed_watch_leaves_nothing(scene: Scene, watching: Callable[..., Watching]) -> None:
    """SIGKILL: the warm workers end with it."""
    watch = watching()
    watch.process.kill()
    until(lambda: scene.left() == [], GONE_IN)


class Overtaking(Display):
    """A watcher whose author saves a file again as soon as the first page of a build is published."""

    def __init__(self) -> None:
        self.edited: list[str] = []

    def job_done(self, label: str, fields: dict[str, Any]) -> None:
        """A page is published: the next edit."""
        self.edited = ["course.yaml"]

    def begin(self) -> Display:
        """A build sees no edit yet."""
        self.edited = []
        return self

    def done(self, report: Report) -> None:
        """No build of this watch gets there."""
        pytest.fail(f"built to its end: {report.as_dict()}")

    def failed(self, error: ClxError) -> None:
        """Nor fails one."""
        raise error

    def waiting(self, root: Path) -> None:
        """Nothing waits here."""


def test_overtaken_builds_leave_no_descriptors_open(tmp_path: Path) -> None:
    """A watch stays in one process for days: each build that an edit overtakes gives back what it had open."""
    course = Course(tmp_path / "course")
    course.spec("one", "two")
    course.write("slides/module_1/topic_100_one/data/values.csv", "1,2\n")
    author, session = Overtaking(), Session()
    opened: list[list[str]] = []
    session.changed = lambda: author.edited
    options = BuildOptions(course.root / "course.yaml", selection=Selection(formats=frozenset({"code"})))
    try:
        for number in range(8):
            for name in ("one", "two"):
                course.deck(name, f'# %% tags=["keep"]\nprint("{name} {number}")\n')
            assert not build_once(options, resolve(course.root), author, session)
            opened.append([str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()])
    finally:
        session.close(grace=2)
    assert [path for path in opened[-1] if path.startswith(str(course.output))] == []
    assert len(opened[-1]) == len(opened[2]), opened[-1]
