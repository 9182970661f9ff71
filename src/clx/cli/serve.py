"""``clx serve``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from clx.cli.options import about_database, verbose_option
from clx.cli.project import Here, open_or_make
from clx.cli.terminal import echo
from clx.errors import StartupError, ToolMissingError, UsageError
from clx.platforms import system

_EPILOG = """\b
Examples:
  clx serve                                           what `clx models` keeps, at http://127.0.0.1:8000
  clx serve --model digits=model.onnx                 that model, too, for this run only
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
@click.option("--model", "models", type=_Named(), multiple=True, help="Serve this file, too, for this run only.")
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port; 0: any.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes with models.")
@about_database
@verbose_option()
@click.pass_context
def command(
    context: click.Context, /, here: Here, models: tuple[tuple[str, Path], ...], host: str, port: int, workers: int
) -> None:
    """Serve models: each request is answered inside its deadline, or refused at once.

    Those of `clx models`, and what clients of the Open Inference Protocol (tritonclient.http, curl, which work
    unchanged) upload; all of it is served again at the next start.
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
    from clx.db.serving.models import NAME
    from clx.db.serving.table import ServingTable
    from clx.remote.stores import open_store
    from clx.serving.running import serve
    from clx.serving.shelf import TableShelf

    for name, _ in models:
        if not NAME.fullmatch(name):
            raise UsageError(f"A model cannot be called {name!r}.", "Use A-Z a-z 0-9 . _ -, 128 of them at most.")
    settings = here.resolved.settings
    with open_or_make(here.resolved, here.path) as database:
        store = open_store(database.state.shared / "artifacts", settings.artifacts)
        shelf = TableShelf(ServingTable(database), store, dict(models))
        said = f"http://{host}"
        try:
            serve(
                shelf,
                host,
                port,
                workers,
                settings.serving.modules,
                lambda at: echo(f"Serving at {said}:{at}; Ctrl-C ends it."),
            )
        except OSError as error:
            raise StartupError(
                f"{host}:{port} cannot be had: {error.strerror or error}.", "Give another --port."
            ) from None
    context.exit(0)
