"""The queue beside others from PyPI: the same jobs, which do nothing, in one run, the SQLite ones on the same disk.

Type: ``python -m benchmarks.queue_peers [--jobs N] [--pick-ups N]``. Each queue works with the settings its own pages
recommend, else with its defaults (its program in `benchmarks/queues` says which), in an environment of its own.
*litequeue* and *dbos* keep a job until it is finished and serve several processes: the fair comparison. The others are
for orientation: *huey* deletes a task when it is fetched, so a killed worker loses it; *persist-queue* serves one
process; *procrastinate* needs a PostgreSQL server.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import mark, percentile, rate_row
from benchmarks.queues import postgres
from benchmarks.queues.crowd import DrainError, Peer, drain, new_queue, pick_ups
from clx.db.bench import loop

CLX = Peer("clx", "clx_queue", "rung out of its sleep by whoever enqueues")
PEERS = (
    CLX,
    Peer("litequeue", "lite_queue", "no wait of its own: a pop every 10 ms", share=0.2),
    Peer("dbos", "dbos_queue", "looks every 0.1 s (default 1 s)", share=0.06, rounds=1),
    Peer("huey", "huey_queue", "looks after 0.1 s, then ever more seldom, up to 10 s", keeps=False, rounds=1),
    Peer(
        "persist-queue",
        "persist_queue",
        "an event between two threads of one process",
        crowd=False,
        share=0.2,
        rounds=1,
    ),
    Peer("procrastinate", "procrastinate_queue", "LISTEN/NOTIFY", sqlite=False, share=0.06, rounds=1),
)
PROCESSES = (1, 2, 4, 8)
JOBS = 50_000
PICK_UPS = 40
AIM = 2.0
AIM_LOOP = 1.0
AIM_CROWD = 0.8
"""What 8 processes keep of the rate of 2: less is a collapse."""
AIM_PICK_UP = 3.0
"""Milliseconds."""


def jobs_of(peer: Peer, jobs: int) -> int:
    """How many of *jobs* a peer gets."""
    return max(1, int(jobs * peer.share))


class Drains:
    """All drains of one number of processes."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._rates: dict[str, list[float]] = defaultdict(list)
        self._locked: Counter[str] = Counter()
        self._failed: dict[str, str] = {}

    def run(self, peers: list[Peer], jobs: int, server: postgres.Server | None) -> None:
        """Let every queue work, in turns, so that a busy moment is not one queue's."""
        for turn in range(max(peer.rounds for peer in peers)):
            for peer in peers:
                if turn < peer.rounds and (peer.crowd or self.processes == 1):
                    self.once(peer, jobs_of(peer, jobs), server)

    def once(self, peer: Peer, jobs: int, server: postgres.Server | None) -> None:
        """Let one queue work."""
        try:
            with new_queue(peer, server) as where:
                done = drain(peer, where, self.processes, jobs)
        except DrainError as error:
            self._failed[peer.name] = str(error)
        else:
            self._rates[peer.name].append(done.rate)
            self._locked[peer.name] += done.locked

    def rate(self, peer: Peer) -> float | None:
        """Jobs per second; None where no drain succeeded."""
        return statistics.median(self._rates[peer.name]) if self._rates[peer.name] else None

    def best(self, peers: list[Peer]) -> float | None:
        """The best rate of those that promise the same."""
        return max((rate for peer in peers if peer.fair and (rate := self.rate(peer))), default=None)

    def notes(self) -> Iterator[str]:
        """What the rates do not tell."""
        for name, error in self._failed.items():
            yield f"{name} at {self.processes} processes: failed: {error}"
        for name, count in self._locked.items():
            if count:
                yield f"{name} at {self.processes} processes: found the database locked and tried again, {count} in all"

    def row(self, peers: list[Peer]) -> str:
        """One line of the table."""
        shown = "".join(f"{self._cell(peer):>15}" for peer in peers)
        ours, best = self.rate(CLX), self.best(peers)
        ratio = ours / best if ours and best else None
        told = f"{ratio:7.1f} ×" if ratio else f"{'-':>9}"
        return f"{self.processes:<11}{shown}{told:>17}   aim ≥ {AIM:g} × {mark(bool(ratio and ratio >= AIM))}"

    def _cell(self, peer: Peer) -> str:
        if not peer.crowd and self.processes > 1:
            return "-"
        rate = self.rate(peer)
        return f"{rate:,.0f}" if rate else "failed"


def drains(peers: list[Peer], jobs: int, server: postgres.Server | None) -> None:
    """Print the rates of all numbers of processes, and what follows from them."""
    print(f"{'processes':<11}" + "".join(f"{peer.name:>15}" for peer in peers) + f"{'clx / best fair':>17}")
    print(f"{'of jobs':<11}" + "".join(f"{jobs_of(peer, jobs):>15,}" for peer in peers))
    found = {processes: Drains(processes) for processes in PROCESSES}
    for each in found.values():
        each.run(peers, jobs, server)
        print(each.row(peers), flush=True)
    for note in (note for each in found.values() for note in each.notes()):
        print(note)
    print("The fair peers are litequeue and dbos. A queue with fewer jobs is shallower, which favours it: a pop of")
    print("litequeue sorts all that wait, so a full one would take it minutes.")
    crowds = {processes: Drains(processes) for processes in (2, 8)}
    for _ in range(CLX.rounds):  # both in the same minutes
        for each in crowds.values():
            each.once(CLX, jobs, server)
    two, eight = (each.rate(CLX) for each in crowds.values())
    if two and eight:
        rate_row("clx, 8 processes by 2", eight, two, AIM_CROWD)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        own = loop(Path(folder), jobs)
    assert own.bare is not None
    rate_row("a worker's own loop by the same two bare transactions", own.value, own.bare, AIM_LOOP)
    ours, best = found[1].rate(CLX), found[1].best(peers)
    if ours and best:
        rate_row("a worker's own loop by the best fair peer's", ours, best, AIM)


def latencies(peers: list[Peer], jobs: int, server: postgres.Server | None) -> None:
    """Print how soon an idle worker of each starts a job."""
    print(f"\n{f'pick-up by an idle worker, {jobs} jobs':<44}{'p50':>12}{'p99':>12}   how it waits")
    medians = {}
    for peer in peers:
        try:
            with new_queue(peer, server) as where:
                found = [1000 * seconds for seconds in pick_ups(peer, where, jobs)]
        except DrainError as error:
            print(f"{peer.name:<44}failed: {error}", flush=True)
            continue
        medians[peer] = percentile(found, 0.5)
        print(f"{peer.name:<44}{medians[peer]:9.2f} ms{percentile(found, 0.99):9.2f} ms   {peer.waits}", flush=True)
    ours = medians.get(CLX)
    fast = ours is not None and ours <= AIM_PICK_UP
    print(f"{'clx, p50':<44}{ours or 0:9.2f} ms   aim ≤ {AIM_PICK_UP:g} ms {mark(fast)}")
    others = [value for peer, value in medians.items() if peer is not CLX and peer.crowd]
    lowest = ours is not None and all(ours <= value for value in others)
    print(f"{'clx, p50, among those that serve several':<44}{'':12}   aim: the lowest {mark(lowest)}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=JOBS, help="jobs in a queue of the fast ones")
    parser.add_argument("--pick-ups", type=int, default=PICK_UPS, help="jobs for the pick-up latency")
    options = parser.parse_args()
    with postgres.server() as server:
        peers = [peer for peer in PEERS if peer.sqlite or server is not None]
        if server is None:
            print(f"procrastinate: PostgreSQL is not installed: {postgres.INSTALL}")
        else:
            print(f"procrastinate: PostgreSQL {server.version}, default settings, a socket of its own")
        drains(peers, options.jobs, server)
        latencies(peers, options.pick_ups, server)


if __name__ == "__main__":
    main()
