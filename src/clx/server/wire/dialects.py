"""Three clients, three readings of one document: what each can read, and how it is told what another has written.

A client that cannot read a work has marked it as running all the same, so none is given what it does not understand.
The clients of ``chime-frb-api`` 2 and 3 cannot be told apart by what they send: a work is given to them as it was
deposited, unless they have asked for what only the newer one knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Document = dict[str, Any]
_SHOWN = {"cancelled": "failure"}
"""Status → the one of the five that clients know."""
_OF_TABLE = ("run", "error", "progress")
"""What the table tells of a work; a client that sends it back says nothing by it."""
_SECRET = ("token", "canfar_cert")
"""What clients may send along, and nobody keeps."""
_SITES = ("canfar", "cedar", "chime", "aro", "hco", "gbo", "kko", "local")
_SLACK = ("channel_id", "member_ids", "message", "results", "products", "plots", "blocks", "reply")
_STRATEGIES = ("copy", "move", "delete")
_ARCHIVED = ("products", "plots", "logs")


# -- what comes in ------------------------------------------------------------------------------------------


def received(document: Mapping[str, Any]) -> Document:
    """A document as it is kept: without what only the table tells, and without secrets."""
    return {name: value for name, value in document.items() if name not in _OF_TABLE and name not in _SECRET}


def merged(stored: Document, document: Document, readings: Iterable[Dialect]) -> Document:
    """A work as a client has changed it: what it does not know, or was told in other words, is as it was.

    Args:
        stored: the work as it is kept.
        document: as the client sends it back.
        readings: how it may have been told it.
    """
    kept = received(stored)
    found = {**kept, **document}
    for reading in readings:
        found = {**kept, **_as_before(kept, received(reading.told(stored)), found)}
    if document.get("status") == "failure" and stored.get("status") == "cancelled":
        found["status"] = "cancelled"
    return found


def _as_before(stored: Any, told: Any, sent: Any) -> Any:
    """What is sent back as it was told is what is stored; so is, within it, what was not told at all."""
    if sent == told:
        return stored
    if not (isinstance(stored, dict) and isinstance(told, dict) and isinstance(sent, dict)):
        return sent
    untold = {name: value for name, value in stored.items() if name not in told and name not in sent}
    return untold | {
        name: _as_before(stored[name], told[name], value) if name in stored and name in told else value
        for name, value in sent.items()
    }


# -- what goes out ------------------------------------------------------------------------------------------


def shown(document: Document) -> Document:
    """A document as clients look at it: as it was deposited, in one of their five states."""
    return {
        name: _SHOWN.get(value, value) if name == "status" else value
        for name, value in document.items()
        if name != "run"
    }


class Dialect(NamedTuple):
    """How one kind of client reads documents.

    Attributes:
        name: of the package, with its version.
        told: a document in its words.
        reads: whether it can read a document in its words.
    """

    name: str
    told: Callable[[Document], Document]
    reads: Callable[[Document], bool]

    def accepts(self, document: Document) -> bool:
        """Whether a work may be given to it."""
        return self.reads(self.told(document))


def _told(document: Document) -> Document:
    found = shown(document)
    for name in ("config", "notify"):
        if name in found and found[name] is None:
            del found[name]
    if "user" in found and found["user"] is None:
        found["user"] = "unknown"
    return found


def _with_strategies(document: Document, words: Mapping[str, str]) -> Document:
    config = document.get("config")
    archive = config.get("archive") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(archive, dict):
        return document
    said = {
        name: words.get(value, value) if name in _ARCHIVED and isinstance(value, str) else value
        for name, value in archive.items()
    }
    return {**document, "config": {**config, "archive": said}}


def _told_core(document: Document) -> Document:
    found = _with_strategies(_told(document), {"pass": "bypass", "upload": "copy"})
    notify = found.get("notify")
    slack = notify.get("slack") if isinstance(notify, dict) else None
    if isinstance(notify, dict) and isinstance(slack, dict):
        known = {name: value for name, value in slack.items() if name in _SLACK}
        found["notify"] = {**notify, "slack": known}
    return found


def _told_chime(document: Document) -> Document:
    found = _with_strategies(_told(document), {"bypass": "pass"})
    group, archive = found.get("group"), found.get("archive")
    if isinstance(group, list):
        found["group"] = ",".join(map(str, group)) or None
    if isinstance(archive, dict):
        found["archive"] = archive.get("results", True) is not False
    return found


# -- what they read -----------------------------------------------------------------------------------------


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, int) and not isinstance(each, bool) for each in value)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _whole(lowest: int, highest: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0 and lowest <= value <= highest
    )


_MAYBE: dict[str, Callable[[Any], bool]] = {
    "parameters": _mapping, "results": _mapping, "products": _texts, "plots": _texts, "tags": _texts, "event": _numbers,
    "function": _text, "command": _texts,
}  # fmt: skip
"""What every client can read of these fields, beside none at all."""
_ALWAYS: dict[str, Callable[[Any], bool]] = {
    "retries": _whole(-(10**6), 5), "priority": _whole(1, 5),
}  # fmt: skip
_SLACK_MAYBE: dict[str, Callable[[Any], bool]] = {
    "channel_id": _text, "member_ids": _texts, "message": _text, "results": _truth, "products": _truth,
    "plots": _truth, "blocks": _mapping, "reply": _mapping,
}  # fmt: skip


def _fits(document: Mapping[str, Any], fields: Mapping[str, Callable[[Any], bool]], *, maybe: bool) -> bool:
    return all(
        check(document[name]) or (maybe and document[name] is None)
        for name, check in fields.items()
        if name in document
    )


def _common(document: Document, longest: int) -> bool:
    return (
        _fits(document, _MAYBE, maybe=True)
        and _fits(document, {**_ALWAYS, "timeout": _whole(1, longest)}, maybe=False)
        and not (document.get("function") and document.get("command"))
    )


def _configured(document: Document, strategies: tuple[str, ...]) -> bool:
    """Whether the configuration can be read by those who have one."""
    config, notify = document.get("config", {}), document.get("notify", {})
    if not isinstance(config, dict) or not isinstance(notify, dict):
        return False
    archive, slack = config.get("archive", {}), notify.get("slack", {})
    if not isinstance(archive, dict) or not isinstance(slack, dict):
        return False
    return (
        all(archive.get(name, "copy") in strategies for name in _ARCHIVED)
        and _fits(archive, {"results": _truth}, maybe=False)
        and _fits(config, {"metrics": _truth, "orgs": _texts}, maybe=False)
        and _fits(config, {"parent": _text, "teams": _texts}, maybe=True)
        and _fits(slack, _SLACK_MAYBE, maybe=True)
    )


def _reads_core(document: Document) -> bool:
    return (
        _common(document, 3 * 86_400)
        and len(document["pipeline"]) <= 128
        and all(each.isalnum() or each == "-" for each in document["pipeline"])
        and all(isinstance(document.get(name), str) for name in ("site", "user"))
        and _configured(document, (*_STRATEGIES, "bypass"))
    )


def _reads_3(document: Document) -> bool:
    pipeline = document["pipeline"]
    return (
        _common(document, 86_400)
        and document.get("site") in _SITES
        and isinstance(document.get("user"), str)
        and all((each.isalnum() and not each.isupper()) or each == "-" for each in pipeline)
        and _configured(document, (*_STRATEGIES, "pass", "upload"))
    )


def _reads_2(document: Document) -> bool:
    return (
        _common(document, 86_400)
        and document.get("site", "local") in (*_SITES, "allenby")
        and _fits(document, {"user": _text, "path": _text, "group": _text, "config": _text}, maybe=True)
        and _fits(document, {"archive": _truth}, maybe=False)
        and ("precursors" not in document or _precursors(document["precursors"]))
    )


def _precursors(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(_mapping, value)))


def _is_of_3(document: Document) -> bool:
    """Whether a work was deposited by a client that has a configuration."""
    return isinstance(document.get("config"), dict) or isinstance(document.get("notify"), dict)


def _reads_either(document: Document) -> bool:
    return _reads_3(document) if _is_of_3(document) else _reads_2(document)


CORE = Dialect("workflow-core 1.12", _told_core, _reads_core)
CHIME_3 = Dialect("chime-frb-api 3", _told_chime, _reads_3)
CHIME = Dialect("chime-frb-api 2 or 3", _told_chime, _reads_either)


def dialect_of(*, is_core: bool, query: Mapping[str, Any]) -> Dialect:
    """Who asks for a work with such a query."""
    if is_core:
        return CORE
    return CHIME_3 if "tags" in query or "config.parent" in query else CHIME
