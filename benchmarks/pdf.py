"""PDF files of twenty decks: one warm browser, its start included, against one browser start for each deck.

Usage: ``python -m benchmarks.pdf``. The peer is ``chromium --print-to-pdf``, as a script prints pages one by one;
CLX's times include that elements are tagged, outlines are made and bytes are the same each time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.build import write_course
from benchmarks.measure import clx, row, run, seconds
from clx.jobtypes.pdf.converter import PdfConverter
from clx.settings.schema import Settings
from clx.tools.finding import require

DECKS = 20
AIM = 0.3


def main() -> None:
    """Measure single files, and the join of all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = write_course(folder / "twenty", DECKS)
        run(clx("build", spec, "--format", "html", "--kind", "completed", "-q"))
        pages = sorted(spec.parent.glob("output/public/En/Bench/Slides/Html/Completed/Part/*.html"))
        assert len(pages) == DECKS
        outputs = folder / "out"
        outputs.mkdir()
        printed = folder / "printed"
        printed.mkdir()

        def warm() -> None:
            converter = PdfConverter(Settings(), folder)
            for number, page in enumerate(pages):
                job = {"source": "s", "task": "print", "view": "page", "page": page.name}
                converter.convert(job, page.parent, outputs, print)
                (outputs / "printed.pdf").replace(printed / f"{number}.pdf")
            converter.close()

        def each() -> None:
            browser = require("browser", Settings()).path
            for number, page in enumerate(pages):
                out = f"--print-to-pdf={folder / f'{number}.pdf'}"
                run([browser, "--headless", "--no-sandbox", "--disable-gpu", out, page.as_uri()])

        def own() -> None:
            for number, page in enumerate(pages):
                converter = PdfConverter(Settings(), folder)
                job = {"source": "s", "task": "print", "view": "page", "page": page.name}
                converter.convert(job, page.parent, outputs, print)
                (outputs / "printed.pdf").replace(printed / f"{number}.pdf")
                converter.close()

        ours = seconds(warm, rounds=3)
        row(f"{DECKS} PDF files, one browser / chromium --print-to-pdf for each", ours, seconds(each, rounds=1), AIM)
        row(f"{DECKS} PDF files, one browser / one of ours for each", ours, seconds(own, rounds=1), AIM)

        def join() -> None:
            converter = PdfConverter(Settings(), folder)
            parts = [{"name": "Part", "decks": [(f"{n:02d} Deck", f"{n}.pdf") for n in range(DECKS)]}]
            job = {"source": "s", "task": "join", "view": "page", "course": "Bench", "parts": parts}
            converter.convert(job, printed, outputs, print)
            converter.close()

        print(f"the course as one file, with contents: {seconds(join, rounds=3):.2f} s")


if __name__ == "__main__":
    main()
