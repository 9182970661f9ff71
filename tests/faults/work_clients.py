# mypy: ignore-errors
"""The clients of CHIME/FRB Workflow in a storm of works, each run by its own interpreter; see ``work_participants``.

``ack NUMBER`` is a deposit that has returned, ``told ID BY`` an update with a success that was taken of a work that
``BY`` has deposited, ``late ID`` one that was not.
"""

from __future__ import annotations

import os
import sys
import traceback
from functools import partial
from pathlib import Path

PIPELINE, HELD = "storm", 5


def chime(url):
    """``chime-frb-api`` 3.4."""
    from chime_frb_api.workflow import Work

    return (
        Work,
        {"base_url": f"{url}/workflow/buckets"},
        partial(Work.withdraw, PIPELINE, base_url=f"{url}/workflow/buckets"),
    )


def core(_url):
    """``workflow-core`` 1.12; its workspace file names the server."""
    from workflow.definitions.work import Work
    from workflow.http.context import HTTPContext

    http = HTTPContext(backends=["buckets"])
    return Work, {"http": http}, partial(Work.withdraw, PIPELINE, http=http)


class Log:
    """As in ``work_participants``, which cannot be imported here."""

    def __init__(self, path):
        self._path, self._file = Path(path), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, *words):
        os.write(self._file, f"{' '.join(map(str, words))}\n".encode())

    def acknowledged(self):
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return {int(line.split(" ")[1]) for line in lines if line.startswith("ack ")}


def heard(call):
    """What a call returns, however often it has to be made until somebody answers."""
    while True:
        try:
            return call()
        except Exception as error:  # each of them has several, and tells none from another
            print(repr(error)[:200], file=sys.stderr)


def deposit(log, kind, client, first, last):
    work_type, more, _ = client
    there = log.acknowledged()
    for number in range(int(first), int(last)):
        if number not in there:
            work = work_type(
                pipeline=PIPELINE, site="local", user="storm", parameters={"n": number, "by": kind}, retries=5,
                timeout=HELD, tags=[f"t{number % 10}"], creation=1.7e9 + number,
            )  # fmt: skip
            heard(lambda work=work: work.deposit(**more))
            log.say("ack", number)


def perform(log, kind, client):
    _, more, withdraw = client
    said = {} if kind == "core" else more
    while True:
        work = heard(withdraw)
        if work is not None:
            work.results = {"twice": 2 * work.parameters["n"]}
            work.status = "success"
            is_taken = heard(lambda work=work, said=said: work.update(**said))
            log.say(*(("told", work.id, work.parameters["by"]) if is_taken else ("late", work.id)))


def main(role, path, url, *more):
    """``chime-deposit FIRST LAST``, ``core-perform``, and so on."""
    log = Log(path)
    kind, _, what = role.partition("-")
    try:
        client = heard(lambda: {"chime": chime, "core": core}[kind](url))
        {"deposit": deposit, "perform": perform}[what](log, kind, client, *more)
    except BaseException:
        log.say("problem", role, repr(traceback.format_exc()))
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
