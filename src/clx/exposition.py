"""Numbers as Prometheus reads them: its text form, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[dict[str, str], float]
"""Labels, and a value."""


def family(name: str, kind: str, help_: str, samples: Iterable[Sample]) -> Iterator[str]:
    """One metric with its samples."""
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{_labels(labels)} {_number(value)}"


def histogram(
    name: str, help_: str, bounds: Sequence[float], samples: Iterable[tuple[dict[str, str], Sequence[int], float]]
) -> Iterator[str]:
    """A metric of how often values were how large.

    Args:
        bounds: the upper bounds of all counts but the last.
        samples: labels, counts (one more than *bounds*: those above the last), and the sum of all values.
    """
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} histogram"
    for labels, counts, total in samples:
        so_far = 0
        for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
            so_far += count
            yield f"{name}_bucket{_labels({**labels, 'le': bound})} {so_far}"
        yield f"{name}_sum{_labels(labels)} {total:.6f}"
        yield f"{name}_count{_labels(labels)} {so_far}"


def _labels(labels: Mapping[str, str]) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{{{told}}}" if told else ""


def _number(value: float) -> str:
    """Whole numbers with all their digits: a counter that is rounded seems to stand, and then to jump."""
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").encode("utf-8", "replace").decode()
