"""Kernels for a notebook worker: fresh for every run, and fast, because they are forked."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clx.jobtypes.notebook.deck import PROG_LANG, ProgLang
from clx.jobtypes.notebook.execution.imports import PRELOADABLE, heavy_imports, imports_differently, shadows
from clx.jobtypes.notebook.execution.interpreter import python_command
from clx.jobtypes.notebook.execution.outputs import OUTPUT_LIMIT
from clx.jobtypes.notebook.execution.results import CellFailedError, CellResult
from clx.jobtypes.notebook.execution.server import Kernel, KernelParent, ParentGoneError, remove_directories
from clx.platforms import system

if TYPE_CHECKING:
    import zmq

_PRELOAD_ATTEMPTS = 2
"""A first import may say something once (matplotlib builds its font cache); a second time it is a rule."""
_LAUNCH = """import sys
if not getattr(sys.flags, "safe_path", False): del sys.path[0]
from ipykernel.kernelapp import launch_new_instance
if "" not in sys.path:
    ends = [number for number, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages"))]
    sys.path.insert(ends[0] if ends else 0, "")
launch_new_instance()"""
"""``ipykernel_launcher``, and the modules beside the deck can be imported though Python was started with ``-P``."""


class KernelPool:
    """The kernels of one notebook worker process; one run at a time.

    On Linux a Python kernel is forked from a parent process that has ipykernel loaded, and with it the
    heavy libraries that runs so far have imported. Each run has its own kernel, session, process group
    and directory for temporary files, and nothing of it survives the run. Elsewhere, and for other
    languages, the kernel is started by its command line.

    When this process is killed, the parent reads end of file and kills everything it started.

    Args:
        python: interpreter whose packages the cells see (``notebook.python``); None: CLX's own.
        preload: top-level names of the libraries that may be loaded once for all runs.
    """

    def __init__(self, python: str | None = None, preload: Sequence[str] = PRELOADABLE) -> None:
        self._python = python or sys.executable
        self._allowed = tuple(preload)
        self._unclean: dict[str, int] = {}
        self._forks = system.FORKS_KERNELS
        self._parent: KernelParent | None = None
        self._spawner: KernelParent | None = None
        self._single: KernelParent | None = None
        self._context: zmq.Context[Any] | None = None

    def warm(self) -> None:
        """Start the kernels' parent ahead of the first run, without waiting for it."""
        if self._forks:
            self._parent = self._parent or KernelParent(self._python, "fork")
            self._parent.start()

    def run(
        self,
        cells: Sequence[str],
        *,
        cwd: Path,
        language: ProgLang = PROG_LANG["python"],
        cell_timeout: float,
        allow_errors_at: Container[int] = (),
    ) -> list[CellResult]:
        """Execute *cells* in a fresh kernel.

        Args:
            cwd: the kernel's working directory; modules in it can be imported.
            language: what the cells are written in, and which kernel it names.
            cell_timeout: seconds one cell may take.
            allow_errors_at: 0-based numbers of cells that may raise; the error is an output then.

        Raises:
            CellFailedError: a cell raised, took too long or ended the kernel.
            ToolMissingError: there is no kernel for *language*, or the interpreter cannot run one.
        """
        try:
            parent, kernel = self._fresh_kernel(cells, cwd, language)
            try:
                results = self._talk(parent, kernel, cells, cell_timeout, allow_errors_at)
            except CellFailedError:
                self._end(parent, kernel)
                raise
            self._end(parent, kernel)
            return results
        except CellFailedError:
            raise
        except ParentGoneError as error:
            self.close()
            raise CellFailedError(0, "died", "KernelDied", str(error)) from error
        except BaseException:
            # A missing tool, or interrupted at an unknown point of the conversation: start afresh.
            self.close()
            raise

    def close(self) -> None:
        """End every process of this pool and remove their files. Idempotent; the pool can be used again."""
        parents = (self._parent, self._spawner, self._single)
        self._parent = self._spawner = self._single = None
        for parent in parents:
            if parent is not None:
                parent.close()
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    def abandon(self) -> None:
        """Remove the files of every parent of kernels that this process started and somebody has killed."""
        remove_directories()

    def _fresh_kernel(self, cells: Sequence[str], cwd: Path, language: ProgLang) -> tuple[KernelParent, Kernel]:
        """A kernel for one run; a parent that died while nothing was running is replaced."""
        try:
            parent = self._parent_for(cells, cwd, language)
            return parent, self._start_kernel(parent, cwd, language)
        except ParentGoneError:
            self.close()
            parent = self._parent_for(cells, cwd, language)
            return parent, self._start_kernel(parent, cwd, language)

    def _parent_for(self, cells: Sequence[str], cwd: Path, language: ProgLang) -> KernelParent:
        """The parent that may start the kernel of this run."""
        if language.name != "python" or not self._forks:
            self._spawner = self._spawner or KernelParent(sys.executable, "spawn")
            return self._spawner
        wanted = heavy_imports(cells, self._allowed, cwd)
        loaded = self._parent.preloaded if self._parent else set()
        if (wanted and imports_differently(cells, cwd)) or any(shadows(cwd, name) for name in loaded):
            self._single = KernelParent(self._python, "once")
            return self._single
        return self._preloaded(wanted)

    def _preloaded(self, wanted: Sequence[str]) -> KernelParent:
        """The forking parent with *wanted* loaded, except for what turned out not to be loadable unnoticed."""
        while True:
            self._parent = self._parent or KernelParent(self._python, "fork")
            missing = [
                name
                for name in wanted
                if name not in self._parent.preloaded and self._unclean.get(name, 0) < _PRELOAD_ATTEMPTS
            ]
            if not missing:
                return self._parent
            try:
                unclean = self._parent.preload(missing)
            except ParentGoneError:
                unclean = missing
            if not unclean:
                return self._parent
            for name in unclean:
                self._unclean[name] = self._unclean.get(name, 0) + 1
            self._parent.close()
            self._parent = None

    def _start_kernel(self, parent: KernelParent, cwd: Path, language: ProgLang) -> Kernel:
        if parent.mode != "spawn":
            return parent.fork(cwd, OUTPUT_LIMIT)
        if language.name == "python":
            argv = [*python_command(self._python), "-c", _LAUNCH, "-f", "{connection_file}"]
            return parent.spawn(ipc_connection(), cwd, argv, {})
        from clx.jobtypes.notebook.execution.kernelspecs import kernel_of

        spec = kernel_of(language)
        return parent.spawn(tcp_connection(), cwd, spec.argv, spec.env)

    def _talk(
        self,
        parent: KernelParent,
        kernel: Kernel,
        cells: Sequence[str],
        cell_timeout: float,
        allow_errors_at: Container[int],
    ) -> list[CellResult]:
        import zmq

        from clx.jobtypes.notebook.execution.client import Client

        self._context = self._context or zmq.Context()
        client = Client(self._context, parent, kernel)
        try:
            client.wait_until_ready()
            return client.run(cells, cell_timeout, allow_errors_at)
        finally:
            client.close()

    def _end(self, parent: KernelParent, kernel: Kernel) -> None:
        """End the kernel; a parent that is gone or served a single run only is closed."""
        try:
            parent.end(kernel)
        except ParentGoneError:
            self.close()
        if parent is self._single:
            self._single = None
            parent.close()


def ipc_connection() -> dict[str, Any]:
    """Connection facts for Unix sockets; the path before the port numbers is the parent's to choose."""
    ports = ("shell_port", "stdin_port", "iopub_port", "control_port", "hb_port")
    return {"transport": "ipc", **{name: number for number, name in enumerate(ports, 1)}, **_signing()}


def tcp_connection() -> dict[str, Any]:
    """Connection facts for the loopback interface, with ports that are free now."""
    ports = ("shell_port", "stdin_port", "iopub_port", "control_port", "hb_port")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in ports]
    numbers = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return {"transport": "tcp", "ip": "127.0.0.1", **dict(zip(ports, numbers, strict=True)), **_signing()}


def _signing() -> dict[str, str]:
    return {"key": secrets.token_hex(16), "signature_scheme": "hmac-sha256"}
