"""ipykernel for a run of cells: no configuration of the user's, outputs bounded, in order and reproducible.

Loaded by ``forkserver.py`` under the interpreter of the cells, so it imports nothing of CLX.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import select
import struct
import sys
import termios
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ipykernel.compiler
import ipykernel.iostream
import jupyter_client.session
from ipykernel.iostream import OutStream
from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

CELL_DIRECTORY = "/tmp/ipykernel"  # noqa: S108 (only a name; nothing is written there)
"""What cells are called in tracebacks and warnings; ipykernel's own choice contains the process id."""

ipykernel.compiler.get_tmp_directory = lambda: CELL_DIRECTORY


def _own_copy(module: ModuleType) -> ModuleType:
    """A second copy of *module*, which is not among those that a cell can import."""
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


# A cell may put a stand-in in place of json.loads or os.getpid, as tests do; the kernel needs the real ones to answer.
jupyter_client.session.json = _own_copy(json)
jupyter_client.session.os = ipykernel.iostream.os = SimpleNamespace(**vars(os))


class Stream(OutStream):  # type: ignore[misc]
    """stdout or stderr, bounded and in order, whatever the timing.

    A gigabyte of prints must not become a gigabyte of messages, so writes beyond ``limit`` characters
    per cell are dropped here (the client notes the cut). What subprocesses wrote to the descriptor is
    taken over before each own write and flush; ipykernel's thread would add it some time later, or
    never when the run ends first.
    """

    limit = 0
    _fid: int | None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._descriptor_lock = threading.RLock()
        self._written: tuple[str, int] = ("", 0)
        self._undecoded = b""
        self._unpublished = False
        super().__init__(*arguments, **options)

    def write(self, string: str) -> int:
        """Write *string*, after what came before it through the descriptor; as in Python, no half characters."""
        if isinstance(string, str) and not string.isascii():
            string = self._sendable(string)
        self._take_descriptor()
        return self._write_bounded(string)

    def flush(self) -> None:
        """Publish everything written so far, through the descriptor too.

        ipykernel flushes several times per cell, and each time waits for its publishing thread.
        """
        self._take_descriptor()
        if self._unpublished:
            self._unpublished = False
            super().flush()

    def _sendable(self, string: str) -> str:
        """*string* as a message can hold it: what cannot be sent is an error of the cell, escaped on stderr."""
        try:
            string.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            if self.name != "stderr":
                raise UnicodeEncodeError(*error.args) from None
            return string.encode("utf-8", "backslashreplace").decode()
        return string

    def _write_bounded(self, string: str) -> int:
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        cell = str(self.parent_header.get("msg_id"))
        before = self._written[1] if self._written[0] == cell else 0
        self._written = (cell, before + len(string))
        if before <= self.limit:
            super().write(string[: self.limit + 1 - before])
            self._unpublished = True
        return len(string)

    def _take_descriptor(self) -> None:
        """Write what lies in the pipe behind the descriptor, as far as it is whole characters."""
        if self._fid is None or not self._is_master_process():
            return
        with self._descriptor_lock:
            waiting = struct.unpack("i", fcntl.ioctl(self._fid, termios.FIONREAD, b"\0\0\0\0"))[0]
            if waiting:
                text, self._undecoded = decode_whole(self._undecoded + os.read(self._fid, waiting))
                self._write_bounded(text)

    def _watch_pipe_fd(self) -> None:
        """Replaces ipykernel's loop, which reads without a lock and cuts characters in two."""
        poller = select.poll()
        assert self._fid is not None
        poller.register(self._fid, select.POLLIN)
        while self._should_watch:
            poller.poll()
            self._take_descriptor()


def decode_whole(data: bytes) -> tuple[str, bytes]:
    """The text of *data* and the bytes of a last, unfinished UTF-8 character."""
    for tail in range(min(3, len(data)) + 1):
        head = data[: len(data) - tail]
        try:
            return head.decode(), data[len(head) :]
        except UnicodeDecodeError:
            continue
    return data.decode(errors="replace"), b""


class KernelApp(IPKernelApp):  # type: ignore[misc]
    """ipykernel's application without command line, configuration files, heartbeat and history."""

    given_connection_file = ""

    def parse_command_line(self, argv: Any = None) -> None:  # noqa: ARG002 (ipykernel passes it)
        """Set what a command line would."""
        self.update_config(
            Config(
                IPKernelApp={"connection_file": self.given_connection_file, "quiet": True},
                Application={"log_level": 50},
                HistoryManager={"enabled": False},
                # A pause before each reply, for clients that do not wait for the outputs' end. Ours does.
                IPythonKernel={"_execute_sleep": 0.0},
                InteractiveShell={"colors": "nocolor"},
            )
        )

    def load_config_file(self, *_: Any, **__: Any) -> None:
        """Leave the user's and the system's configuration alone: decks look the same everywhere."""

    def init_heartbeat(self) -> None:
        """Start none: the server sees a dead kernel at once."""

    def init_iopub(self, context: Any) -> None:
        """Publish without a limit: beyond 1000 waiting messages ZeroMQ would drop outputs."""
        context.sndhwm = 0
        super().init_iopub(context)

    def init_io(self) -> None:
        """Redirect the standard streams into outputs."""
        self.outstream_class = f"{__name__}.Stream"
        super().init_io()


def initialised_app(directory: str) -> KernelApp:
    """A kernel that listens on Unix sockets in *directory*, described by ``c.json`` there.

    ipykernel derives the sockets' names from ``ip`` and the port numbers.
    """
    names = ("shell", "stdin", "iopub", "control", "hb")
    ports = {f"{name}_port": number for number, name in enumerate(names, 1)}
    signing = {"key": os.urandom(16).hex(), "signature_scheme": "hmac-sha256"}
    file = Path(directory, "c.json")
    file.write_text(json.dumps({"transport": "ipc", "ip": f"{directory}/k", **ports, **signing}))
    KernelApp.given_connection_file = str(file)
    app: KernelApp = KernelApp.instance()
    terminal = os.environ.get("TERM", "dumb")
    app.initialize([])
    # ipykernel asks subprocesses for colours; in a page they would be escape sequences.
    os.environ["TERM"] = terminal
    for name in ("CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"):
        os.environ.pop(name, None)
    show_charts_as_data(app.shell.display_formatter.mimebundle_formatter)
    return app


def show_charts_as_data(formatter: Any) -> None:
    """Have altair's charts put out what a page can draw, unless the deck chooses a renderer: by itself altair
    puts out a page's part that loads its programs from the network.
    """
    for version in ("v5", "v6"):
        formatter.for_type_by_name(f"altair.vegalite.{version}.api", "TopLevelMixin", _chart_bundle)


def _chart_bundle(chart: Any, include: Any = None, exclude: Any = None) -> Any:
    renderers = sys.modules["altair"].renderers
    if renderers.active not in {"default", "html"} or renderers.options:
        return chart._repr_mimebundle_(include, exclude)
    with renderers.enable("mimetype"):
        return chart._repr_mimebundle_(include, exclude)
