"""Cold and repeated builds of courses: ``python -m benchmarks.build [--rounds N]``.

* 20 decks of 10 cells, every variant, against ``jupyter nbconvert --execute`` in one fresh process per
  deck, two at a time, and against the cells alone in one warm kernel that is reset between decks;
* the same course again with nothing to do, against jupyter-book 1;
* 1,000 decks with nothing to do, against a bare Python that reads the spec and stats every file;
* one deck of those edited, against nothing to do plus that deck's own execution;
* ``clx --help`` against importing click.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measure import clx, row, run, seconds
from benchmarks.peers import python

DECK = """# j2 from 'macros.j2' import header
# {{ header("Deck @", "Deck @") }}

# %% [markdown] lang="en" tags=["slide"]
# ## Lists
#
# A list holds values **in order**, and `len` counts them.

# %%
numbers = [n * n for n in range(@, @ + 10)]
numbers

# %% [markdown] lang="en" tags=["slide"]
# - one
# - two with $x^2$

# %%
print("sum", sum(numbers))

# %% [markdown] lang="en"
# | a | b |
# |---|---|
# | 1 | 2 |

# %%
def double(value):
    return value * 2

double(21)

# %% [markdown] lang="en" tags=["subslide"]
# What does the next cell show?

# %%
{n: n ** 3 for n in range(5)}

# %%
import math
print(math.pi, "@")
"""
SPEC = "name: {en: Bench}\nprog_lang: python\nsections:\n  - name: {en: Part}\n    topics:\n"
STAT_ALL = """
import os, sys
import yaml
with open(sys.argv[1]) as stream:
    spec = yaml.load(stream, Loader=yaml.CSafeLoader)
with open(sys.argv[2]) as stream:
    for line in stream:
        os.stat(line[:-1])
print(len(spec["sections"][0]["topics"]))
"""
WARM_KERNEL = """
import sys, json
import nbformat
from nbclient import NotebookClient
first = nbformat.read(sys.argv[1], 4)
client = NotebookClient(first, kernel_name="python3")
client.create_kernel_manager()
client.start_new_kernel()
client.start_new_kernel_client()
for path in sys.argv[1:]:
    client.nb = notebook = nbformat.read(path, 4)
    client.reset_execution_trackers()
    for index, cell in enumerate(notebook.cells):
        client.execute_cell(cell, index)
    client.kc.execute("%reset -f", silent=True)
client._cleanup_kernel()
"""


def write_course(root: Path, decks: int) -> Path:
    """A course of *decks* decks, ten cells each; returns its spec."""
    for number in range(decks):
        topic = root / f"slides/module_1/topic_100_t{number}"
        topic.mkdir(parents=True)
        (topic / f"slides_t{number}.py").write_text(DECK.replace("@", str(number)))
    spec = root / "course.yaml"
    spec.write_text(SPEC + "".join(f"      - t{number}\n" for number in range(decks)))
    return spec


def notebooks_of(spec: Path) -> list[Path]:
    """The completed notebooks of a built course: what the peers are given."""
    return sorted(spec.parent.glob("output/public/En/Bench/Slides/Notebooks/Completed/Part/*.ipynb"))


def forget(root: Path) -> None:
    """As if it had never been built."""
    for name in (".clx", "output"):
        shutil.rmtree(root / name, ignore_errors=True)


def cold(folder: Path, rounds: int) -> None:
    """Cold builds of 20 decks."""
    spec = write_course(folder / "twenty", 20)
    build = clx("build", spec, "--notebook-workers", "2", "-q")
    ours = seconds(lambda: run(build), rounds=rounds, before=lambda: forget(spec.parent))
    notebooks = notebooks_of(spec)
    peer = python()

    def nbconvert() -> None:
        with ThreadPoolExecutor(2) as two:
            each = convert_command(folder)
            list(two.map(lambda path: run([*each, path]), notebooks))

    theirs = seconds(nbconvert, rounds=1)
    row("cold, 20 decks × 10 cells, all variants / nbconvert -P2", ours, theirs, 0.12)
    script = folder / "warm.py"
    script.write_text(WARM_KERNEL)
    warm = seconds(lambda: run([peer, script, *notebooks]), rounds=rounds)
    row("the same / the cells alone in one warm kernel", ours, warm, 1.2)
    run(build)
    noop = seconds(lambda: run(build), rounds=rounds)
    row("the same 20 decks, no-op / jupyter-book 1 no-op", noop, jupyter_book_noop(folder, notebooks), 0.2)


def convert_command(folder: Path) -> list[str | Path]:
    """``jupyter nbconvert`` as the comparison runs it, without the notebook."""
    return [python(), "-m", "nbconvert", "--execute", "--to", "html", "--output-dir", folder / "html"]


def jupyter_book_noop(folder: Path, notebooks: list[Path]) -> float:
    """Time of jupyter-book's second build of the same notebooks."""
    book = folder / "book"
    book.mkdir()
    for number, path in enumerate(notebooks):
        shutil.copyfile(path, book / f"n{number}.ipynb")
    (book / "_config.yml").write_text("title: Bench\nexecute: {execute_notebooks: cache}\n")
    chapters = "".join(f"  - file: n{number}\n" for number in range(1, len(notebooks)))
    (book / "_toc.yml").write_text(f"format: jb-book\nroot: n0\nchapters:\n{chapters}")
    command: list[str | Path] = [python().with_name("jupyter-book"), "build", book]
    run(command)
    return seconds(lambda: run(command), rounds=3)


def thousand(folder: Path, rounds: int) -> None:
    """A course of 1,000 decks with nothing to do, and with one deck edited."""
    spec = write_course(folder / "thousand", 1000)
    build = clx("build", spec, "--notebook-workers", "2", "-q")
    run(build)
    run(build)
    listing = folder / "files.txt"
    files = [*spec.parent.glob("slides/**/*"), *spec.parent.glob("output/**/*")]
    listing.write_text("".join(f"{path}\n" for path in files if path.is_file()))
    script = folder / "stat_all.py"
    script.write_text(STAT_ALL)
    noop = seconds(lambda: run(build), rounds=rounds)
    bare = seconds(lambda: run([sys.executable, script, spec, listing]), rounds=rounds)
    row("no-op, 1,000 decks / a bare Python that reads and stats", noop, bare, 4)
    deck = spec.parent / "slides/module_1/topic_100_t500/slides_t500.py"
    count = 0

    def edit() -> None:
        nonlocal count
        count += 1
        deck.write_text(DECK.replace("@", "500") + f"\n# %%\n{count}\n")

    edited = seconds(lambda: run(build), rounds=rounds, before=edit)
    alone = one_deck(folder, rounds)
    row("one deck edited in 1,000 / no-op + that deck alone", edited, noop + alone, 1.3)


def one_deck(folder: Path, rounds: int) -> float:
    """What executing one deck takes by itself: a build of a course of one deck, less its own no-op."""
    spec = write_course(folder / "single", 1)
    build = clx("build", spec, "-q")
    whole = seconds(lambda: run(build), rounds=rounds, before=lambda: forget(spec.parent))
    return whole - seconds(lambda: run(build), rounds=rounds)


def heavy(folder: Path, rounds: int) -> None:
    """A deck with numpy, pandas and one plot, among ten of its kind, against fresh kernels."""
    root = folder / "heavy"
    cells = (
        "# %%\nimport numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt\n\n"
        "# %%\npd.DataFrame({'a': np.arange(5)}).describe()\n\n# %%\nplt.plot([1, 2, 3]); plt.show()\n"
    )
    spec = write_course(root, 10)
    for deck in root.rglob("slides_*.py"):
        deck.write_text(cells)
    only = ("--kind", "completed", "--format", "html")
    build = clx("build", spec, "-q", *only)
    ours = seconds(lambda: run(build), rounds=rounds, before=lambda: forget(root)) / 10
    run(clx("build", spec, "-q"))
    notebook = notebooks_of(spec)[0]
    page = next(spec.parent.glob("output/public/En/Bench/Slides/Html/Completed/Part/*.html")).read_text()
    assert "data:image/png;base64," in page
    theirs = seconds(lambda: run([*convert_command(folder), notebook]), rounds=rounds)
    row("a deck with numpy, pandas and a plot (of ten) / a fresh kernel", ours, theirs, 0.25)


def command_line(rounds: int) -> None:
    """``clx --help``."""
    ours = seconds(lambda: run(clx("--help")), rounds=rounds * 5)
    theirs = seconds(lambda: run([sys.executable, "-c", "import click"]), rounds=rounds * 5)
    row("clx --help / python -c 'import click'", ours, theirs, 1.3)


def main() -> None:
    """Run everything in a temporary directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["cold", "thousand", "heavy", "help"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.only in (None, "help"):
            command_line(chosen.rounds)
        if chosen.only in (None, "cold"):
            cold(folder, chosen.rounds)
        if chosen.only in (None, "heavy"):
            heavy(folder, chosen.rounds)
        if chosen.only in (None, "thousand"):
            thousand(folder, chosen.rounds)


if __name__ == "__main__":
    main()
