"""Pictures of a load: how long answers took, what came of what was offered, and when. Needs matplotlib."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from clx.serving.bench.loads import Result

BINS = 50
"""Into how many parts the time of a run is cut."""


def draw(results: dict[str, Result], path: Path, timeout: float = 0) -> None:
    """Write a picture of runs, each with its name; its kind is that of the file's name (SVG, PNG, PDF).

    Args:
        results: the runs.
        path: of the picture.
        timeout: seconds in which an answer counts; 0: any time.

    Raises:
        OSError: it cannot be written.
        ValueError: there are no pictures of that kind.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    for name, each in results.items():
        _draw_latency(left, name, each)
        _draw_time(right, each)
    if timeout:
        left.axvline(timeout * 1e3, color="0.5", linestyle=":")
    _draw_goodput(middle, results, timeout)
    left.set(xscale="log", title="How long answers took", xlabel="ms", ylabel="part of the answers", ylim=(0, 1.02))
    left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_formatter("")
    within = f" within {timeout * 1e3:g} ms" if timeout else ""
    middle.set(title=f"Answered{within}", xlabel="offered a second", ylabel="answered a second", xlim=(0, None))
    middle.set_ylim(0, None)
    right.set(title="Refused, missed or failed", xlabel="time in s", ylabel="% of what was offered", ylim=(-2, 102))
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path)
    plt.close(figure)


def _draw_latency(axes: Any, name: str, result: Result) -> None:
    took = sorted(reply.took * 1e3 for reply in result.replies if reply.status == 200)
    axes.step(took, [(place + 1) / len(took) for place in range(len(took))], where="post", label=name)


def _draw_goodput(axes: Any, results: dict[str, Result], timeout: float) -> None:
    """A point for each run, in its colour; what all were answered would lie on the dashed line."""
    numbers = [each.document(timeout) for each in results.values()]
    points = sorted((each["offered_per_s"], each["goodput_per_s"]) for each in numbers)
    most = max((offered for offered, _ in points), default=0)
    axes.plot([0, most], [0, most], color="0.7", linestyle="--")
    axes.plot(*zip(*points, strict=True), color="0.4", zorder=1)
    for each in numbers:
        axes.plot([each["offered_per_s"]], [each["goodput_per_s"]], "o", markersize=8)


def _draw_time(axes: Any, result: Result) -> None:
    width = result.seconds / BINS
    refused = Counter(int(reply.at / width) for reply in result.replies if reply.status != 200)
    offered = Counter(int(reply.at / width) for reply in result.replies)
    places = [place for place in range(BINS) if offered[place]]  # where nothing came, nothing can be said
    axes.plot([width * (place + 0.5) for place in places], [100 * refused[place] / offered[place] for place in places])
