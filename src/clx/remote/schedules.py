"""The schedules of a server's job table, with the verbs of :class:`clx.db.schedules.table.Schedules`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from clx.db.models import NewJob
from clx.db.schedules.models import Fire, Schedule
from clx.db.schedules.table import Backfill
from clx.db.validation import check_limit
from clx.errors import QueueError, ServerError
from clx.remote.documents import job_document

if TYPE_CHECKING:
    from clx.remote.connection import Connection

_SENT = [each.name for each in fields(Schedule) if each.name not in ("job", "next_at", "created_at")]
_TOLD = {each.name for each in fields(Schedule)}
_FIRE = {each.name for each in fields(Fire)}


class RemoteSchedules:
    """The schedules of a server; :attr:`Client.schedules <clx.remote.client.Client.schedules>` has them.

    Args:
        connection: to the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> list[Schedule]:
        """As :meth:`clx.db.schedules.table.Schedules.list`."""
        return [_schedule(each) for each in self._call("GET", "/schedules")["schedules"]]

    def get(self, name: str) -> Schedule:
        """As :meth:`clx.db.schedules.table.Schedules.get`."""
        for each in self.list():
            if each.name == name:
                return each
        raise QueueError(f'There is no schedule "{name}".', "See what there is: clx schedules list")

    def fires(self, name: str, limit: int = 20) -> Fires:
        """As :meth:`clx.db.schedules.table.Schedules.fires`; at most 10,000."""
        check_limit(limit)
        return _fires(self._call("GET", "/schedules/fires", query={"name": name, "limit": limit}))

    def add(self, schedule: Schedule, *, replace: bool = False) -> Schedule:
        """As :meth:`clx.db.schedules.table.Schedules.add`."""
        if not isinstance(schedule, Schedule):
            raise QueueError(
                "A schedule goes in as a Schedule.", 'Write Schedule("name", "0 6 * * *", NewJob("type")).'
            )
        told = {name: getattr(schedule, name) for name in _SENT}
        body = {**told, "job": job_document(schedule.job), "replace": replace}
        return _schedule(self._call("POST", "/schedules", body=body))

    def remove(self, name: str) -> None:
        """As :meth:`clx.db.schedules.table.Schedules.remove`."""
        self._change("remove", name)

    def pause(self, name: str) -> None:
        """As :meth:`clx.db.schedules.table.Schedules.pause`."""
        self._change("pause", name)

    def resume(self, name: str) -> Schedule:
        """As :meth:`clx.db.schedules.table.Schedules.resume`."""
        self._change("resume", name)
        return self.get(name)

    def run(self, name: str) -> Fire:
        """As :meth:`clx.db.schedules.table.Schedules.run`."""
        return _fires(self._change("run", name))[0]

    def backfill(
        self, name: str, start: int, end: int, *, only_missing: bool = False, at_most: int | None = None
    ) -> Backfill:
        """As :meth:`clx.db.schedules.table.Schedules.backfill`."""
        body = {"name": name, "start": start, "end": end, "only_missing": only_missing, "at_most": at_most}
        done = self._call("POST", "/schedules/backfill", body=body)
        return Backfill(_fires(done), done["there"], done["left"])

    def _change(self, verb: str, name: str) -> Any:
        try:
            return self._call("POST", f"/schedules/{verb}", body={"name": name})
        except ServerError as error:
            if error.fact.startswith("There is no schedule"):
                raise QueueError(error.fact, error.next_step) from error
            raise

    def _call(self, method: str, path: str, **more: Any) -> Any:
        return self._connection.call(method, path, dict[str, Any], **more)


Fires = list[Fire]


def _schedule(told: Mapping[str, Any]) -> Schedule:
    known = {name: value for name, value in told.items() if name in _TOLD}
    return Schedule(**{**known, "job": NewJob(**told["job"])})


def _fires(told: Mapping[str, Any]) -> Fires:
    return [Fire(**{name: value for name, value in each.items() if name in _FIRE}) for each in told["fires"]]
