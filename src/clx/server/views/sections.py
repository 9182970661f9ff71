"""What the page is made of: sections, each a title, addresses, and for each address what it looks at and a template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.routing import BaseRoute

from clx.db.jobs import Queue
from clx.db.tokens import may
from clx.server.answers import Refusal

if TYPE_CHECKING:
    from clx.server.threads import DatabaseThreads
    from clx.server.views.board import Board

TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 500
"""Characters of a value in an address."""
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What a view is asked.

    Attributes:
        board: what is counted for everybody together.
        role: that of whoever asks.
        url: path and query of the view.
        path: values in the path.
        query: what the query says; of a name that is given several times the last.
        all: the same with all of them.
    """

    queue: Queue
    board: Board
    role: str
    url: str
    path: Mapping[str, Any]
    query: Mapping[str, str]
    all: Mapping[str, Sequence[str]]

    def may(self, role: str) -> bool:
        """Whether who asks has a role."""
        return may(self.role, role)

    def number(self, name: str) -> int | None:
        """A whole number from 1 of the query; None where there is none.

        Raises:
            Refusal: 422, it is something else.
        """
        text = self.query.get(name, "").strip().lstrip("#")
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= 19 and 1 <= int(text) <= _MOST):
            raise Refusal(422, f"{name} is a whole number from 1.", "Correct the address.")
        return int(text)

    def text(self, name: str) -> str:
        """A text of the query; empty where there is none.

        Raises:
            Refusal: 422, it is too long.
        """
        found = self.query.get(name, "").strip()
        if len(found) > _LONGEST or "\0" in found:
            raise Refusal(422, f"{name} is too long, or no text.", f"Give up to {_LONGEST} characters.")
        return found

    def with_query(self, **changes: Any) -> str:
        """The address of this view with some values of the query in place of others; None takes one away."""
        kept = {name: list(values) for name, values in self.all.items() if name not in changes}
        given = {name: value for name, value in changes.items() if value is not None}
        query = urlencode({**kept, **given}, doseq=True)
        path = self.url.partition("?")[0]
        return f"{path}?{query}" if query else path


@dataclass(frozen=True, slots=True)
class View:
    """One kind of page.

    Attributes:
        path: its address, as Starlette writes it: ``/jobs/{id:id}``.
        template: its template; what it calls ``main`` is live.
        look: what the template is told; asked in a thread for the table. Of what is not there it raises
            :class:`~clx.server.answers.Refusal`.
    """

    path: str
    template: str
    look: Callable[[Asked], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the further addresses of a section have to do with."""

    queue: Queue
    threads: DatabaseThreads


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with an entry in its menu.

    Attributes:
        title: what the menu calls it.
        path: where the entry leads.
        key: the letter that leads there after ``g``.
        views: its pages.
        routes: further addresses: files, changes. Each looks itself which role it needs (``RoleGuard``).
        templates: the directory of its templates.
    """

    title: str
    path: str
    key: str
    views: Sequence[View]
    routes: Callable[[Parts], Sequence[BaseRoute]] = field(default=lambda _parts: ())
    templates: Path = TEMPLATES
