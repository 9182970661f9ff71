"""Slides of the example course, cold: ``python -m benchmarks.slides``.

Against ``jupyter nbconvert --to slides --execute``, one process per deck, two at a time, on the notebooks of the
same course that CLX makes, which has no diagrams to draw and leaves the C++ deck out. CLX is measured with drawing all
diagrams, and when they are drawn already.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.build import forget
from benchmarks.measure import clx, row, run, seconds
from benchmarks.peers import python

COURSE = Path(__file__).parents[1] / "examples" / "python-course"
AIM = 0.12


def main() -> None:
    """Measure both; then slides asked for when pages are known."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "course")
        shutil.copytree(COURSE, root, ignore=shutil.ignore_patterns("output", ".clx"))
        some = ("--language", "en", "--kind", "completed", "--target", "public", "--notebook-workers", "2", "-q")
        notebooks = Path(name, "notebooks")
        run(clx("build", root / "course.yaml", *some, "--format", "notebook", "-o", notebooks))
        files = [path for path in sorted(notebooks.rglob("*.ipynb")) if "C++" not in path.name]
        assert len(files) == 14
        command: list[str | Path] = [python(), "-m", "nbconvert", "--execute", "--to", "slides", "--output-dir"]

        def nbconvert() -> None:
            with ThreadPoolExecutor(2) as two:
                list(two.map(lambda path: run([*command, Path(name, "slides"), path], cwd=path.parent), files))

        def drawn() -> None:
            """Nothing is known but the diagrams: code-along pages show them, and no code runs for those."""
            forget(root)
            most = [word if word != "completed" else "code-along" for word in some]
            run(clx("build", root / "course.yaml", *most, "--format", "html"))

        build = clx("build", root / "course.yaml", *some, "--format", "slides")
        ours = seconds(lambda: run(build), rounds=3, before=lambda: forget(root))
        without = seconds(lambda: run(build), rounds=3, before=drawn)
        theirs = seconds(nbconvert, rounds=1)
        row("slides of the example course, cold / nbconvert --to slides -P2", ours, theirs, AIM)
        row("the same, its diagrams drawn already", without, theirs, AIM)
        forget(root)
        run(clx("build", root / "course.yaml", *some, "--format", "html"))
        print(f"the same when its pages are known: {seconds(lambda: run(build), rounds=1):.2f} s")


if __name__ == "__main__":
    main()
