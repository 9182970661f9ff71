"""Works in words: a table of several, everything about one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clx.cli.output import duration, table
from clx.visible import visible_line

_NAME = 60
"""Characters of a name in a table."""
_WHAT = 200
"""Characters of the last column of a table."""
_LONG = 10**9
_SHORT = ("event", "tags", "group")
_NAMED = ("path", "parent", "function", "command", "archive", "config", "notify", "precursors", "progress")
"""Fields that are shown by their names, where something is said."""
_USUAL = {"path": ".", "archive": True}


def overview(works: Sequence[Mapping[str, Any]]) -> str:
    """Several works, one a line."""
    rows = [
        (
            str(work["id"]), _cut(str(work.get("pipeline")), _NAME), str(work["status"]),
            _cut(f"{work['attempt']}/{work.get('retries', '–')}", _NAME), _took(work), _what(work),
        )
        for work in works
    ]  # fmt: skip
    return table(("ID", "PIPELINE", "STATUS", "ATTEMPT", "TIME", "WHAT"), rows)


def told(work: Mapping[str, Any], runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Everything about one work, line by line."""
    from clx.workers.supervision.job_history import moment, run_words

    yield overview([work])
    creation = work.get("creation")
    if isinstance(creation, float) and 0 <= creation < _LONG * 100:
        yield f"Created {moment(creation * 1000)}; {_terms(work)}"
    for name in (*_SHORT, *_NAMED):
        value = work.get(name)
        if value is not None and value != _USUAL.get(name, ()):
            yield visible_line(f"{name.capitalize()}: {_short(value)}")
    for name in ("parameters", "results"):
        if work.get(name):
            yield f"{name.capitalize()}:"
            yield from _indented(work[name])
    for name in ("products", "plots"):
        listed = work.get(name) or ()
        for each in listed if isinstance(listed, list | tuple) else [listed]:
            yield visible_line(f"{name.capitalize()[:-1]}: {_short(each)}")
    yield from _refused(work.get("artifacts"))
    for run in runs:
        yield from map(visible_line, run_words(run))
    yield from _error(work.get("error"))


def _refused(artifacts: Any) -> Iterator[str]:
    """Which files were not archived, and why."""
    found = artifacts.get("refused") if isinstance(artifacts, Mapping) else None
    for each in found if isinstance(found, list) else ():
        if isinstance(each, Mapping):
            yield visible_line(f"Not archived: {each.get('path')}: {each.get('reason')}")


def _terms(work: Mapping[str, Any]) -> str:
    timeout = work.get("timeout")
    seconds = timeout if isinstance(timeout, int | float) and 0 < timeout < _LONG else 3600
    of = f"by {work.get('user')} for site {work.get('site')}; priority {work.get('priority', 3)}"
    attempts = "attempt" if work.get("retries") == 1 else "attempts"
    return visible_line(f"{of}, {duration(seconds)} for each of {work.get('retries')} {attempts}.")


def _took(work: Mapping[str, Any]) -> str:
    start, stop = work.get("start"), work.get("stop")
    return duration(stop - start) if isinstance(start, float) and isinstance(stop, float) and stop >= start else "–"


def _what(work: Mapping[str, Any]) -> str:
    """What it is about, in a few words, and what came of it."""
    parts = [_short(work[name]) for name in _SHORT if work.get(name)]
    parts += [_pairs(work["parameters"])] if work.get("parameters") else []
    error = work.get("error") if work["status"] == "failure" else None
    came = str(error.get("message", "")) if isinstance(error, Mapping) else _pairs(work.get("results"))
    return _cut(f"{'; '.join(parts)}{' → ' if parts and came else ''}{came}", _WHAT)


def _cut(text: str, most: int) -> str:
    said = visible_line(text[: 2 * most])
    return said if len(said) <= most else f"{said[:most]}…"


def _pairs(values: Any) -> str:
    if not isinstance(values, Mapping):
        return "" if values is None else _short(values)
    return " ".join(f"{name}={_short(each)}" for name, each in values.items())


def _short(value: Any) -> str:
    """A value on one line: lists of texts and numbers with commas, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(each, str | int) for each in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False)


def _indented(value: Any) -> Iterator[str]:
    for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines():
        yield f"  {visible_line(line)}"


def _error(error: Any) -> Iterator[str]:
    if not isinstance(error, Mapping):
        return
    yield visible_line(f"Error: {error.get('type', 'error')}: {error.get('message', '')}")
    if error.get("traceback"):
        yield str(error["traceback"]).rstrip("\n")
