"""``clx work workspace``: the file that has the clients of the Workflow System speak with a server of CLX."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.errors import UsageError
from clx.settings.problems import shortened

_METHODS = ("bypass", "copy", "move", "delete")
_STORES = {"buckets": "buckets", "results": "results", "pipelines": "pipelines/v2", "configs": "pipelines/v2",
           "schedules": "pipelines/v2"}  # fmt: skip
"""What a client calls a store → its path below ``/workflow``."""


@click.command("workspace")
@click.option("--url", metavar="URL", help="The server, http://HOST:PORT. [default: work.url, else server.host:port]")
@click.option("--name", default="clx", show_default=True, metavar="NAME", help="What the workspace is called.")
@click.option("--site", "sites", multiple=True, metavar="SITE",
              help="A site that works may name. Repeatable. [default: local, and WORK_SITE]")  # fmt: skip
@click.option("--archive", metavar="DIR", help="Where that client archives products and plots. [default: nowhere]")
def workspace(url: str | None, name: str, sites: tuple[str, ...], archive: str | None) -> None:
    """Print a workspace file for workflow-core.

    The works of its client, `workflow` 1.12, then lie here. That client needs nothing else; its token is the variable
    WORKFLOW_TOKEN, one of `clx server token`.

    \b
    Examples:
      clx work workspace > clx.yml && workflow workspace set clx.yml
      clx work workspace --url https://clx.example.org --site chime --site aro > clx.yml
      clx work workspace --archive /data/archive > clx.yml
    """
    for each in (name, *sites, *([archive] if archive is not None else [])):
        if not each or not each.isprintable():
            raise UsageError(f"{shortened(each)!r} cannot stand in a workspace file.", "Write a word.")
    found = sites or tuple(dict.fromkeys(("local", os.environ.get("WORK_SITE") or "local")))
    where = None if archive is None else str(Path(archive).absolute())
    for line in lines(_address(url), name, found, where):
        echo(line)


def _address(url: str | None) -> str:
    if url is None:
        resolved = Here().resolved
        url = resolved.work_url()
        if url is None or not url.startswith(("http://", "https://")):
            settings = resolved.settings.server
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            url = f"http://{host}:{settings.port}"
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_one = False
    if not is_one or parts.username is not None or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise UsageError(f"{shortened(url)} is no address of a server.", "Write http://HOST:PORT or https://HOST.")
    return url.rstrip("/")


def lines(url: str, name: str, sites: Sequence[str], archive: str | None) -> Iterator[str]:
    """The file, line by line.

    Args:
        url: the server, without a slash at its end.
        archive: an absolute path; None: nothing is archived.
    """
    quoted = {site: _quoted(site) for site in sites}
    yield f"# Made by: clx work workspace --url {url}"
    yield "# Use it: workflow workspace set FILE (not `workflow run -w FILE`, which moves the file away)"
    yield "# The token of the server: the variable WORKFLOW_TOKEN"
    yield f"workspace: {_quoted(name)}"
    yield f"sites: [{', '.join(quoted.values())}]"
    yield "http:"
    yield "  baseurls:"
    for store, path in _STORES.items():
        yield f"    {store}: {_quoted(f'{url}/workflow/{path}')}"
    if archive is not None:
        yield "archive:"
        yield "  posix:"
        yield from (f"    {site}: {_quoted(archive)}" for site in quoted.values())
    yield "config:"
    yield "  archive:"
    yield "    results: true"
    methods = ", ".join(_METHODS if archive is not None else _METHODS[:1])
    for kind in ("plots", "products"):
        yield f"    {kind}: {{methods: [{methods}], storage: posix}}"


def _quoted(text: str) -> str:
    """A text between quotation marks, as JSON and YAML both read it."""
    return json.dumps(text, ensure_ascii=False)
