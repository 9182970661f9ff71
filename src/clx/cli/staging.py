"""``clx staging serve|token``."""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from clx.cli.options import verbose_option
from clx.cli.terminal import echo
from clx.errors import OutputError, ToolMissingError, UsageError

_FILE = click.Path(dir_okay=False, path_type=Path)
_NEEDED = ("starlette", "uvicorn", "httptools", "jinja2", "python_multipart")
_MB = 1 << 20


@click.group("staging")
def command() -> None:
    """Hand files of a day from machine to machine, by name, over HTTP: for people and scripts.

    \b
    Examples:
      clx staging token staging.token
      clx staging serve --token-file staging.token
    """


@command.command("serve")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=Path("staging"), show_default=True,
              metavar="DIRECTORY", help="Where files lie, by day.")  # fmt: skip
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", default=8080, show_default=True, help="0: any.")
@click.option("--token-file", type=_FILE, metavar="FILE", help="The token, else $CLX_STAGING_TOKEN; of mode 600.")
@click.option("--behind-proxy", is_flag=True, help="A proxy before it speaks TLS.")
@click.option("--ssl-certfile", type=_FILE, metavar="FILE", help="A certificate, to speak TLS itself.")
@click.option("--ssl-keyfile", type=_FILE, metavar="FILE", help="Its key, unless it is in the same file.")
@click.option("--largest", type=click.IntRange(1), metavar="MB", default=16384, show_default=True,
              help="What an upload may have.")  # fmt: skip
@click.option("--keep-free", type=click.IntRange(0), metavar="MB", default=64, show_default=True,
              help="What uploads leave free on the disk.")  # fmt: skip
@click.option("--require-sha256", is_flag=True, help="Refuse files that come without their sha256.")
@verbose_option()
@click.pass_context
def serve(context: click.Context, /, root: Path, **options: Any) -> None:
    """Take, give and remove files of a day over HTTP.

    The calls: /staging/upload-daily, /staging/download, /staging/cleanup, /staging/status; see docs/daily.md.
    There is no token unless you make one, and nothing is served without.

    \b
    Examples:
      clx staging serve --token-file staging.token
      clx staging serve --token-file staging.token --root /data/staging --require-sha256
      clx staging serve --token-file staging.token --host 0.0.0.0 --ssl-certfile cert.pem --ssl-keyfile key.pem

    \b
    Exit codes: 0 it was ended by Ctrl-C or SIGTERM; 2 usage error, no token, or one too short;
    3 the port is taken, or a package is missing.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ToolMissingError(
            f"Staging needs packages that are not installed: {', '.join(missing)}.",
            "Type: pip install 'clx-build[staging]'",
        )
    from clx.daily.staging import Staging
    from clx.server.place import Place
    from clx.server.staging import TOKEN_VARIABLE, read_token, serve_staging

    if options["ssl_keyfile"] and not options["ssl_certfile"]:
        raise UsageError("A key alone is of no use.", "Give its certificate, too: --ssl-certfile FILE")
    place = Place(
        options["host"], options["port"], behind_proxy=options["behind_proxy"],
        certfile=options["ssl_certfile"], keyfile=options["ssl_keyfile"],
    )  # fmt: skip
    token = read_token(options["token_file"], os.environ.get(TOKEN_VARIABLE, ""))
    staging = Staging(root, reserve=options["keep_free"] * _MB)
    largest, strict = options["largest"] * _MB, options["require_sha256"]
    context.exit(serve_staging(staging, token, place, echo, largest=largest, require_digests=strict))


@command.command("token")
@click.argument("file", type=_FILE)
def token(file: Path) -> None:
    """Make a token, in a new file that you alone may read.

    \b
    Examples:
      clx staging token staging.token
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{file} is there already.", "Remove it, or name another one.") from None
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}.", "Name another one.") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(f"{secrets.token_hex(32)}\n")
    echo(f"A token is in {file}; whoever has it may send, fetch and remove what is staged.")
