"""Numbers as Prometheus reads them: its text form, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[dict[str, str], float]
"""Labels, and a value."""


def family(name: str, kind: str, help_: str, samples: Iterable[Sample]) -> Iterator[str]:
    """One metric with its samples."""
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{told}}} {value:g}" if told else f"{name} {value:g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").encode("utf-8", "replace").decode()
