"""The YAML block at the top of a Markdown deck, looked at before a library reads it."""

from __future__ import annotations

import itertools
from typing import Any

from clx.errors import ConversionError

ALIAS_LIMIT = 10_000
"""Values that the block may have once its aliases are written out; real blocks have twenty."""
DEPTH_LIMIT = 50
"""Levels of nesting."""
DIGIT_LIMIT = 1_000
"""Digits of a number: a library would work on a long one for minutes (``1:1:1:…`` counts to sixty)."""
_DIGITS = "0123456789abcdefABCDEFxXoO_:.+-"
_RULES = ("---", "...")
_STEP = "Write the values out where they are needed."


def check_header(text: str) -> None:
    """Refuse a block that is small on paper and huge when it is read: repeating, nested, or with a number without end.

    What is no YAML is left to :func:`header_of`.
    """
    lines = _block(text)
    if not lines:
        return
    import yaml

    sizes = _Sizes()
    try:
        for event in yaml.parse("\n".join(lines), Loader=_loader()):
            sizes.take(event)
    except yaml.YAMLError:
        return


def header_of(text: str) -> tuple[dict[str, Any], int]:
    """What the block at the top of a Markdown deck says, and the index of the first line behind it.

    Lines between two rules that are no mapping are no block: they are text.

    Raises:
        ConversionError: it is small on paper and huge when it is read (:func:`check_header`), or no YAML.
    """
    check_header(text)
    lines = _block(text)
    behind = len(lines) + 2
    if text.partition("\n")[0].rstrip() != "---" or behind > text.count("\n") + 1:
        return {}, 0
    import yaml

    try:
        found = yaml.load("\n".join(lines), Loader=_loader())  # noqa: S506  (a safe one)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or " ".join(str(error).split())[:200]
        fact = f"the YAML block at the top of the deck cannot be read: {why}"
        raise ConversionError(fact, "Correct it.", line=mark.line + 2 if mark else 1) from error
    if found is None:
        return {}, behind
    return (found, behind) if isinstance(found, dict) else ({}, 0)


def _block(text: str) -> list[str]:
    """The lines between the rules at the top; none where there is no block."""
    first, *rest = text.split("\n")
    if first.rstrip() != "---":
        return []
    return list(itertools.takewhile(lambda line: line.rstrip() not in _RULES, rest))


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Sizes:
    """Counts values as they are once aliases are written out."""

    def __init__(self) -> None:
        self._open: list[tuple[str | None, int]] = []
        self._named: dict[str, int] = {}
        self._all = 0

    def take(self, event: Any) -> None:
        """Go on by one event of the parser."""
        import yaml

        if isinstance(event, yaml.AliasEvent) and event.anchor is not None:
            if any(name == event.anchor for name, _ in self._open):
                raise _refused(event, f"*{event.anchor[:40]} contains itself")
            self._all += self._named.get(event.anchor, 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = self._open.pop()
            if name is not None:
                self._named[name] = self._all - before
        elif isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.ScalarEvent):
                if event.implicit[0] and len(event.value) > DIGIT_LIMIT and not event.value.strip(_DIGITS):
                    raise _refused(event, f"a number has more than {DIGIT_LIMIT} digits")
                self._named[event.anchor or ""] = 1
            else:
                self._open.append((event.anchor, self._all))
            self._all += 1
        if self._all > ALIAS_LIMIT:
            raise _refused(event, f"the aliases of the YAML block repeat more than {ALIAS_LIMIT} values")
        if len(self._open) > DEPTH_LIMIT:
            raise _refused(event, f"the YAML block is nested more than {DEPTH_LIMIT} levels deep")


def _refused(event: Any, fact: str) -> ConversionError:
    return ConversionError(fact, _STEP, line=event.start_mark.line + 2)
