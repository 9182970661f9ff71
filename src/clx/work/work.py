"""``Work``: everything about one piece of work, from its deposit to its results.

::

    work = Work(pipeline="sample-pipeline", parameters={"a": 1, "b": 2})
    work.deposit()

    work = Work.withdraw(pipeline="sample-pipeline")
    work.results = {"sum": add(**work.parameters)}
    work.status = "success"
    work.update()
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Self

from clx.db.models import decode
from clx.db.works.fields import ALIASES, FIELDS, all_checked, checked, known
from clx.db.works.models import new_id
from clx.db.works.searching import Search, conditions
from clx.db.works.withdrawing import Asked
from clx.errors import DatabaseError, LostRunError, ServerError, UsageError
from clx.settings.problems import did_you_mean, shortened
from clx.work.place import Where, store
from clx.work.reading import read_entries

if TYPE_CHECKING:
    from clx.db.works.models import Found

_PAGE = 500
_TOLD_BY_ITS_PROGRAM = frozenset({"creation", "path", "tags", "group", "user", "site"})
"""What a stored Work that does not tell it does not get from the process that reads it."""
_USUAL = {name: None if name in _TOLD_BY_ITS_PROGRAM else field.usual() for name, field in FIELDS.items()}
_NEVER_NONE = tuple(name for name, value in _USUAL.items() if value is not None)
_never_none = itemgetter(*_NEVER_NONE)
_TELL = {name: FIELDS[name].usual for name in _TOLD_BY_ITS_PROGRAM}
_NEVER_CHANGED = frozenset({str, int, float, bool, type(None)})


class Work:
    """Everything about one piece of work. Only *pipeline* is needed; each field is checked whenever it is set.

    docs/work.md has every field, what it may be and what it is when nothing was said.

    Args:
        pipeline: what it is for: who withdraws works asks by this name.
        where: where it lies: a path, a URL, a Queue; None: as :func:`clx.work.at` or the settings say.
        fields: any other field.

    Raises:
        UsageError: names the field that is none, or cannot be that.
    """

    _where: Where
    _values: dict[str, Any]
    _own: ClassVar[frozenset[str]] = frozenset({"_where", "_values"})

    def __init__(self, pipeline: str, *, where: Where = None, **fields: Any) -> None:
        given = {"pipeline": pipeline}
        for name, value in fields.items():
            field = name if name in FIELDS else known(name)
            if field in given:
                raise UsageError(f"The {field} of a work is given twice.", f"It is called {name} as well.")
            given[field] = value
        self._keep(_complete(given), where)

    # -- fields ---------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        field = ALIASES.get(name, name)
        if name.startswith("_") or field not in FIELDS:
            raise AttributeError(f"A work has no field {shortened(name)}. {did_you_mean(name, [*FIELDS, *ALIASES])}")
        return self._values[field]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._own:
            object.__setattr__(self, name, value)
            return
        field = known(name)
        if FIELDS[field].own:
            raise UsageError(f"The {field} of a work is not set by hand.", "It is what a withdrawal gives.")
        if field in {"pipeline", "id"} and self._values["id"] is not None and value != self._values[field]:
            raise UsageError(f"The {field} of a work that was deposited stays.", "Make another Work.")
        values = {**self._values, field: checked(field, value)}
        _check_together(values)
        self._values = values

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *FIELDS, *ALIASES})

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={shortened(repr(value))}" for name, value in self._said())
        return f"Work({told})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Work) and self.payload == other.payload

    __hash__ = None  # type: ignore[assignment]

    def _said(self) -> Iterator[tuple[str, Any]]:
        for name in ("pipeline", "id", "status", "parameters", "results", "tags", "event"):
            if self._values[name] is not None:
                yield name, self._values[name]

    @property
    def payload(self) -> dict[str, Any]:
        """Its fields as a mapping: what is stored, and sent to servers."""
        return {
            name: value if value.__class__ in _NEVER_CHANGED else decode_of(value)
            for name, value in self._values.items()
        }

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs, as far as this object knows."""
        return self.status in {"queued", "running"}

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any], *, where: Where = None) -> Self:
        """The Work of a mapping; what it does not say is as usual, what no Work has is left out.

        Raises:
            UsageError: names the field that cannot be that.
        """
        if not isinstance(payload, Mapping):
            raise UsageError(f"A work is made of a mapping, not of {shortened(repr(payload))}.", "Give one.")
        given = {ALIASES.get(name, name): value for name, value in payload.items() if ALIASES.get(name, name) in FIELDS}
        if given.get("pipeline") is None:
            raise UsageError("A work needs a pipeline.", 'Write {"pipeline": "name"}.')
        usual = {name for name, value in given.items() if value is None and FIELDS[name].usual() is not None}
        made = cls.__new__(cls)
        made._keep(_complete({name: value for name, value in given.items() if name not in usual}), where)
        return made

    @classmethod
    def from_json(cls, text: str | bytes, *, where: Where = None) -> Self:
        """The Work of a JSON text.

        Raises:
            UsageError: it is no JSON, or as :meth:`from_dict`.
        """
        try:
            found = decode(text)
        except ValueError as error:
            raise UsageError(f"That is no JSON: {error}.", "Give the text of a mapping.") from None
        return cls.from_dict(found, where=where)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, where: Where = None) -> Self:
        """The Work that a file says, JSON or YAML.

        Raises:
            UsageError: it cannot be read, is neither, or has several; names the place. Or as :meth:`from_dict`.
        """
        found = read_entries(path)
        if len(found) != 1:
            raise UsageError(f"{os.fspath(path)} has {len(found)} works.", "Type: clx work deposit --file FILE")
        return cls.from_dict(found[0].document, where=where)

    # -- its life -------------------------------------------------------------------------------------

    def deposit(self, return_ids: bool = False) -> bool | list[str]:
        """Put it into the bucket of its pipeline; it has an id and can be found when this returns.

        Where it is not known whether it was (a server's answer was lost), it may be called again: it is put in once.

        Args:
            return_ids: return a list with its id instead of True.

        Raises:
            UsageError: it was deposited before.
            DatabaseError, ServerError: where it is to lie cannot be used.
        """
        values = self._values
        given = values["id"]
        if given is not None and values["status"] != "created":
            raise UsageError(f"The work {given} was deposited before.", "Make another Work, or use retry().")
        if given is None:
            values = {**values, "id": new_id(time.time_ns() // 1_000_000)}
            self._keep(values, self._where)
        try:
            ids = store(self._where).deposit([values])  # which only reads it, and no other has this mapping
        except (DatabaseError, ServerError):
            raise  # it may be there: who deposits it again does so by the same id
        except BaseException:
            self._keep({**values, "id": given}, self._where)
            raise
        self._keep({**values, "id": ids[0], "status": "queued", "attempt": 0}, self._where)
        return ids if return_ids else True

    @classmethod
    def withdraw(
        cls,
        pipeline: str | Sequence[str],
        event: int | Sequence[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: str | Sequence[str] | None = None,
        parent: str | Sequence[str] | None = None,
        *,
        wait: float = 0.0,
        where: Where = None,
    ) -> Self | None:
        """Take the first work of a pipeline, or several, that waits and fits; None where none does.

        It is this program's until its timeout is over: :meth:`update` before that, or it is given to another.

        Args:
            event, tags, parent: has one of these.
            site, priority, user: exactly this.
            wait: seconds to wait at most where none does; who deposits one ends that at once.
        """
        asked = Asked(
            tuple(_each("pipeline", pipeline)),
            site,
            user,
            priority,
            tuple(_each("event", event)),
            tuple(_each("tags", tags)),
            tuple(_each("parent", parent)),
        )
        found = store(where).withdraw(asked, wait=wait)
        return None if found is None else cls._found(found, where)

    def update(self) -> bool:
        """Store what it says now; where it runs, its time begins anew, and where it has ended that is noted.

        Raises:
            LostRunError: its time was over and another has it, it was cancelled, its results are locked, or it is not
                there any more.
            UsageError: it was not deposited.
        """
        self._require_id("updated")
        places = self._store()
        if self.status == "running":
            if not places.update([self._values])[0]:  # which only reads it
                raise self._lost()
            return True
        found: Found | None = places.updated(self._values)
        if found is None:
            raise self._lost()
        self._take(found.document)  # what it is now, another run to come, say
        return True

    def refresh(self) -> Self:
        """Read anew how it stands.

        Raises:
            LostRunError: it is not there any more.
        """
        self._require_id("read")
        found = self._store().get(self.id)
        if found is None:
            raise LostRunError(f"There is no work {self.id} any more.", "It was deleted.")
        self._take(found.document)
        return self

    def delete(self) -> bool:
        """Remove it, wherever it is; a live one is cancelled. False where it was not there, or is locked."""
        self._require_id("deleted")
        return bool(self._store().delete([self.id]))

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until it has ended, and read how.

        Args:
            timeout: seconds; None: as long as it takes. It may still be live when they are over.

        Raises:
            LostRunError: it is not there any more.
        """
        self._require_id("waited for")
        self._store().wait([self.id], timeout)
        return self.refresh()

    def cancel(self) -> bool:
        """Have it end; returns whether it has. A running one is cancelled by the next update, or its time's end."""
        self._require_id("cancelled")
        done = bool(self._store().cancel([self.id]))
        self.refresh()
        return done

    def retry(self) -> bool:
        """Queue it again, where it has failed or was cancelled, for the attempts that are left, one at least."""
        self._require_id("tried again")
        done = bool(self._store().retry([self.id]))
        self.refresh()
        return done

    def logs(self) -> str:
        """What its attempts have said, the oldest first."""
        self._require_id("read")
        return "\n".join(run["stderr"] for run in self._store().runs(self.id) if run.get("stderr"))

    @classmethod
    def search(
        cls,
        *,
        text: str = "",
        order: str = "-deposit",
        limit: int | None = None,
        where: Where = None,
        **fields: Any,
    ) -> Iterator[Self]:
        """The works that fit, whatever their state, page by page.

        Args:
            text: words that all stand somewhere in it.
            order: ``deposit``, ``id``, ``creation``, ``start``, ``stop``, ``priority`` or ``attempt``; with ``-``
                before it from the highest down.
            limit: how many at most; None: all.
            fields: a field and what it is: a value, a list of which one fits, for times a pair (from, to), of
                ``parameters`` and ``results`` a mapping; ``results__sum`` is a part of results.

        Raises:
            QueueError: names what cannot be searched.
        """
        asked = conditions({ALIASES.get(name, name): value for name, value in fields.items()})
        places, after, left = store(where), None, limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = places.find(Search(asked, text, order, after, size))
            for each in page.works:
                yield cls._found(each.document, where)
            left = None if left is None else left - len(page.works)
            after = page.after
            if after is None:
                return

    @classmethod
    def count(cls, *, text: str = "", where: Where = None, **fields: Any) -> int:
        """How many works fit; as :meth:`search`."""
        asked = conditions({ALIASES.get(name, name): value for name, value in fields.items()})
        return store(where).count(Search(asked, text))

    @classmethod
    def get(cls, work_id: str, *, where: Where = None) -> Self | None:
        """The work of an id; None where there is none."""
        found = store(where).get(work_id)
        return None if found is None else cls._found(found.document, where)

    # -- within ---------------------------------------------------------------------------------------

    def _keep(self, values: dict[str, Any], where: Where) -> None:
        kept = self.__dict__  # past __setattr__, which is for fields
        kept["_where"], kept["_values"] = where, values

    def _store(self) -> Any:
        return store(self._where)

    def _require_id(self, what: str) -> None:
        if self._values["id"] is None:
            raise UsageError(f"A work that was not deposited cannot be {what}.", "Call deposit() first.")

    def _lost(self) -> LostRunError:
        found: Found | None = self._store().get(self.id)
        if found is None:
            return LostRunError(f"There is no work {self.id} any more.", "It was deleted; nothing was changed.")
        now = found.document
        results = now.get("results")
        if isinstance(results, Mapping) and results.get("locked") is True:
            return LostRunError(f"The results of work {self.id} are locked.", "Unlock them first.")
        if self.run is None:
            fact = f"Work {self.id} has begun anew, or ended, since it was read"
        else:
            fact = f"Attempt {self.attempt} of work {self.id} is not this program's any more"
        return LostRunError(
            f"{fact}: it is {now['status']}, attempt {now['attempt']}. Nothing was changed.",
            "Give it a longer timeout, or update() it while it runs.",
        )

    def _take(self, document: Mapping[str, Any]) -> None:
        run = self._values["run"]
        fresh = type(self)._found({"run": run, **document}, self._where)
        object.__setattr__(self, "_values", fresh._values)

    @classmethod
    def _found(cls, document: Mapping[str, Any], where: Where) -> Self:
        """A Work as it is stored; what is in it that no Work of this version has is shown as it is."""
        made = cls.__new__(cls)
        values = {**_USUAL, **document}
        if len(values) > len(_USUAL):
            values = {name: values[name] for name in _USUAL}
        if None in _never_none(values):
            values.update((name, _USUAL[name]) for name in _NEVER_NONE if values[name] is None)
        made._keep(values, where)
        return made


def _each(name: str, value: Any) -> list[Any]:
    if value is None:
        return []
    listed = [value] if isinstance(value, str | int) else list(value)
    if name == "event":
        return list(checked("event", listed))
    return [checked("pipeline" if name == "pipeline" else "site", each) for each in listed]


def _complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Every field, in their order.

    Raises:
        UsageError: names the field that cannot be that.
    """
    values = _USUAL.copy()
    for name, usual in _TELL.items():
        if name not in given:
            values[name] = usual()
    values.update(all_checked(given))
    _check_together(values)
    return values


def _check_together(values: Mapping[str, Any]) -> None:
    if values["function"] is not None and values["command"] is not None:
        raise UsageError("A work has either a function or a command.", "Leave one of them out.")


def decode_of(value: Any) -> Any:
    """A copy of a value of a field, so that who changes a payload does not change the Work."""
    if isinstance(value, dict):
        return {name: decode_of(each) for name, each in value.items()}
    return [decode_of(each) for each in value] if isinstance(value, list) else value
