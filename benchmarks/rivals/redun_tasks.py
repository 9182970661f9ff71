"""The task of redun, where the process that does it finds it."""

from __future__ import annotations

from redun import task


@task(namespace="bench")  # type: ignore[untyped-decorator]
def inc(n: int) -> int:
    return n + 1
