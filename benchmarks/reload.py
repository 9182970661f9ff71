"""From an edit to the page that shows it: ``clx build --watch --serve`` and a real browser.

``python -m benchmarks.reload`` prints the median over a course of twenty decks, one of which is edited again and again:
its code runs anew each time. The aim is half a second.
"""

from __future__ import annotations

import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from benchmarks.measure import ENVIRONMENT, mark
from clx.jobtypes import browser as browser_module
from clx.jobtypes.browser_page import SitePage
from clx.settings.schema import Settings
from clx.tools.finding import locate

DECKS, EDITS, AIM = 20, 15, 0.5
TEXT = """# %% [markdown]
# # Deck {name}

# %% tags=["keep"]
import math

print("edit", {edit}, math.sqrt({edit}))
"""


def main() -> None:
    """Edit, and wait for the browser."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for number in range(DECKS):
            _write(root, number, 0)
        topics = ", ".join(f"t{number}" for number in range(DECKS))
        (root / "course.yaml").write_text(
            f"name: Course\nprog_lang: python\nsections:\n  - {{name: Week, topics: [{topics}]}}\n"
        )
        command = [
            sys.executable,
            "-m",
            "clx",
            "build",
            "course.yaml",
            "--watch",
            "--serve",
            "0",
            "--progress",
            "plain",
        ]
        watch = subprocess.Popen(command, cwd=root, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        try:
            found = _times(root, _address(watch))
        finally:
            watch.send_signal(signal.SIGINT)
            watch.communicate(timeout=60)
    median = statistics.median(found)
    what = f"edit → page reloaded ({DECKS} decks, {EDITS} edits)"
    print(
        f"{what:<66} {median:8.3f} s (slowest {max(found):.3f} s)   aim ≤ {AIM:g} s {mark(median <= AIM)}", flush=True
    )


def _write(root: Path, number: int, edit: int) -> None:
    deck = root / f"slides/module_1/topic_{100 + number}_t{number}/slides_t{number}.py"
    deck.parent.mkdir(parents=True, exist_ok=True)
    deck.write_text(TEXT.format(name=number, edit=edit))


def _address(watch: subprocess.Popen[str]) -> str:
    assert watch.stdout is not None
    for line in watch.stdout:
        if found := re.search(r"Pages: (http\S+)", line):
            return found[1]
    raise SystemExit("the watch ended")


def _times(root: Path, url: str) -> list[float]:
    rule = "--host-resolver-rules=MAP * ~NOTFOUND"
    flags = [f"{each} , EXCLUDE 127.0.0.1" if each == rule else each for each in browser_module._FLAGS]
    vars(browser_module)["_FLAGS"] = tuple(flags)  # this browser alone reaches this machine
    tool = locate("browser", Settings())
    if tool is None:
        raise SystemExit("there is no browser")
    page = SitePage(tool.path, None, "about:blank", lambda _url: ({"Content-Type": "text/html"}, b""))
    try:
        page.call("Fetch.disable", {}, time.monotonic() + 30)
        page.go(url + quote("public/En/Course/Slides/Html/Completed/Week/01 Deck 0.html"), time.monotonic() + 30)
        _wait(page, 0)
        found = []
        for edit in range(1, EDITS + 1):
            time.sleep(1)  # the build has ended, and the next edit is not taken for part of this one
            started = time.perf_counter()
            _write(root, 0, edit)
            _wait(page, edit)
            found.append(time.perf_counter() - started)
        return found
    finally:
        page.close()


def _wait(page: SitePage, edit: int) -> None:
    shown = f"document.readyState !== 'loading' && document.querySelector('main').innerText.includes('edit {edit} ')"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if page.evaluate(shown, deadline):
                return
        except (browser_module.ScriptError, browser_module.BrowserDiedError):
            pass  # the page is being left for the next
        time.sleep(0.005)
    raise SystemExit(f"edit {edit} did not reach the page")


if __name__ == "__main__":
    main()
