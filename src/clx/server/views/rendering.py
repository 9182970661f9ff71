"""From an address to what it shows: the view, what it looks at, and its template."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from starlette.routing import compile_path

from clx.db.jobs import Queue
from clx.db.works.models import STATUSES
from clx.server.answers import Refusal
from clx.server.api.documents import MOST
from clx.server.paths import ID
from clx.server.views.board import Board
from clx.server.views.sections import TEMPLATES, Asked, Section, View
from clx.server.views.telling import DAY_SYMBOLS, FILTERS, STATES

if TYPE_CHECKING:
    import jinja2

LONGEST_URL = 2000
_MOST_FIELDS = 50


class Shown(NamedTuple):
    """What a view shows.

    Attributes:
        main: the live part, an element ``main``.
        version: digest of it.
        title: what the browser calls the page.
        url: its address.
    """

    main: str
    version: str
    title: str
    url: str


@cache
def _templates_in(places: tuple[Path, ...]) -> jinja2.Environment:
    """Servers of one program share them: to compile them takes longer than to open a job table."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(places), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(FILTERS)
    made.globals |= {"DAY_SYMBOLS": DAY_SYMBOLS, "STATES": STATES, "STATUSES": STATUSES}
    made.globals["m"] = made.get_template("macros.html").module
    return made


class Renderer:
    """Renders the views of some sections; asked in threads for the table.

    Args:
        queue: the jobs.
        sections: what there is.
    """

    def __init__(self, queue: Queue, sections: Sequence[Section]) -> None:
        self._queue = queue
        self._board = Board(queue)
        self.sections = sections
        self._views = [(section, view, *compile_path(view.path)) for section in sections for view in section.views]

    @cached_property
    def templates(self) -> jinja2.Environment:
        """The templates of all sections."""
        return _templates_in(tuple(dict.fromkeys([TEMPLATES, *(section.templates for section in self.sections)])))

    def prepare(self) -> None:
        """Read every template, so that nobody waits for it."""
        for _, view, *_ in self._views:
            self.templates.get_template(view.template)

    def show(self, url: str, role: str) -> Shown:
        """What is shown at an address, a path with its query.

        Raises:
            Refusal: there is nothing, or it cannot be asked so.
        """
        section, view, asked = self._asked(url, role)
        told = {"asked": asked, "section": section, **view.look(asked)}
        template = self.templates.get_template(view.template)
        context = template.new_context(told)
        main = "".join(template.blocks["main"](context)).encode("utf-8", "replace").decode()
        title = "".join(template.blocks["title"](context)) if "title" in template.blocks else section.title
        return Shown(main, hashlib.sha256(main.encode()).hexdigest()[:16], title, asked.url)

    def _asked(self, url: str, role: str) -> tuple[Section, View, Asked]:
        if len(url) > LONGEST_URL:
            raise Refusal(414, "The address is too long.", f"It has at most {LONGEST_URL} characters.")
        path, _, query = url.partition("?")
        for section, view, pattern, _, convertors in self._views:
            found = pattern.match(path)
            if found:
                values = {name: convertors[name].convert(value) for name, value in found.groupdict().items()}
                if not 1 <= values.get(ID, 1) <= MOST:
                    break
                return section, view, self._question(url, role, values, query)
        raise Refusal(404, "There is nothing at this address.", "The menu leads to what there is.")

    def _question(self, url: str, role: str, values: Mapping[str, Any], query: str) -> Asked:
        try:
            every = parse_qs(query, keep_blank_values=False, max_num_fields=_MOST_FIELDS, errors="replace")
        except ValueError:
            raise Refusal(422, "The query of the address cannot be read.", "Correct the address.") from None
        last = {name: given[-1] for name, given in every.items()}
        return Asked(self._queue, self._board, role, url, values, last, every)
