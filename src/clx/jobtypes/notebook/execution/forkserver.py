"""The parent of all kernels: starts one kernel per run and lets none outlive the worker it serves.

It is run as a script, by path, under the interpreter whose packages the cells see; that interpreter
needs ipykernel but not CLX. It stays single-threaded, opens no database and no ZeroMQ context, so that
forking it is safe. Requests arrive on stdin and answers leave on stdout, one JSON object per line::

    {"op": "preload", "modules": [...]}       → {"event": "preloaded", "unclean": [...]}
    {"op": "fork", "id": 1, …}                → {"event": "started", …}, then {"event": "up", …}
    {"op": "spawn", "id": 2, "argv": …, …}    → {"event": "started", …}
    {"op": "end", "id": 1}                    → {"event": "ended", …}
    (a kernel is gone by itself)              → {"event": "exited", "id": 1, "status": …}

In the mode ``fork`` the next kernel is forked and initialised as soon as the one before is in use, so
that a run finds it waiting; in the mode ``once`` it is not, and ``spawn`` does without ipykernel.

End of file on stdin means that the worker is gone: every kernel and all its descendants are killed and
the run directory is removed. On Linux kernels die with this process (PR_SET_PDEATHSIG), and what they
leave behind is handed to it (PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import importlib.util
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

KERNEL_APP = "clx_kernelapp"
"""Name of the module ``kernelapp.py`` beside this file, which can only be loaded together with ipykernel."""

_KERNEL_MODULES = (
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.iostream",
    "ipykernel.displayhook",
    "ipykernel.heartbeat",
    "ipykernel.subshell_manager",
    "ipykernel.comm.manager",
    "tornado.platform.asyncio",
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.core.magics",
    "IPython.core.history",
    "IPython.core.pylabtools",
    "IPython.core.oinspect",
    "IPython.core.debugger",
    "IPython.core.async_helpers",
    "IPython.core.guarded_eval",
    "IPython.lib.pretty",
    "IPython.extensions.storemagic",
    "stack_data",
    "executing",
    "asttokens",
    "pygments.formatters.terminal256",
    "pygments.lexers.python",
    "pygments.styles.default",
    "jupyter_client.session",
    "dateutil.parser",
    "unicodedata",
    "encodings.idna",
    "asyncio.events",
    "pdb",
    "bdb",
    "uuid",
    "decimal",
    "timeit",
)
"""Modules that every kernel loads, at start or during its first cells. Absent ones are passed over."""

_LOADED_LATER = {
    "matplotlib": (
        "matplotlib.pyplot",
        "matplotlib.backends.backend_agg",
        "matplotlib_inline.backend_inline",
        "PIL.BmpImagePlugin",
        "PIL.GifImagePlugin",
        "PIL.JpegImagePlugin",
        "PIL.PngImagePlugin",
        "PIL.PpmImagePlugin",
    ),
    "pandas": ("pandas.io.formats.html", "pandas.io.formats.string"),
}
"""What these libraries load at their first real use."""

_LEFT_TO_KERNELS = ("matplotlib.pyplot", "matplotlib_inline.backend_inline")
"""Loaded only for what they load in turn, then dropped: they tie themselves to the running shell."""


def main() -> None:
    """Serve until the worker is gone."""
    directory, mode = sys.argv[1:3]
    own = 0 if getattr(sys.flags, "safe_path", False) else 1  # without -P this file's directory comes first
    sys.path = [entry for entry in sys.path[own:] if entry]
    server = Server(directory)
    try:
        if mode != "spawn":
            load_kernel_modules()
            let_helpers_be_imported()
        server.keeps_spare = mode == "fork"
        server.prepare_spare()
        server.serve()
    finally:
        server.close()


def load_kernel_modules() -> None:
    """Import what a kernel needs, without its debugger: pydevd is slow to load and never used here."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    for name in _KERNEL_MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    del sys.modules["debugpy"]
    spec = importlib.util.spec_from_file_location(KERNEL_APP, Path(__file__).with_name("kernelapp.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[KERNEL_APP] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gc.collect()
    gc.freeze()


def let_helpers_be_imported() -> None:
    """Put a kernel's directory on the path, behind the standard library: cells import the modules beside their deck.

    IPython does the same by itself, but not in a Python that was started with ``-P``.
    """
    ends = [number for number, entry in enumerate(sys.path) if entry.endswith(("site-packages", "dist-packages"))]
    if "" not in sys.path:
        sys.path.insert(ends[0] if ends else 0, "")


class Spare(NamedTuple):
    """A kernel that waits for its run: told through the pipe *go*, which says in what directory and so on."""

    pid: int
    directory: str
    go: int


class Server:
    """The request loop and the processes it answers for."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.kernels: dict[int, int] = {}
        self.reported: dict[int, bool] = {}
        self.keeps_spare = False
        self._spare: Spare | None = None
        self._spares_made = 0
        self.ending = False
        self._pid = os.getpid()
        self._pending = b""
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        if self._libc is not None:
            self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._replies = os.dup(1)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._terminate)

    def serve(self) -> None:
        """Answer requests until stdin ends or SIGTERM arrives."""
        poller = select.poll()
        poller.register(0, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while not self.ending:
            for descriptor, _ in poller.poll():
                if descriptor == self._wake_read:
                    os.read(self._wake_read, 4096)
                elif not self._read_requests():
                    return
            self._report_exits()

    def close(self) -> None:
        """Kill every kernel and everything that came from one; remove the run directory."""
        for key in list(self.kernels):
            self._kill(key)
        self._drop_spare()
        self._kill_adopted()
        shutil.rmtree(self.directory, ignore_errors=True)

    def reply(self, **event: Any) -> None:
        """Send one event; lines are shorter than PIPE_BUF, so a kernel may write its own among them."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._replies, json.dumps(event).encode() + b"\n")

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        self.ending = True

    def _read_requests(self) -> bool:
        data = os.read(0, 65536)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._handle(json.loads(line))
        return bool(data)

    def _handle(self, request: dict[str, Any]) -> None:
        if request["op"] == "preload":
            self._drop_spare()
            self.reply(event="preloaded", unclean=preload(request["modules"], self.directory))
        elif request["op"] == "end":
            self._kill(request["id"])
            self._kill_adopted()
            self.reply(event="ended", id=request["id"])
        elif request["op"] == "fork":
            self._fork(request)
        else:
            self._spawn(request)

    def prepare_spare(self) -> None:
        """Fork the kernel of the next run, if this server keeps one waiting."""
        if self.keeps_spare and self._spare is None:
            self._spare = self._fork_spare()

    def _fork(self, request: dict[str, Any]) -> None:
        spare, self._spare = self._spare or self._fork_spare(), None
        self.kernels[request["id"]] = spare.pid
        self.reply(event="started", id=request["id"], pid=spare.pid, directory=spare.directory)
        with contextlib.suppress(BrokenPipeError):
            os.write(spare.go, json.dumps(request).encode())
        os.close(spare.go)
        self.prepare_spare()

    def _fork_spare(self) -> Spare:
        self._spares_made += 1
        directory = f"{self.directory}/{self._spares_made}"
        Path(directory).mkdir(0o700)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write)
            self._in_child(directory, lambda: self._run_ipykernel(directory, read))
        os.close(read)
        return Spare(pid, directory, write)

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare.go)
            os.kill(spare.pid, signal.SIGKILL)
            os.waitpid(spare.pid, 0)
            shutil.rmtree(spare.directory, ignore_errors=True)

    def _spawn(self, request: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            self._in_child(request["directory"], lambda: _execute(request))
        self.kernels[request["id"]] = pid
        self.reply(event="started", id=request["id"], pid=pid, directory=request["directory"])

    def _in_child(self, directory: str, body: Callable[[], None]) -> None:
        """In the child: do *body*, then exit; never returns. What it says at the end goes to ``crash``."""
        status = 1
        try:
            self._settle_child()
            crash = Path(directory, "crash").open("w", encoding="utf-8")  # noqa: SIM115 (open while it runs)
            os.dup2(crash.fileno(), 2)
            faulthandler.enable(crash)
            body()
            status = 0
        except BaseException:
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(status)

    def _settle_child(self) -> None:
        """Own session, default signals, no descriptor of the server but the replies; dies with the server."""
        os.setsid()
        if self._libc is not None:
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self._pid:
                os._exit(1)
            with contextlib.suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text("500")  # Sooner the kernel than its worker.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(self._wake_read)
        os.close(self._wake_write)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)

    def _run_ipykernel(self, directory: str, go: int) -> None:
        """In the child: initialise a kernel, wait for the run it is for, then serve that."""
        sys.argv = ["ipykernel_launcher.py"]
        sys.dont_write_bytecode = True
        module = sys.modules[KERNEL_APP]
        app = module.initialised_app(directory)
        said = os.read(go, 65536)
        os.close(go)
        if not said:
            return
        request = json.loads(said)
        module.Stream.limit = request["limit"]
        settle_in(request["cwd"], directory)
        app.shell.starting_dir = request["cwd"]
        app.shell.user_ns["_dh"][:] = [request["cwd"]]
        self.reply(event="up", id=request["id"])
        os.close(self._replies)
        app.start()

    def _report_exits(self) -> None:
        """Tell of kernels that ended by themselves; they stay zombies until `end`, so pids stay theirs."""
        for key, pid in self.kernels.items():
            if key in self.reported:
                continue
            status = exit_status(pid)
            if status is not None:
                self.reported[key] = True
                self.reply(event="exited", id=key, status=status)

    def _kill(self, key: int) -> None:
        pid = self.kernels.pop(key, None)
        self.reported.pop(key, None)
        if pid is None:
            return
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def _kill_adopted(self, timeout: float = 1.0) -> None:
        """Kill what left the session of its kernel: as orphans these processes have become our children."""
        if self._libc is None:
            return
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            ours = {*self.kernels.values(), self._spare.pid if self._spare else 0}
            orphans = child_pids(self._pid) - ours
            if not orphans:
                return
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def exit_status(pid: int) -> int | None:
    """How the child *pid* ended (negative: by that signal), or None; where possible it stays a zombie."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        found, status = os.waitpid(pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None
    info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    if info is None or info.si_pid != pid:
        return None
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status


def settle_in(cwd: str, directory: str) -> None:
    """In the child: what belongs to one run."""
    os.chdir(cwd)
    own = Path(directory, "tmp")
    own.mkdir()
    os.environ["TMPDIR"] = str(own)
    tempfile.tempdir = None
    if "numpy.random" in sys.modules:
        # Loaded before the fork, its generator would give every run the same "random" numbers.
        sys.modules["numpy.random"].seed()


def _execute(request: dict[str, Any]) -> None:
    settle_in(request["cwd"], request["directory"])
    os.environ.update(request["env"])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(request["argv"][0], request["argv"])  # noqa: S606 (the kernel's own command line)


def child_pids(pid: int) -> set[int]:
    """The children of the single-threaded process *pid*, from ``/proc``."""
    try:
        return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}
    except FileNotFoundError:
        return scan_for_children(pid)  # A Linux built without CONFIG_PROC_CHILDREN.


def scan_for_children(pid: int) -> set[int]:
    """The children of *pid*, by looking at everybody's parent."""
    numbers = (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {int(number) for number in numbers if _parent_of(number) == pid}


def _parent_of(name: str) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def preload(modules: list[str], directory: str) -> list[str]:
    """Import *modules* for the kernels to come.

    Returns those whose import a deck would have noticed (it printed, warned or failed) or that make
    forking unsafe (threads stay); the caller starts a new server without them.
    """
    unclean = [name for name in modules if not _import_cleanly(name, directory)]
    gc.collect()
    gc.freeze()
    return unclean


def _import_cleanly(name: str, directory: str) -> bool:
    saved = os.dup(2)
    with tempfile.TemporaryFile(dir=directory) as capture:
        os.dup2(capture.fileno(), 1)
        os.dup2(capture.fileno(), 2)
        try:
            done = _import_as_main(name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)
        return done and os.fstat(capture.fileno()).st_size == 0 and _is_single_threaded()


def _import_as_main(name: str) -> bool:
    """Import as a cell would: warnings meant for the importing user are shown for ``__main__`` only."""
    root = name.partition(".")[0]
    try:
        if not _is_module(root) or not _is_module(name):
            return True
        for each in (name, *_LOADED_LATER.get(root, ())):
            exec(f"import {each}", {"__name__": "__main__"})  # noqa: S102
    except Exception:
        return False
    finally:
        for each in _LEFT_TO_KERNELS:
            if sys.modules.pop(each, None) is not None:
                package, _, attribute = each.rpartition(".")
                with contextlib.suppress(AttributeError):
                    delattr(sys.modules[package], attribute)
    return True


def _is_module(name: str) -> bool:
    """Whether *name* can be imported; a member of a module cannot, and of what is absent the cell will tell."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _is_single_threaded() -> bool:
    """Whether this process has one thread, after a fork has let libraries such as OpenBLAS end theirs."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return len(list(Path("/proc/self/task").iterdir())) == 1 and threading.active_count() == 1


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Let SIGCHLD interrupt the poll; what happened is asked for there."""


if __name__ == "__main__":
    main()
    os._exit(0)  # it has nothing more to say, and taking the loaded libraries apart would take a while
