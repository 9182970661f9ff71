"""``clx serve bench``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from clx.cli.options import verbose_option
from clx.cli.output import print_json, table
from clx.cli.terminal import echo
from clx.errors import StartupError, ToolMissingError, UsageError

if TYPE_CHECKING:
    from clx.serving.bench.loads import Result

_EPILOG = """\b
Examples:
  clx serve bench digits --rate 200 --timeout 20           requests at random times, 20 ms each
  clx serve bench digits --rate 200 --rate 800 --load bursts --plot load.svg
  clx serve bench digits --load closed --clients 32        each asks again when it has its answer
  clx serve bench --simulate                               policies side by side, without a server
  clx serve bench --simulate --times model.onnx            with service times measured of a model
  clx serve bench --simulate --times actions.tsv           with those that clx serve export actions has written
  clx serve bench --simulate --models 4000 --workers 100   what a request costs where there is much
  clx serve bench --simulate --models 4000 --workers 100 --held 5   cold models: room for 5 % of them

\b
Exit codes: 0 done; 2 usage error; 3 there is no server, the model is not ready, or a package is missing.
"""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LOADS = (0.7, 1.5, 4.0)


@click.command("bench", epilog=_EPILOG)
@click.argument("model", required=False)
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The server.")
@click.option(
    "--load",
    type=click.Choice(["poisson", "bursts", "closed", "replay"]),
    default="poisson",
    show_default=True,
    help="When requests come.",
)
@click.option(
    "--rate",
    "rates",
    type=click.FloatRange(0.1, 1e6),
    multiple=True,
    help="Requests a second; several runs by several.",
)
@click.option(
    "--clients", type=click.IntRange(1, 512), default=8, show_default=True, help="With --load closed: how many ask."
)
@click.option(
    "--arrivals", type=_FILE, metavar="FILE", help="With --load replay: seconds at which requests come, a line each."
)
@click.option("--token-file", type=_FILE, metavar="FILE", help="The token that the server wants.")
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=5.0, show_default=True, help="How long a run is.")
@click.option("--timeout", type=click.FloatRange(0), default=0, help="Milliseconds that each request has; 0: any.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a picture: SVG, PNG or PDF."
)
@click.option("--simulate", is_flag=True, help="Play policies of acceptance on the same requests, without a server.")
@click.option(
    "--times", type=_FILE, metavar="FILE", help="With --simulate: a model (.onnx), or nanoseconds, a line each."
)
@click.option(
    "--requests",
    type=click.IntRange(100, 1_000_000),
    default=5000,
    show_default=True,
    help="With --simulate: how many.",
)
@click.option("--models", type=click.IntRange(1, 100_000), help="With --simulate: a fleet that serves so many.")
@click.option(
    "--workers", type=click.IntRange(1, 1_000), default=2, show_default=True, help="With --models: of how many workers."
)
@click.option(
    "--held",
    type=click.FloatRange(0, 100),
    default=0,
    help="With --models: percent a worker has room for; 0: all.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of what chance decides.")
@click.option("--json", "as_json", is_flag=True, help="Numbers as JSON.")
@verbose_option()
def command(model: str | None, **options: Any) -> None:
    """Put a server under load, or compare policies in a simulation."""
    if options["simulate"]:
        if options["models"] is None:
            _simulate(options)
        else:
            _simulate_crowd(options)
        return
    if model is None:
        raise UsageError("No model is named.", "Type: clx serve bench MODEL, or clx serve bench --simulate")
    if find_spec("httptools") is None:
        raise ToolMissingError("httptools is not installed.", "Type: pip install 'clx-build[serving]'")
    if options["plot"] is not None and find_spec("matplotlib") is None:
        raise ToolMissingError("Pictures need matplotlib.", "Type: pip install matplotlib")
    from clx.serving.bench.loads import LoadError

    try:
        results = {name: asyncio.run(run()) for name, run in _runs(model, options).items()}
    except LoadError as error:
        raise StartupError(f"No load: {error}.", "Start it: clx serve --model NAME=FILE") from None
    numbers = {name: each.document(options["timeout"] / 1e3) for name, each in results.items()}
    if options["as_json"]:
        print_json({"runs": numbers})
    else:
        _print_runs(numbers)
    if options["plot"] is not None:
        _draw(results, options["plot"], options["timeout"] / 1e3)


def _runs(model: str, options: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """What is run, by name."""
    from clx.serving.bench.arrivals import bursts, poisson
    from clx.serving.bench.loads import Load

    parts = urlsplit(options["url"])
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"{options['url']} is no address of a server.", "Write --url http://HOST:PORT")
    host, port, seconds = parts.hostname, parts.port or 80, options["seconds"]
    token = _token(options["token_file"])

    def load() -> Load:
        return Load(host, port, model, options["timeout"] / 1e3, token)

    if options["load"] == "closed":
        return {f"{options['clients']} clients": lambda: load().closed_loop(options["clients"], seconds)}
    if options["load"] == "replay":
        return {"replay": lambda: load().open_loop(_read(options["arrivals"]), seconds)}
    draw = poisson if options["load"] == "poisson" else bursts

    def at(rate: float) -> Callable[[], Any]:
        return lambda: load().open_loop(draw(rate, Random(options["seed"])), seconds)  # noqa: S311

    return {f"{rate:g}/s": at(rate) for rate in options["rates"] or (100.0,)}


def _token(path: Path | None) -> str:
    """What a file has, in one line; without one what ``CLX_TOKEN`` says, if anything."""
    try:
        found = os.environ.get("CLX_TOKEN", "") if path is None else path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} has no token: {error}.", "Type: clx server token add NAME --role work") from None
    if not found.isprintable():
        raise UsageError(f"{path} has more than a token.", "Type: clx server token add NAME --role work")
    return found


def _read(path: Path | None) -> Iterator[float]:
    if path is None:
        raise UsageError("There is nothing to replay.", "Add --arrivals FILE")
    try:
        return iter(sorted(float(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()))
    except ValueError as error:
        raise UsageError(f"{path}: {error}.", "Write seconds, a line each.") from None


def _print_runs(numbers: dict[str, dict[str, float | int]]) -> None:
    heads = ["load", "offered/s", "in time/s", "p50 ms", "p99 ms", "p99.9 ms", "refused", "missed", "failed", "kept %"]
    rows = [
        [
            name,
            f"{each['offered_per_s']:.0f}",
            f"{each['goodput_per_s']:.0f}",
            *(f"{each[key]:.2f}" for key in ("p50_ms", "p99_ms", "p99_9_ms")),
            *(str(each[key]) for key in ("refused", "missed", "failed")),
            f"{100 * each['kept_rate']:.2f}",
        ]
        for name, each in numbers.items()
    ]
    echo(table(heads, rows))


def _draw(results: dict[str, Result], path: Path, timeout: float) -> None:
    from clx.serving.bench.plots import draw

    try:
        draw(results, path, timeout)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written: {error}.", "Write --plot load.svg") from None


def _simulate(options: dict[str, Any]) -> None:
    from clx.serving.bench.arrivals import bursts, poisson
    from clx.serving.bench.simulation import POLICIES, bound, run

    times, requests = _times(options), options["requests"]
    mean = sum(times) / len(times) / 1e9
    found: dict[str, dict[str, dict[str, float]]] = {}
    best: dict[str, float] = {}
    for kind, draw in (("Poisson", poisson), ("bursts", bursts)):
        for load in _LOADS:
            dice = Random(options["seed"])  # noqa: S311
            best[f"{kind} {load:g}"] = bound(int(mean * 1e9), draw(load / mean, dice), requests, dice)
    for policy, make in POLICIES.items():
        for kind, draw in (("Poisson", poisson), ("bursts", bursts)):
            for load in _LOADS:
                dice = Random(options["seed"])  # noqa: S311
                outcome = run(make(), times, draw(load / mean, dice), requests, dice)
                name = f"{kind} {load:g}"
                numbers = {"kept_rate": outcome.kept_rate, "goodput": outcome.goodput}
                found.setdefault(policy, {})[name] = {**numbers, "of_bound": outcome.kept / best[name]}
    if options["as_json"]:
        print_json({"mean_ms": mean * 1e3, "requests": requests, "seed": options["seed"], "policies": found})
        return
    heads = ["kept % / goodput %", *next(iter(found.values()))]
    rows = [
        [policy, *(f"{100 * each['kept_rate']:.2f} / {100 * each['goodput']:.0f}" for each in loads.values())]
        for policy, loads in found.items()
    ]
    ratios = [f"{100 * each['of_bound']:.1f}" for each in found["CLX"].values()]
    echo(table(heads, [*rows, ["CLX, % of the most that anybody could", *ratios]]))
    echo(f"{requests} requests each, {mean * 1e3:.3f} ms in the mean, deadlines of 5, 20 and 100 times that.")


def _times(options: dict[str, Any]) -> list[int]:
    from clx.serving.bench import traces

    path: Path | None = options["times"]
    if path is None:
        return traces.made_up(options["seed"], 5000)
    if path.suffix == ".onnx":
        from clx.serving.worker.models import ModelError

        try:
            return traces.of_model(str(path), 2000)
        except ModelError as error:
            raise UsageError(f"{path}: {error}.", "Give --times a model of ONNX.") from None
    try:
        return traces.of_file(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}.", "Write nanoseconds, a line each.") from None


def _simulate_crowd(options: dict[str, Any]) -> None:
    from clx.serving.bench.crowds import crowd

    here = f"{options['models']} models, {options['workers']} workers"
    asked = options["models"], options["workers"], options["held"] / 100
    runs = {"10 models, 2 workers": (10, 2, 0.0), here: asked}
    found = {}
    for name, (models, workers, part) in runs.items():
        done = crowd(models, workers, part=part, seed=options["seed"])
        told = done.told
        found[name] = {
            "cpu_us": done.cost / 1e3,
            "requests": told.offered,
            "cold": told.cold / told.offered,
            "refused": told.refused_rate,
            "kept_rate": told.kept_rate,
            "given_up": done.evicted,
        }
    if options["as_json"]:
        print_json({"seed": options["seed"], "fleets": found})
        return
    heads = ["fleet", "CPU us/request", "requests", "cold %", "refused %", "kept %", "given up"]
    parts = ("cold", "refused", "kept_rate")
    rows = [
        [
            name,
            f"{each['cpu_us']:.0f}",
            str(each["requests"]),
            *(f"{100 * each[key]:.2f}" for key in parts),
            str(each["given_up"]),
        ]
        for name, each in found.items()
    ]
    echo(table(heads, rows))
    echo("CPU is that of the whole simulation: the scheduler, and what plays the workers.")
