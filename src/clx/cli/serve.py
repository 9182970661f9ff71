"""``clx serve`` and ``clx serve worker|status|stop|export``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from clx.cli import serve_bench
from clx.cli.models import size, stands
from clx.cli.options import about_database, verbose_option
from clx.cli.output import Output, format_option, table
from clx.cli.project import Here, open_or_make
from clx.cli.terminal import echo
from clx.errors import StartupError, ToolMissingError, UsageError
from clx.platforms import system
from clx.visible import visible_line

if TYPE_CHECKING:
    import ssl

    from clx.db.database import Database
    from clx.db.serving.figures import Watched
    from clx.db.serving.table import ServingTable
    from clx.db.tokens import TokenTable
    from clx.serving.remote import Address
    from clx.serving.running import Access, Server
    from clx.serving.shelf import TableShelf
    from clx.settings.schema import Settings

_EPILOG = """\b
Examples:
  clx serve                                           what `clx models` keeps, at http://127.0.0.1:8000
  clx serve --model digits=model.onnx                 that model, too, for this run only
  clx serve --model a=a.onnx --model b=b.onnx --workers 2
  clx serve --model digits=model.onnx --port 0        at a port that is free
  clx serve --memory-budget 500M                      the least recently asked are given up for others
  clx serve --worker gpu1:9000 --worker gpu2:9000 --token-file token --model digits=model.onnx
                                                      with workers of other machines

\b
Exit codes: 0 it was ended by Ctrl-C or SIGTERM; 2 usage error; 3 the port is taken, or a package is missing.
"""
_WORKER_EPILOG = """\b
Examples:
  clx serve worker --listen 10.0.0.7:9000 --token-file token --models /srv/models
  clx serve worker --listen 127.0.0.1:9000            for controllers of this machine, without a token

\b
Exit codes: 0 it was ended by Ctrl-C or SIGTERM; 2 usage error; 3 the address cannot be had,
or a package is missing.
"""
_NEEDED = ("onnxruntime", "httptools", "numpy")
_HERE = ("127.0.0.1", "::1", "localhost")
_SHORTEST_TOKEN = 16
_MOST = 1000
"""Models that `clx serve status` shows."""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


class _Named(click.ParamType[tuple[str, Path]]):
    name = "NAME=FILE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        if isinstance(value, tuple):
            return value
        name, sign, file = str(value).partition("=")
        if not sign:
            name, file = Path(name).stem, name
        path = Path(file)
        if not path.is_file():
            self.fail(f"There is no file {file}.", param, ctx)
        return name, path.resolve()


class _Bytes(click.ParamType[int]):
    name = "BYTES"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from clx.serving.budget import bytes_of

        try:
            return bytes_of(str(value))
        except ValueError:
            self.fail(f"{value!r} is no number of bytes: write 500M, or 2G.", param, ctx)


class _At(click.ParamType["Address"]):
    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        from clx.serving.remote import Address

        host, _, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or int(port) > 65535:
            self.fail(f"{value!r} is no HOST:PORT.", param, ctx)
        return Address(host, int(port))


@click.group("serve", invoke_without_command=True, epilog=_EPILOG)
@click.option("--model", "models", type=_Named(), multiple=True, help="Serve this file, too, for this run only.")
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port; 0: any.")
@click.option("--workers", type=click.IntRange(0, 256), help="Processes with models. [default: 1; 0 with --worker]")
@click.option(
    "--worker", "remote", type=_At(), multiple=True, help="A worker of another machine; more by more of them."
)
@click.option("--token-file", type=_FILE, metavar="FILE", help="The token that those workers know, too.")
@click.option(
    "--memory-budget",
    "memory",
    type=_Bytes(),
    help="What models may take in each process that holds them, as 500M. [default: any]",
)
@click.option("--behind-proxy", is_flag=True, help="A proxy before it speaks TLS, and lets others reach it.")
@click.option("--ssl-certfile", type=_FILE, metavar="FILE", help="A certificate, to speak TLS itself.")
@click.option("--ssl-keyfile", type=_FILE, metavar="FILE", help="Its key, unless it is in the same file.")
@click.option("--phases", is_flag=True, help="First models are loaded, then requests are taken, never both.")
@about_database
@verbose_option()
@click.pass_context
def command(
    context: click.Context, /, here: Here, models: tuple[tuple[str, Path], ...], host: str, port: int, **options: Any
) -> None:
    """Serve models: each request is answered inside its deadline, or refused at once.

    Those of `clx models`, and what clients of the Open Inference Protocol (tritonclient.http, curl, which work
    unchanged) upload; all of it is served again at the next start.
    """
    if context.invoked_subcommand is not None:
        return
    _require_packages()
    tls = _tls(host, options)
    from clx.db.serving.models import NAME

    for name, _ in models:
        if not NAME.fullmatch(name):
            raise UsageError(f"A model cannot be called {name!r}.", "Use A-Z a-z 0-9 . _ -, 128 of them at most.")
    _serve(here, models, host, port, tls, options)
    context.exit(0)


def _serve(
    here: Here,
    models: Sequence[tuple[str, Path]],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    options: dict[str, Any],
) -> None:
    from clx.db.serving.table import ServingTable
    from clx.remote.stores import open_store
    from clx.serving.remote import Address
    from clx.serving.running import Access, serve
    from clx.serving.shelf import TableShelf

    settings = here.resolved.settings
    needs_tokens = host not in _HERE or options["behind_proxy"]
    made = _maker(settings, options)

    def server(shelf: TableShelf) -> Server:
        return made(shelf, Access(_tokens(shelf.table.database) if needs_tokens else None, tls))

    def told(at: int) -> None:
        echo(f"Serving at {'http' if tls is None else 'https'}://{host}:{at}; Ctrl-C ends it.")

    with open_or_make(here.resolved, here.path) as database:
        store = open_store(database.state.shared / "artifacts", settings.artifacts)
        shelf = TableShelf(ServingTable(database), store, dict(models))
        try:
            serve(shelf, server, Address(host, port), told)
        except OSError as error:
            raise StartupError(
                f"{host}:{port} cannot be had: {error.strerror or error}.", "Give another --port."
            ) from None


def _maker(settings: Settings, options: dict[str, Any]) -> Callable[[TableShelf, Access], Server]:
    """What makes a server as settings and options want it."""
    from clx.serving.budget import bytes_of
    from clx.serving.running import Server

    remote, count = options["remote"], options["workers"]
    token = _token(options["token_file"], [each.host for each in remote])
    count = (0 if remote else 1) if count is None else count
    serving = settings.serving
    path = (*settings.python.path, str(Path.cwd())) if serving.modules else ()
    memory = options["memory"] or (bytes_of(serving.memory_budget) if serving.memory_budget else 0)

    def made(shelf: TableShelf, access: Access) -> Server:
        return Server(
            shelf,
            count,
            remote,
            token,
            serving.modules,
            echo,
            phases=options["phases"],
            memory=memory,
            path=path,
            access=access,
            hang=serving.hang_timeout,
            growth=bytes_of(serving.worker_growth),
            heartbeat=settings.jobs.heartbeat,
        )

    return made


def _tls(host: str, options: dict[str, Any]) -> ssl.SSLContext | None:
    """What is spoken at an address: TLS, with a certificate; else nothing that others could read on the way."""
    certificate, key = options["ssl_certfile"], options["ssl_keyfile"]
    if certificate is None:
        if key is not None:
            raise UsageError("A key alone is of no use.", "Give its certificate, too: --ssl-certfile FILE")
        if host not in _HERE and not options["behind_proxy"]:
            raise UsageError(
                f"At {host} everybody on the way could read tokens and requests.",
                "Give --ssl-certfile and --ssl-keyfile, or --behind-proxy where a proxy before it speaks TLS.",
            )
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"{certificate} is no certificate with its key: {error}.", "Give both as PEM.") from None
    return context


def _tokens(database: Database) -> TokenTable:
    """The tokens of who may ask; one at least."""
    from clx.db.tokens import TokenTable

    table = TokenTable(database)
    if not table.valid():
        raise UsageError("Nobody could ask: there is no token.", "Type: clx server token add NAME --role work")
    return table


def _require_packages() -> None:
    if not system.HAS_LOCAL_SOCKETS:
        raise StartupError("Models are served on Linux or macOS.", "Use WSL on Windows.")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ToolMissingError(
            f"Serving models needs packages that are not installed: {', '.join(missing)}.",
            "Type: pip install 'clx-build[serving]'",
        )


def _token(file: Path | None, hosts: Sequence[str]) -> bytes:
    """What a file has, without white space around it; no file will do where only this machine is reached."""
    if file is None:
        far = [each for each in hosts if each not in _HERE]
        if far:
            raise UsageError(
                f"Whoever reaches {far[0]} could give or take models: both ends need a token.",
                "Type: openssl rand -hex 32 > token, copy it, and give both --token-file token",
            )
        return b""
    try:
        found = file.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.", "Give --token-file a file of yours.") from None
    if len(found) < _SHORTEST_TOKEN:
        raise UsageError(
            f"The token in {file} can be guessed: it has {len(found)} characters.",
            f"Type: openssl rand -hex 32 > {file}",
        )
    return found


@command.command("worker", epilog=_WORKER_EPILOG)
@click.option("--listen", "address", type=_At(), required=True, help="Where it waits; port 0: any that is free.")
@click.option("--models", type=_DIRECTORY, metavar="DIR", help="Controllers may name files below it.")
@click.option("--token-file", type=_FILE, metavar="FILE", help="What a controller has to know.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes with models.")
@verbose_option()
def worker(address: Address, models: Path | None, token_file: Path | None, workers: int) -> None:
    """Hold models for a controller of another machine.

    It starts empty, and waits.

    The controller is started there with ``--worker HOST:PORT``, and with the same token. It proves that it knows the
    token, which never travels. What the two say is not encrypted: let them meet in a network that you trust.
    """
    _require_packages()
    from clx.serving.worker.listening import Listener, listen
    from clx.tools.finding import cache_root

    token = _token(token_file, [address.host])
    kept = cache_root() / "serving"
    listener = Listener(token, kept, None if models is None else models.resolve(), workers, echo)
    try:
        listen(address, listener, lambda port: echo(f"Waiting at {address.host}:{port}; Ctrl-C ends it."))
    except OSError as error:
        raise StartupError(f"{address} cannot be had: {error.strerror or error}.", "Give another --listen.") from None


@command.command("status")
@about_database
@format_option
@verbose_option()
def status(here: Here) -> Output:
    """Whether models are served, where, and how they stand.

    \b
    Examples:
      clx serve status
      clx serve status --format json
    """
    from clx.db.serving.figures import FiguresTable
    from clx.db.serving.table import ServingTable

    database = here.look()
    if database is None:
        return Output({"running": False, "models": []}, [here.nobody])
    with database:
        served = _server(ServingTable(database))
        found, more = FiguresTable(database).page(limit=_MOST)
    models = [_model(each) for each in found]
    if served is None:
        kept = sum(each.row is not None and each.row.residence != "unloaded" for each in found)
        words = f"Nothing is served; {kept} model(s) would be." if kept else "Nothing is served."
        return Output({"running": False, "models": models}, [f"{words} Type: clx serve"])
    lines = [visible_line(f"Serving at http://{served['address']} (process {served['pid']} of {served['host']}).")]
    lines.append(_table(models) if models else "There are no models. Type: clx models add NAME model.onnx")
    lines += [f"Only the first {_MOST} are shown."] if more else []
    return Output({"running": True, **served, "models": models}, lines)


@command.command("stop")
@about_database
@format_option
@verbose_option()
def stop(here: Here) -> Output:
    """End the server.

    What it has accepted is answered first, and its logs are written.

    \b
    Examples:
      clx serve stop
    """
    import signal

    from clx.db.serving.table import ServingTable

    database = here.look()
    if database is None:
        return Output({"stopped": None}, [here.nobody])
    with database:
        served = _server(ServingTable(database))
    if served is None:
        return Output({"stopped": None}, ["Nothing is served: there is nothing to stop."])
    try:
        system.send_signal(served["pid"], signal.SIGTERM)
    except OSError as error:
        raise UsageError(f"Process {served['pid']} cannot be told: {error.strerror}.", "Ask who started it.") from None
    return Output({"stopped": served["pid"]}, [f"Process {served['pid']} ends, once what it has accepted is answered."])


def _model(watched: Watched) -> dict[str, Any]:
    """A model for programs: as its server said last, else as the table has it."""
    from clx.db.serving.models import COLD

    row, said = watched.row, watched.figures
    if said is None:
        state, reason = ("unloaded", "") if row is None else (stands(row), row.reason)
    else:
        state, reason = said.state, str(said.detail.get("reason") or (COLD if said.state == "cold" else ""))
    numbers = ("success", "refused", "missed", "failed", "p50_ns", "p99_ns", "p999_ns")
    return {
        "name": watched.name,
        "version": said.version if said is not None else row.version if row is not None else "",
        "state": state,
        "reason": reason,
        "bytes_in_memory": said.bytes if said is not None and state == "ready" else 0,
        **{each: 0 if said is None else getattr(said, each) for each in numbers},
    }


def _stand(state: str, reason: str) -> str:
    if not reason or reason.startswith(state):  # the reason of a cold one says that it is
        return reason or state
    return f"{state}: {reason}"


def _table(models: Sequence[dict[str, Any]]) -> str:
    headings = ("NAME", "VERSION", "RESULTS", "REFUSED", "LATE", "P50 MS", "P99 MS", "MEMORY", "STATE")
    return table(
        headings,
        [
            (
                each["name"],
                each["version"],
                *(str(each[name]) for name in ("success", "refused", "missed")),
                *(f"{each[name] / 1e6:.2f}" if each[name] else "–" for name in ("p50_ns", "p99_ns")),
                size(each["bytes_in_memory"]),
                _stand(each["state"], each["reason"]),
            )
            for each in models
        ],
    )


def _server(kept: ServingTable) -> dict[str, Any] | None:
    """Who serves, as it said itself; None where it is gone, or cannot be judged from here."""
    import json

    from clx.db.identity import is_gone, is_ours_to_judge

    try:
        said = json.loads(kept.setting("server") or "{}")
        found: dict[str, Any] = {"address": str(said["address"]), "host": str(said["host"]), "pid": int(said["pid"])}
        identity = str(said["identity"])
    except (ValueError, KeyError, TypeError):
        return None
    return found if is_ours_to_judge(identity) and not is_gone(identity) and found["pid"] > 1 else None


@command.command("export")
@click.argument("kind", type=click.Choice(["requests", "actions"]))
@click.option("--as", "as_", type=click.Choice(["tsv", "parquet"]), default="tsv", help="How it is written.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="[default: the terminal]"
)
@about_database
@verbose_option()
def export(here: Here, kind: Literal["requests", "actions"], as_: str, output: Path | None) -> None:
    """Write what became of requests, or what workers did.

    A row each, the oldest first.

    \b
    Examples:
      clx serve export requests > requests.tsv
      clx serve export actions --as parquet --output actions.parquet
    """
    from clx.db.serving.table import ServingTable
    from clx.serving.exporting import as_parquet, as_tsv

    if as_ == "parquet" and output is None:
        raise UsageError("Parquet is nothing for a terminal.", "Give --output FILE.")
    with here.require(here.look()) as database:
        kept = ServingTable(database)
        if output is None:
            for line in as_tsv(kept, kind):
                echo(line)
        elif as_ == "parquet":
            as_parquet(kept, kind, output)
        else:
            with output.open("w", encoding="utf-8") as stream:
                stream.writelines(f"{line}\n" for line in as_tsv(kept, kind))


command.add_command(serve_bench.command)
