"""Pictures of a load: how long answers took, and what became of requests over time. Needs matplotlib."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from clx.serving.bench.loads import Result

BINS = 50
"""Into how many parts the time of a run is cut."""


def draw(results: dict[str, Result], path: Path) -> None:
    """Write a picture of runs, each with its name; its kind is that of the file's name (SVG, PNG, PDF).

    Raises:
        OSError: it cannot be written.
        ValueError: there are no pictures of that kind.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name, each in results.items():
        took = sorted(reply.took * 1e3 for reply in each.replies if reply.status == 200)
        left.step(took, [(place + 1) / len(took) for place in range(len(took))], where="post", label=name)
        width = each.seconds / BINS
        refused = Counter(int(reply.at / width) for reply in each.replies if reply.status != 200)
        offered = Counter(int(reply.at / width) for reply in each.replies)
        parts = [100 * refused[place] / offered[place] if offered[place] else 0.0 for place in range(BINS)]
        right.plot([width * place for place in range(BINS)], parts, label=name)
    left.set(xscale="log", xlabel="latency in ms", ylabel="part of the answers", ylim=(0, 1))
    right.set(xlabel="time in s", ylabel="not answered with a result, %", ylim=(0, 100))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path)
    plt.close(figure)
