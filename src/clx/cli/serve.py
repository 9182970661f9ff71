"""``clx serve``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from clx.cli.options import verbose_option
from clx.cli.terminal import echo
from clx.errors import StartupError, ToolMissingError, UsageError
from clx.platforms import system

_EPILOG = """\b
Examples:
  clx serve --model digits=model.onnx                 at http://127.0.0.1:8000
  clx serve --model a=a.onnx --model b=b.onnx --workers 2
  clx serve --model digits=model.onnx --port 0        at a port that is free

\b
Exit codes: 0 it was ended by Ctrl-C or SIGTERM; 2 usage error; 3 the port is taken, or a package is missing.
"""
_NEEDED = ("onnxruntime", "httptools", "numpy")


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


@click.command("serve", epilog=_EPILOG)
@click.option("--model", "models", type=_Named(), multiple=True, help="A model of ONNX to serve, under a name.")
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port; 0: any.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes with models.")
@verbose_option()
@click.pass_context
def command(
    context: click.Context, /, models: tuple[tuple[str, Path], ...], host: str, port: int, workers: int
) -> None:
    """Serve models: each request is answered inside its deadline, or refused at once.

    Clients of the Open Inference Protocol (tritonclient.http, curl) work unchanged. Models that are not told here
    are loaded and uploaded by that protocol.
    """
    if not system.HAS_LOCAL_SOCKETS:
        raise StartupError("Models are served on Linux or macOS.", "Use WSL on Windows.")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ToolMissingError(
            f"Serving models needs packages that are not installed: {', '.join(missing)}.",
            "Type: pip install 'clx-build[serving]'",
        )
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError(f"Whoever reaches {host} could use the models.", "Serve this machine: --host 127.0.0.1")
    from clx.serving.api import NAME
    from clx.serving.running import serve

    for name, _ in models:
        if not NAME.fullmatch(name):
            raise UsageError(f"A model cannot be called {name!r}.", "Use A-Z a-z 0-9 . _ -, 128 of them at most.")
    try:
        serve(dict(models), host, port, workers, lambda at: echo(f"Serving at http://{host}:{at}; Ctrl-C ends it."))
    except OSError as error:
        raise StartupError(f"{host}:{port} cannot be had: {error.strerror or error}.", "Give another --port.") from None
    context.exit(0)
