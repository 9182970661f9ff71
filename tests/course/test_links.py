"""Links and pictures of real builds: what leads nowhere is told, what a page shows is there."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.courses import SPEC, Course


def test_a_build_tells_and_repeats_it_until_it_is_mended(course: Course) -> None:
    root = Path("slides/module_1/topic_100_a")
    course.deck("a", "# %% [markdown]\n# [x](gone.pdf) [y](#nowhere) [z](#A-Heading)\n#\n# ## A Heading\n")
    course.spec("a")
    expected = [
        f"{root}/slides_a.py: line 2: gone.pdf is not published",
        f"{root}/slides_a.py: line 2: the anchor #nowhere is not on the page",
    ]
    assert course.build().report["warnings"] == expected
    again = course.build()
    assert (again.report["warnings"], again.ran) == (expected, 0)
    course.write(f"{root}/gone.pdf", "")
    mended = course.build()
    assert (mended.report["warnings"], mended.ran) == (expected[1:], 2)


def test_a_picture_that_a_cell_writes_is_no_broken_one_where_cells_are_not_run(course: Course) -> None:
    save = "# %%\nfrom pathlib import Path\nPath('plot.png').write_text('x')\n\n"
    course.deck("a", save + "# %% [markdown]\n# ![A curve](plot.png)\n")
    course.spec("a")
    alone = course.build("--kind", "code-along", "--format", "html")
    assert alone.report["warnings"] == []
    assert course.build().report["warnings"] == []
    html = course.output / "public/De/Mein Kurs/Folien/Html"
    page = (html / "Code-Along/Woche 1/01 slides_a.html").read_text()
    assert "<b>A curve</b> Erscheint, wenn die Zelle davor gelaufen ist</span>" in page
    assert "plot.png" not in page
    assert 'src="data:image/png;base64,eA=="' in (html / "Completed/Woche 1/01 slides_a.html").read_text()


def test_what_students_get_runs_and_shows_the_same_as_the_page(course: Course) -> None:
    course.write("shared/helper.py", "def f():\n    return 'helped'\n")
    course.write("data/x.csv", "from data")
    code = (
        "# %% [markdown]\n# ![](../../../assets/logo.svg) [x](../topic_100_b/slides_b.ipynb#A-Value)\n\n"
        '# %% tags=["keep"]\nimport sys\nsys.path.insert(0, "../../../shared")\nimport helper\n'
        'print(helper.f(), open("../../../data/x.csv").read(), open("own.txt").read())\n'
    )
    course.deck("a", code)
    course.deck("b")
    course.write("assets/logo.svg", "<svg/>")
    for name in ("a", "b"):
        course.write(f"slides/module_1/topic_100_{name}/own.txt", f"own of {name}")
    course.write("course.yaml", SPEC % '      - {id: a, inputs: ["shared/*.py", "data/*.csv"]}\n      - b')
    built = course.build("--language", "en", "--kind", "completed")
    assert built.report["warnings"] == []
    slides = course.output / "public/En/My Course/Slides"
    page = (slides / "Html/Completed/Week 1/a/01 slides_a.html").read_text()
    said = "helped from data own of a"
    assert said in page
    assert 'src="../course-files/assets/logo.svg"' in page
    assert 'href="../b/02%20b%20en.html#a-value"' in page
    notebook = json.loads((slides / "Notebooks/Completed/Week 1/a/01 slides_a.ipynb").read_text())
    assert "(../b/02%20b%20en.ipynb#A-Value)" in "".join(notebook["cells"][0]["source"])
    folder = slides / "Python/Completed/Week 1/a"
    done = subprocess.run([sys.executable, "01 slides_a.py"], cwd=folder, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (said, "")
    assert course.build("--language", "en", "--kind", "completed").ran == 0


class Half(BaseHTTPRequestHandler):
    """Has ``/there``, and nothing else."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/there" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_web_addresses_are_asked_for_when_that_is_asked_for(course: Course) -> None:
    course.spec("a")
    with ThreadingHTTPServer(("127.0.0.1", 0), Half) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        site = f"http://127.0.0.1:{server.server_port}"
        course.deck("a", f"# %% [markdown]\n# [x]({site}/there)\n# [y]({site}/gone#part)\n")
        assert course.build("--language", "en").report["warnings"] == []
        checked = course.build("--language", "en", "--check-links")
        server.shutdown()
    (warning,) = checked.report["warnings"]
    assert warning.endswith(f"slides_a.py: line 3: {site}/gone answers 404 Not Found")
    assert checked.ran == 0
