"""``clx daily check``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from clx.cli.daily_options import flow_argument
from clx.cli.options import verbose_option
from clx.cli.output import Output, duration, format_option, table
from clx.cli.project import Here
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.daily.days import Late
    from clx.daily.flow import Flow, Step
    from clx.daily.lake import Lake
    from clx.routines.routine import Routine


@click.command("check")
@flow_argument
@click.option("--repair", is_flag=True, help="Lay out anew what differs from what was published.")
@format_option
@verbose_option()
def check(here: Here, flow: Flow, repair: bool) -> Output:
    """Say what a flow is, and what of its lake and days is amiss.

    Every file of the lakes that the flow's file names is compared with what was published; --repair lays out the
    folders of days that differ anew, and files there that nobody has published go. A flow with by="09:00" is late when
    its day is not done then.

    \b
    Examples:
      clx daily check lab/flow.py
      clx daily check lab/flow.py --repair

    \b
    Exit codes: 0; 1 a folder differs, and was not repaired, or the day is late; 2 usage error, or the
    flow cannot be imported; 4 the job table cannot be read.
    """
    from clx.daily.registering import tasks_of

    tasks = tasks_of(flow)
    steps = [_step(each, tasks[each.name]) for each in flow.order]
    lakes = [_lake(each, repair) for each in lakes_of(flow)]
    late = _late(here, flow)
    document = {
        "flow": flow.name,
        "file": str(flow.file),
        **{name: getattr(flow, name) for name in ("zone", "at", "by")},
        "steps": steps,
        "lakes": lakes,
        "late": None if late is None else late._asdict(),
    }
    differ = any(not each["repaired"] for found in lakes for each in found["differs"])
    return Output(document, list(_lines(document)), exit_code=1 if differ or late is not None else 0)


def _step(step: Step, routine: Routine[..., Any]) -> dict[str, Any]:
    return {
        "name": step.name,
        "pool": step.pool,
        "items": None if step.items is None else len(step.items),
        "enough": step.enough,
        "timeout": None if routine.options.timeout is None else routine.options.timeout / 1000,
        "max_runs": step.max_runs,
        "needs": list(dict.fromkeys(each.step for each in step.references)),
        "code": routine.code,  # type: ignore[attr-defined]
    }


def lakes_of(flow: Flow) -> list[Lake]:
    """The lakes that the flow's file has as its globals."""
    from clx.daily.lake import Lake

    found = vars(sys.modules[flow.file.stem]).values()
    return list({each.folder: each for each in found if isinstance(each, Lake)}.values())


def _lake(lake: Lake, repair: bool) -> dict[str, Any]:
    from clx.daily.settling import differences, published, repaired

    with lake:
        differs = []
        for each in list(differences(lake)):
            why_not = repaired(lake, each) if repair else ""
            told = {**each._asdict(), "folder": str(each.folder), "repaired": repair and not why_not}
            differs.append({**told, "why_not": why_not})
        return {"folder": str(lake.folder), "days": published(lake), "differs": differs}


def _late(here: Here, flow: Flow) -> Late | None:
    from clx.daily.days import days_of, late

    if flow.by is None:
        return None
    database = here.look()
    if database is None:
        return late(flow, [], datetime.now(UTC))
    with database:
        return late(flow, days_of(database, flow.name), datetime.now(UTC))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    due = "".join(f", {word} {document[word]}" for word in ("at", "by") if document[word])
    yield visible_line(f"{document['flow']}: {len(document['steps'])} steps, days of {document['zone']}{due}")
    yield table(("STEP", "POOL", "ITEMS", "TIMEOUT", "RUNS", "NEEDS"), [_cells(each) for each in document["steps"]])
    for lake in document["lakes"]:
        yield visible_line(f"{lake['folder']}: {lake['days']} days of datasets, {len(lake['differs'])} differ")
        for each in lake["differs"]:
            done = "; laid out anew" if each["repaired"] else f"; {each['why_not']}" if each["why_not"] else ""
            yield visible_line(f"  {each['dataset']} {each['day']} version {each['version']}: {each['why']}{done}")
        if any(not each["repaired"] and not each["why_not"] for each in lake["differs"]):
            yield "  To lay them out anew: the same command with --repair"
    if late := document["late"]:
        yield f"LATE: {late['day']} was to be done by {document['by']} and is {late['state'] or 'not begun'}."


def _cells(step: dict[str, Any]) -> tuple[str, ...]:
    items = "" if step["items"] is None else str(step["items"])
    if step["items"] not in {None, step["enough"]}:
        items += f" ({step['enough']} are enough)"
    time = "–" if step["timeout"] is None else duration(step["timeout"])
    return step["name"], step["pool"] or "any", items or "–", time, str(step["max_runs"] or 1), ", ".join(step["needs"])
