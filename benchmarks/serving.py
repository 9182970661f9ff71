"""Serving of models against other servers, and against its own promises: ``python -m benchmarks.serving [PART…]``.

Parts, all of them without words:

* ``cost``: closed loops of 1, 8 and 32 clients with the same small network everywhere: what a request costs all
  processes of a server, latencies, memory, start. ``inline`` is the floor (a bare protocol that runs the model itself),
  ``process`` what that costs if the model runs in a process of its own, which is what CLX promises;
* ``goodput``: requests with mixed deadlines at 0.5 to 4 times the capacity, at random times and in bursts, against the
  best that a simulation of the same requests finds among policies that keep 99.9 % of what they accept; the part kept
  of what was accepted; how long a refusal takes;
* ``beside``: requests with 5 ms beside a heavy load on another model, and alone.

Nothing else should run meanwhile. The environments of the others are made on first use.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks import peers
from benchmarks.measure import mark
from benchmarks.served import networks, servers
from benchmarks.served.servers import Cost, Server
from clx.serving.bench.arrivals import bursts, poisson
from clx.serving.bench.simulation import POLICIES, TIMES, run

CLIENTS = (1, 8, 32)
LOADS = (0.5, 1.0, 2.0, 4.0)
SHAPES: dict[str, Callable[[float, Random], Iterator[float]]] = {"Poisson": poisson, "bursts": bursts}
SECONDS = 5.0
"""Of each load."""


def line(what: str, value: str, aim: str = "", *, met: bool | None = None) -> None:
    """Print one number."""
    print(f"{what:<70} {value:>34}   {aim}{'' if met is None else ' ' + mark(met)}", flush=True)


def median(costs: Sequence[Cost]) -> Cost:
    """The round in the middle, by what it took of a processor."""
    return sorted(costs)[len(costs) // 2]


# -- cost -----------------------------------------------------------------------------------------


def measured(
    name: str, opened: AbstractContextManager[Server], *, rounds: int = 3, seconds: float = 1.5
) -> dict[int, Cost]:
    """A server under closed loops; nothing of one that cannot be had, which is said."""
    found: dict[int, Cost] = {}
    try:
        with opened as server:
            servers.closed(server, 8, 0.5)
            memory = server.memory() / 1e6
            for clients in CLIENTS:
                found[clients] = median([servers.closed(server, clients, seconds) for _ in range(rounds)])
                cost = found[clients]
                line(
                    f"{name}, {clients} clients: CPU a request, p50 / p99, requests a second",
                    f"{cost.cpu:,.0f} µs, {cost.p50:.2f} / {cost.p99:.2f} ms, {cost.rate:,.0f}/s",
                )
            ours = name == "clx"
            aims = ("aim ≤ 80", "aim ≤ 1.5") if ours else ("", "")
            line(f"{name}: memory (PSS)", f"{memory:.0f} MB", aims[0], met=_if(ours, memory <= 80))
            line(
                f"{name}: start to first answer", f"{server.start:.2f} s",
                aims[1], met=_if(ours, server.start <= 1.5),
            )  # fmt: skip
    except (RuntimeError, OSError) as error:
        line(name, "FAILED")
        print(str(error)[-600:], file=sys.stderr)
    return found


class Ratios(NamedTuple):
    """What a request costs CLX, in parts of what it costs a bare protocol, by clients; the middle of the rounds."""

    inline: dict[int, float]
    process: dict[int, float]


def side_by_side(model: Path, *, rounds: int = 7, seconds: float = 1.0) -> Ratios:
    """CLX and the bare protocols, each round one after the other: what else the machine does is the same to all."""
    inline: dict[int, float] = {}
    process: dict[int, float] = {}
    with servers.clx({"mlp": model}) as ours, servers.inline(model) as one, servers.inline(model, "process") as two:
        for each in (ours, one, two):
            servers.closed(each, 8, 0.5)
        for clients in CLIENTS:
            found = [[servers.closed(each, clients, seconds).cpu for each in (ours, one, two)] for _ in range(rounds)]
            inline[clients] = sorted(us / floor for us, floor, _ in found)[rounds // 2]
            process[clients] = sorted(us / floor for us, _, floor in found)[rounds // 2]
            least = [min(column) for column in zip(*found, strict=True)]
            line(
                f"{clients} clients, side by side: least CPU a request of clx, inline, process",
                ", ".join(f"{each:,.0f}" for each in least) + " µs",
            )
    return Ratios(inline, process)


def _if(so: bool, met: bool) -> bool | None:
    return met if so else None


def cost(folder: Path) -> None:
    """What a request costs, and how long it takes, with nothing that hurries."""
    model = networks.write(folder / "mlp.onnx")
    found = {
        "clx": measured("clx", servers.clx({"mlp": model})),
        "inline": measured("inline", servers.inline(model)),
        "process": measured("process", servers.inline(model, "process")),
        "starlette": measured("starlette", servers.inline(model, "starlette"), rounds=1),
        "MLServer": measured("MLServer", servers.mlserver(model), rounds=1),
        "LitServe": measured("LitServe", servers.litserve(model), rounds=1),
        "BentoML": measured("BentoML", servers.bentoml(model), rounds=1),
    }
    ours = found["clx"]
    if not ours:
        return
    for name, ratios in side_by_side(model)._asdict().items():
        for clients in CLIENTS:
            aim, ratio = ("aim ≤ 1.5" if clients == 1 else ""), ratios[clients]
            line(
                f"CPU a request of {clients}, side by side: clx / {name}", f"{ratio:.2f} ×",
                aim, met=_if(clients == 1, ratio <= 1.5),
            )  # fmt: skip
    line("CPU a request of 32 clients: clx", f"{ours[32].cpu:.0f} µs", "aim ≤ 100", met=ours[32].cpu <= 100)
    for clients in CLIENTS if found["MLServer"] else ():
        ratio = found["MLServer"][clients].cpu / ours[clients].cpu
        line(f"CPU a request of {clients}: MLServer / clx", f"{ratio:.1f} ×", "aim ≥ 10", met=ratio >= 10)
    for clients in CLIENTS:
        for part, name in ((1, "p50"), (2, "p99")):
            others = {who: each[clients][part] for who, each in found.items() if each and who[0] not in "cip"}
            if others:
                best = min(others, key=others.__getitem__)
                line(
                    f"{name} of {clients} clients: clx, and the best of the other servers ({best})",
                    f"{ours[clients][part]:.2f} / {others[best]:.2f} ms",
                    "aim lowest",
                    met=ours[clients][part] <= others[best],
                )


# -- goodput --------------------------------------------------------------------------------------


class Load(NamedTuple):
    """A load with deadlines: when each request comes, and which deadline it has."""

    name: str
    factor: float
    arrivals: list[tuple[float, int]]


def loads(mean: float, seconds: float) -> Iterator[Load]:
    """All loads on a model whose run takes *mean* seconds."""
    for name, shape in SHAPES.items():
        for factor in LOADS:
            dice = Random(7)
            times = shape(factor / mean, Random(int(factor * 10)))
            found = []
            for at in times:
                if at >= seconds:
                    break
                found.append((at, dice.randrange(len(TIMES))))
            yield Load(name, factor, found)


def run_times(model: Path, count: int = 400) -> list[int]:
    """How long runs of a model take here, nanoseconds."""
    from time import perf_counter_ns

    import numpy as np

    from benchmarks.rivals.sessions import session

    ready, row, found = session(str(model)), np.zeros((1, networks.ROW), np.float32), []
    for _ in range(count):
        began = perf_counter_ns()
        ready.run(["y"], {"x": row})
        found.append(perf_counter_ns() - began)
    return found[20:]


def heavy(folder: Path) -> Path:
    """A network of some 2 ms, of which a batch would gain nothing: it takes one row."""
    return networks.write(folder / "heavy.onnx", wide=1000, rows=1, layers=4)


KEEPS = 0.999
"""The part of what it accepts that a policy has to answer in time, to be compared with: others promise more."""


def optimum(times: Sequence[int], load: Load) -> tuple[float, float]:
    """The most requests a second that a policy of the simulation answers in time: of those that keep what they
    promise (:data:`KEEPS`), and of all."""
    best = most = 0.0
    for policy in POLICIES.values():
        count = len(load.arrivals)
        found = run(policy(), times, (at for at, _ in [*load.arrivals, (1e6, 0)]), count, Random(7))
        most = max(most, found.kept / SECONDS)
        if found.kept_rate >= KEEPS:
            best = max(best, found.kept / SECONDS)
    return best or most, most


class Kept(NamedTuple):
    """What became of a load: answered in time, accepted and not, all a second; refusals in ms."""

    goodput: float
    kept: float
    refusals: list[float]
    failed: int


def offered(server: Server, load: Load, deadlines: Sequence[float], *, told: bool) -> Kept:
    """Put a load on a server; *told*: whether it is told the deadlines."""
    asked = [servers.request(path=server.path, timeout=each if told else 0) for each in deadlines]
    replies = servers.drive(server, asked, arrivals=load.arrivals)
    good = sum(status == 200 and took <= deadlines[which] + 0.001 for _, took, status, which in replies)
    right = sum(status == 200 for _, _, status, _ in replies)
    missed = sum(status == 504 for _, _, status, _ in replies)
    refusals = sorted(took * 1e3 for _, took, status, _ in replies if status == 429)
    failed = len(replies) - right - missed - len(refusals)
    accepted = (right + missed) if told else len(replies)
    kept = (right if told else good) / accepted if accepted else 1.0
    return Kept(good / SECONDS, kept, refusals, failed)


def goodput(folder: Path) -> None:
    """Answered in time, at loads that can be carried and at such that cannot."""
    model = heavy(folder)
    times = run_times(model)
    mean = sum(times) / len(times) / 1e9
    deadlines = [kind * mean for kind in TIMES]
    line(
        "goodput: a run takes (mean), deadlines",
        f"{mean * 1e3:.2f} ms, {', '.join(f'{d * 1e3:.0f}' for d in deadlines)} ms",
    )
    with servers.clx({"mlp": model}) as ours:
        for load in loads(mean, SECONDS):
            found, (best, most) = offered(ours, load, deadlines, told=True), optimum(times, load)
            share = found.goodput / best if best else 1.0
            name = f"{load.name} {load.factor:g} × capacity"
            line(
                f"{name}: answered in time, of the simulated optimum",
                f"{found.goodput:,.0f}/s, {share:.1%}", "aim ≥ 95 %", met=share >= 0.95,
            )  # fmt: skip
            if most > best:
                line(f"{name}: of one that breaks promises", f"{found.goodput / most:.1%}")
            line(f"{name}: kept of what was accepted", f"{found.kept:.3%}", "aim ≥ 99.9 %", met=found.kept >= 0.999)
            if found.failed:
                line(f"{name}: requests that failed", str(found.failed), "aim 0", met=False)
            if load.factor == 4 and found.refusals:
                slow = found.refusals[min(len(found.refusals) - 1, int(len(found.refusals) * 0.999))]
                middle = found.refusals[len(found.refusals) // 2]
                line(
                    f"{name}: a refusal, p50 / p99.9 of {len(found.refusals)}",
                    f"{middle:.2f} / {slow:.2f} ms", "aim ≤ 2", met=slow <= 2,
                )  # fmt: skip
    others: dict[str, AbstractContextManager[Server]] = {
        "MLServer": servers.mlserver(model),
        "LitServe": servers.litserve(model),
    }
    for name, opened in others.items():
        try:
            with opened as server:
                for load in islice(loads(mean, SECONDS), 1, 3):  # at more they do not come to an end
                    found = offered(server, load, deadlines, told=False)
                    line(f"{name}, {load.name} {load.factor:g} × capacity: answered in time", f"{found.goodput:,.0f}/s")
        except (RuntimeError, OSError) as error:
            line(name, "FAILED")
            print(str(error)[-600:], file=sys.stderr)


# -- beside ---------------------------------------------------------------------------------------


def beside(folder: Path) -> None:
    """A model with 5 ms, alone and beside a load on another one."""
    quick, other = networks.write(folder / "mlp.onnx"), heavy(folder)
    arrivals = [(at, 0) for at in islice(poisson(200, Random(3)), 1000)]
    with servers.clx({"mlp": quick, "heavy": other}) as server, ExitStack() as stack:
        heavier = server._replace(path="/v2/models/heavy/infer")
        asked = servers.request(timeout=0.005)
        part = {}
        for name in ("alone", "beside"):
            if name == "beside":
                stack.enter_context(servers.driven(heavier, servers.request(path=heavier.path, timeout=0.5), 8, 9.0))
            replies = servers.drive(server, [asked], arrivals=arrivals)
            part[name] = sum(status != 200 for _, _, status, _ in replies) / len(replies)
            line(f"requests with 5 ms, {name}: not answered in time", f"{part[name]:.2%}")
    more = part["beside"] - part["alone"]
    line("requests with 5 ms beside a heavy load: refused more", f"{more:.2%}", "aim ≤ 1 %", met=more <= 0.01)


PARTS = {"cost": cost, "goodput": goodput, "beside": beside}


def main() -> None:
    """Run the parts that were named, or all."""
    unknown = [each for each in sys.argv[1:] if each not in PARTS]
    if unknown:
        sys.exit(f"there is no part {unknown[0]}: there are {', '.join(PARTS)}")
    peers.HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=peers.HOME) as folder:
        for each in sys.argv[1:] or PARTS:
            PARTS[each](Path(folder))


if __name__ == "__main__":
    main()
