"""The worker's end of the kernels' parent process: start it, ask it for kernels, notice when it is gone."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from clx.errors import ToolMissingError
from clx.jobtypes.notebook.execution.interpreter import python_command
from clx.platforms import system

FORKSERVER = Path(__file__).with_name("forkserver.py")
START_TIMEOUT = 60.0
"""Seconds a parent or a kernel has to come up; a cold disk and a first import can take long."""
END_TIMEOUT = 10.0
_PREFIX = "clx-k-"
_LONGEST_DIRECTORY = 70
"""Socket paths must fit into 108 bytes (``sun_path``), 104 on macOS."""
_MARK = "CLX_KERNEL_PARENT"
"""Environment variable by which processes of one parent are found when that parent was killed."""

_FIXED_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "COLUMNS": "80",
    "LINES": "24",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PLOTLY_RENDERER": "plotly_mimetype",
}
_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE")
"""Of Python's own variables these; any other (``PYTHONSTARTUP``, ``PYTHONWARNINGS``) would change outputs."""

_NEVER_PASSED_ON = ("CLX_", "PYTHON", "JPY_", "IPYKERNEL_", "FORCE_COLOR", "PYTEST_")
"""Beginnings of names; under pytest ipykernel would not capture what subprocesses write."""


class ParentGoneError(Exception):
    """The parent of the kernels ended or does not answer; a new one has to be started."""


@dataclass
class Kernel:
    """One running kernel.

    Attributes:
        directory: its private files: connection file ``c.json``, sockets, ``tmp``, last words ``crash``.
        status: exit code, negative for a signal, once the kernel has ended by itself.
        is_up: whether it has bound its sockets (told by forked kernels only).
    """

    key: int
    pid: int = 0
    directory: Path = Path()
    status: int | None = None
    is_up: bool = False
    ended: bool = False

    def connection(self) -> dict[str, Any]:
        """What the connection file says: transport, ip, ports, key."""
        found: dict[str, Any] = json.loads((self.directory / "c.json").read_text(encoding="ascii"))
        return found

    def last_words(self) -> str:
        """What the dying kernel wrote to its standard error (a crash report, if anything), without its middle."""
        try:
            text = (self.directory / "crash").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""
        return text if len(text) <= 8000 else f"{text[:4000]}\n…\n{text[-4000:]}"

    def interrupt(self) -> None:
        """Ctrl-C for the running cell."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            system.interrupt_group(self.pid)


@dataclass
class KernelParent:
    """The process that starts kernels; see ``forkserver.py`` for what it promises.

    Args:
        python: the interpreter it runs under.
        mode: ``fork`` (preloads ipykernel and forks it, one ahead), ``once`` (the same for a single run)
            or ``spawn`` (starts any kernel's command).
    """

    python: str
    mode: Literal["fork", "once", "spawn"]
    preloaded: set[str] = field(default_factory=set)
    _process: subprocess.Popen[bytes] | None = None
    _kernels: dict[int, Kernel] = field(default_factory=dict)
    _unread: bytes = b""
    _mark: str = ""
    _last_key: int = 0
    _served: bool = False

    def start(self) -> None:
        """Start the process without waiting until it is ready. Does nothing when it runs.

        Raises:
            ToolMissingError: the interpreter is not there, or no kernels are started on this system.
        """
        if self._process is not None:
            return
        if not system.RUNS_HELPERS:
            raise ToolMissingError(
                "Notebooks are not executed on this system.", "Build inside WSL2, or in containers: --workers docker"
            )
        self.directory = _short_directory()
        self._mark = uuid.uuid4().hex
        try:
            self._process = subprocess.Popen(
                [*python_command(self.python), str(FORKSERVER), str(self.directory), self.mode],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                cwd=self.directory,
                env=_environment(self.directory, self._mark),
            )
        except OSError as error:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise ToolMissingError(
                f"the interpreter {self.python} cannot be started: {error.strerror}",
                "Set notebook.python to a Python interpreter that has ipykernel installed.",
            ) from error

    def preload(self, modules: Sequence[str]) -> list[str]:
        """Import *modules* for the kernels to come; returns those that must not be (see ``forkserver``)."""
        self._send(op="preload", modules=list(modules))
        unclean: list[str] = self._wait("preloaded")["unclean"]
        self.preloaded.update(modules)
        return unclean

    def fork(self, cwd: Path, limit: int) -> Kernel:
        """Have an ipykernel forked and wait until it listens; of more than *limit* characters it need tell none."""
        return self._start_kernel("fork", "up", cwd, limit=limit)

    def spawn(self, connection: Mapping[str, Any], cwd: Path, argv: Sequence[str], env: Mapping[str, str]) -> Kernel:
        """Start a kernel by its command line, in which ``{connection_file}`` is replaced."""
        self.start()
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        described = {"ip": str(directory / "k"), **connection}
        file = directory / "c.json"
        file.write_text(json.dumps(described), encoding="ascii")
        command = [word.replace("{connection_file}", str(file)) for word in argv]
        return self._start_kernel("spawn", "started", cwd, directory=str(directory), argv=command, env=dict(env))

    def end(self, kernel: Kernel) -> None:
        """Kill *kernel* and every process that came from it; wait until they are gone."""
        if not kernel.ended:
            self._send(op="end", id=kernel.key)
            self._wait("ended", kernel, END_TIMEOUT)
            shutil.rmtree(kernel.directory, ignore_errors=True)
            kernel.ended = True

    def fileno(self) -> int:
        """Readable when something happened; :meth:`take_events` then."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def take_events(self) -> list[dict[str, Any]]:
        """Read what has been told, and note it with the kernel it is about; an error where nobody is left to tell."""
        data = os.read(self.fileno(), 65536)
        if not data:
            raise ParentGoneError(f"the process that starts the kernels ended: {self.python}")
        *lines, self._unread = (self._unread + data).split(b"\n")
        events = [json.loads(line) for line in lines]
        for event in events:
            self._note(event)
        return events

    def close(self) -> None:
        """End the process, its kernels and what came from them; remove its directory. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode != 0:
            system.kill_marked(f"{_MARK}={self._mark}")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_kernel(self, op: str, last_event: str, cwd: Path, **options: Any) -> Kernel:
        self._last_key += 1
        kernel = Kernel(self._last_key)
        self._kernels = {kernel.key: kernel}
        self._send(op=op, id=kernel.key, cwd=str(cwd.absolute()), **options)
        self._wait(last_event, kernel)
        self._served = True
        return kernel

    def _send(self, **request: Any) -> None:
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), json.dumps(request).encode() + b"\n")
        except BrokenPipeError as error:
            raise self._why_gone() from error

    def _wait(self, kind: str, kernel: Kernel | None = None, timeout: float = START_TIMEOUT) -> dict[str, Any]:
        """The next event of *kind* about *kernel*."""
        until = time.monotonic() + timeout
        while True:
            if not system.wait_readable([self.fileno()], max(0.0, until - time.monotonic())):
                raise ParentGoneError(f"no kernel within {timeout:g} s")
            try:
                events = self.take_events()
            except ParentGoneError as error:
                raise self._why_gone() from error
            for event in events:
                if event["event"] == kind and (kernel is None or event["id"] == kernel.key):
                    return event
            if kernel is not None and kernel.status is not None and kind == "up":
                raise ParentGoneError(f"the kernel did not start: {kernel.last_words()}")

    def _note(self, event: Mapping[str, Any]) -> None:
        kernel = self._kernels.get(event.get("id", 0))
        if kernel is None:
            return
        if event["event"] == "started":
            kernel.pid, kernel.directory = event["pid"], Path(event["directory"])
        elif event["event"] == "up":
            kernel.is_up = True
        elif event["event"] == "exited":
            kernel.status = event["status"]

    def _why_gone(self) -> Exception:
        """The parent ended while it was asked for something: did it ever work?"""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT)
        status = self._process.poll()
        if status and status > 0 and not self._served:
            return ToolMissingError(
                f"the interpreter {self.python} cannot run Python kernels",
                f"Install ipykernel there: {shlex.quote(self.python)} -m pip install ipykernel",
            )
        return ParentGoneError(f"the process that starts the kernels ended with status {status}")


def _base() -> Path:
    """Where private directories are made: so that their paths leave room for socket names."""
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > _LONGEST_DIRECTORY - 28:
        base = "/tmp"  # noqa: S108 (mkdtemp makes private directories in it)
    return Path(base)


def _short_directory() -> Path:
    """A private directory for one parent."""
    base = _base()
    _remove_orphans(base)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-{_namespace()}-", dir=base))


def remove_directories() -> None:
    """Remove the directories of all parents that this process ever started."""
    for path in _base().glob(f"{_PREFIX}{os.getpid()}-{_namespace()}-*"):
        shutil.rmtree(path, ignore_errors=True)


def _remove_orphans(base: Path) -> None:
    """Remove what workers left that were killed together with their parents of kernels."""
    for path in base.glob(f"{_PREFIX}*-{_namespace()}-*"):  # others number their processes otherwise
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and path.stat().st_uid == system.user_id() and not _is_running(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


def _namespace() -> str:
    """What tells processes that number each other alike from those that share no more than this directory."""
    try:
        return f"{os.stat('/proc/self/ns/pid').st_ino & 0xFFFFFF:x}"  # noqa: PTH116  (the link's target)
    except OSError:
        return "0"


def _is_running(pid: int) -> bool:
    try:
        system.probe(pid)
    except ProcessLookupError:
        return False
    return True


def _environment(directory: Path, mark: str) -> dict[str, str]:
    """The environment of parent and kernels: the worker's, with everything fixed that shows in outputs."""
    inherited = {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or not name.startswith(_NEVER_PASSED_ON)
    }
    return {**inherited, **_FIXED_ENVIRONMENT, "IPYTHONDIR": str(directory / "ipython"), _MARK: mark}
