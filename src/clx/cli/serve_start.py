"""What `clx serve` does: workers begin, a table is opened, models are served until somebody ends it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx.cli.project import Here, open_or_make
from clx.cli.terminal import echo
from clx.errors import StartupError, UsageError

if TYPE_CHECKING:
    import ssl

    from clx.db.database import Database
    from clx.db.serving.table import ServingTable
    from clx.db.tokens import TokenTable
    from clx.serving.running import Access, Server
    from clx.serving.shelf import TableShelf

_HERE = ("127.0.0.1", "::1", "localhost")
_SHORTEST_TOKEN = 16


def simulated(models: Sequence[tuple[str, Path]], options: dict[str, Any]) -> tuple[tuple[str, Path], ...]:
    """The models whose times a file has, each so often as it was asked for."""
    from clx.serving.worker.simulated import TimesError, times_of

    if models or options["remote"]:
        raise UsageError("Where times are simulated no model is run.", "Leave --model and --worker out.")
    file: Path = options["simulate"]
    try:
        names = times_of(file)
    except (OSError, TimesError) as error:
        raise UsageError(f"{file}: {error}.", f"Type: clx serve export actions > {file.name}") from None
    copies = options["copies"]
    found = (name if copies == 1 else f"{name}-{place}" for name in names for place in range(1, copies + 1))
    return tuple((name, file.resolve()) for name in found)


def serve(
    here: Here,
    models: Sequence[tuple[str, Path]],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    options: dict[str, Any],
) -> None:
    """Serve until Ctrl-C, SIGTERM or `clx serve stop`.

    Raises:
        UsageError: options do not fit together.
        StartupError: the address or the table is somebody else's.
    """
    from clx.serving.spawning import How, end, spawn_all

    remote, count = options["remote"], options["workers"]
    token = token_of(options["token_file"], [each.host for each in remote])
    settings = here.resolved.settings
    modules, file = settings.serving.modules, options["simulate"]
    path = (*settings.python.path, str(Path.cwd())) if modules else ()
    how = How(modules, path, None if file is None else file.resolve())
    spawned = spawn_all(how, (0 if remote else 1) if count is None else count)  # first of all: they take a while
    try:
        _serve(here, models, (host, port), tls, {**options, "how": how, "token": token, "spawned": spawned})
    finally:
        end(spawned)


def _serve(
    here: Here,
    models: Sequence[tuple[str, Path]],
    place: tuple[str, int],
    tls: ssl.SSLContext | None,
    options: dict[str, Any],
) -> None:
    from clx.db.serving.table import ServingTable
    from clx.remote.stores import open_store
    from clx.serving.remote import Address
    from clx.serving.running import Access, serve
    from clx.serving.shelf import TableShelf

    settings, at = here.resolved.settings, Address(*place)

    def server(shelf: TableShelf) -> Server:
        needs_tokens = at.host not in _HERE or options["behind_proxy"]
        return _made(here, shelf, Access(_tokens(shelf.table.database) if needs_tokens else None, tls), options)

    def told(port: int) -> None:
        echo(f"Serving at {'http' if tls is None else 'https'}://{at.host}:{port}; Ctrl-C ends it.")

    with open_or_make(here.resolved, here.path) as database:
        kept = ServingTable(database)
        other = who_serves(kept)
        if other is not None:  # each would undo what the other says of models, and of its phase
            raise StartupError(
                f"What {here.path} keeps is served already, at {other['address']} (process {other['pid']}).",
                "Type: clx serve stop; or serve another table: clx serve --db-path FILE",
            )
        store = open_store(database.state.shared / "artifacts", settings.artifacts)
        shelf = TableShelf(kept, store, dict(models), alone=options["simulate"] is not None)
        try:
            serve(shelf, server, at, told)
        except OSError as error:
            raise StartupError(f"{at} cannot be had: {error.strerror or error}.", "Give another --port.") from None


def _made(here: Here, shelf: TableShelf, access: Access, options: dict[str, Any]) -> Server:
    """A server as settings and options want it."""
    from clx.serving.budget import bytes_of
    from clx.serving.running import Server

    settings = here.resolved.settings
    serving = settings.serving
    return Server(
        shelf,
        options["spawned"],
        options["remote"],
        options["token"],
        options["how"],
        echo,
        phases=options["phases"],
        memory=options["memory"] or (bytes_of(serving.memory_budget) if serving.memory_budget else 0),
        access=access,
        hang=serving.hang_timeout,
        growth=bytes_of(serving.worker_growth),
        heartbeat=settings.jobs.heartbeat,
    )


def tls_of(host: str, options: dict[str, Any]) -> ssl.SSLContext | None:
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


def token_of(file: Path | None, hosts: Sequence[str]) -> bytes:
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


def who_serves(kept: ServingTable) -> dict[str, Any] | None:
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
