"""Only ``clx.platforms`` asks which system this is; its two sides have the same names."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from clx.platforms import posix, windows

SOURCES = Path(__file__).parents[2] / "src" / "clx"
MISSING_MODULES = {"fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "winreg", "_winapi"}
"""Modules that one of the two has not."""
MISSING_NAMES = {
    "os": {
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "chown", "fchmod", "fork", "getegid"),
        *("geteuid", "getgid", "getuid", "kill", "killpg", "name", "pidfd_open", "register_at_fork", "setsid"),
        *("fchdir", "getloadavg", "getpgid", "getsid", "lchown", "mkfifo", "pread", "pwrite", "sched_getaffinity"),
        *("set_blocking", "startfile", "statvfs", "sync", "uname", "wait", "waitid", "waitpid", "WNOHANG"),
    },
    "select": {"epoll", "kqueue", "poll", "select"},
    "signal": {
        *("SIGALRM", "SIGBREAK", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPROF", "SIGSTOP", "SIGUSR1"),
        *("SIGXCPU", "alarm", "pidfd_send_signal", "pthread_kill", "pthread_sigmask", "setitimer", "sigtimedwait"),
    },
    "socket": {"AF_UNIX"},
    "sys": {"getwindowsversion", "platform"},
}
"""What one of the two has not, or does otherwise, by the module it is taken from."""
MISSING_ARGUMENTS = {"dir_fd", "pass_fds", "preexec_fn"}

BESIDE = {
    "jobtypes/browser.py": "refuses to begin where no browser can be given its pipes",
    "jobtypes/notebook/execution/forkserver.py": "runs without CLX, under the interpreter of the cells",
    "jobtypes/notebook/execution/kernelapp.py": "runs without CLX, in a kernel that was forked",
    "routines/tasks/keeper.py": "runs only where there is fork: its worker refuses to begin elsewhere",
    "routines/tasks/process.py": "the same: it starts that one",
    "serving/handshake.py": "keeps a link alive by options that not every system has",
    "serving/aside.py": "gives workers an end of a socket: `clx serve` refuses to begin where that cannot be",
    "serving/running.py": "gives workers an end of a socket: `clx serve` refuses to begin where that cannot be",
    "serving/trial.py": "gives workers an end of a socket: `clx serve` refuses to begin where that cannot be",
    "serving/worker/listening.py": "gives workers a connection: `clx serve` refuses to begin where that cannot be",
    "workers/lock_probe.py": "runs in a container, which is Linux",
}
"""File → why it may ask."""


_WORTH_PARSING = re.compile(
    rf"\b(?:{'|'.join(MISSING_MODULES)})\b|\bfrom\s+(?:{'|'.join(MISSING_NAMES)})\b"
    rf"|\b(?:{'|'.join(MISSING_ARGUMENTS)})\s*=|\b(?:getattr|hasattr)\s*\(\s*(?:{'|'.join(MISSING_NAMES)})\b"
    + "".join(rf"|\b{name}\s*\.\s*(?:{'|'.join(names)})\b" for name, names in MISSING_NAMES.items())
)
"""What stands in every text that asks: to parse all others would take ten seconds."""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def asked(text: str) -> set[str]:
    """What code takes from a platform, as it is written."""
    if not _WORTH_PARSING.search(text):
        return set()
    return {found for node in ast.walk(ast.parse(text)) for found in (*imported(node), *used(node))}


def imported(node: ast.AST) -> Iterator[str]:
    """The modules, and names of modules, that one of the two has not."""
    if isinstance(node, ast.Import):
        yield from (f"import {each.name}" for each in node.names if each.name.partition(".")[0] in MISSING_MODULES)
    elif isinstance(node, ast.ImportFrom) and node.module:
        missing = MISSING_NAMES.get(node.module, set())
        for each in node.names:
            if node.module.partition(".")[0] in MISSING_MODULES or each.name in missing:
                yield f"from {node.module} import {each.name}"


def used(node: ast.AST) -> Iterator[str]:
    """An attribute, an argument, or a question for a name."""
    match node:
        case ast.Attribute(value=ast.Name(id=module), attr=name) if name in MISSING_NAMES.get(module, set()):
            yield f"{module}.{name}"
        case ast.keyword(arg=str(name)) if name in MISSING_ARGUMENTS:
            yield f"{name}="
        case ast.Call(func=ast.Name(id="getattr" | "hasattr" as how), args=[ast.Name(id=module), *_]):
            if module in MISSING_NAMES.keys() - {"sys"}:
                yield f"{how}({module}, …)"


def test_nobody_else_asks_which_system_this_is() -> None:
    found = {
        path.relative_to(SOURCES).as_posix(): sorted(asked(path.read_text(encoding="utf-8")))
        for path in SOURCES.rglob("*.py")
        if "platforms" not in path.relative_to(SOURCES).parts[:1]
    }
    asking = {name: what for name, what in found.items() if what}
    assert {name: what for name, what in asking.items() if name not in BESIDE} == {}
    assert sorted(BESIDE.keys() - asking.keys()) == [], "these ask for nothing now"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import fcntl", ["import fcntl"]),
        ("def f():\n    import pwd, os", ["import pwd"]),
        ("from fcntl import flock", ["from fcntl import flock"]),
        ("from signal import SIGKILL, SIGINT", ["from signal import SIGKILL"]),
        ("os.killpg(1, signal.SIGKILL)", ["os.killpg", "signal.SIGKILL"]),
        ("x = sys.platform == 'linux' or os.name", ["os.name", "sys.platform"]),
        ("os.open(name, flags, dir_fd=4)", ["dir_fd="]),
        ("getattr(os, 'O_PATH', 0) or hasattr(signal, name)", ["getattr(os, …)", "hasattr(signal, …)"]),
        ("select.select([], [], [], 1)", ["select.select"]),
        ("selectors.DefaultSelector(); os.path.join('a'); signal.SIGTERM", []),
    ],
)
def test_what_is_asked_is_seen_however_it_is_written(text: str, found: list[str]) -> None:
    assert sorted(asked(text)) == found


def names_of(module: object) -> dict[str, object]:
    """The public names that a module itself defines, private ones of classes left out."""
    name = getattr(module, "__name__", "")
    defined = {
        target.id
        for node in tree_of(Path(str(getattr(module, "__file__", "")))).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and (key in defined or getattr(value, "__module__", "") == name)
    }


def test_both_sides_have_the_same_names() -> None:
    assert sorted(names_of(posix)) == sorted(names_of(windows))


def members_of(value: object) -> dict[str, object]:
    """A function, or the methods of a class, by name."""
    if inspect.isfunction(value):
        return {"": value}
    if inspect.isclass(value):
        return {name: each for name, each in vars(value).items() if inspect.isfunction(each) and name[0] != "_"}
    return {}


def test_both_sides_are_called_alike() -> None:
    for name, value in names_of(posix).items():
        here, there = members_of(value), members_of(names_of(windows)[name])
        assert sorted(here) == sorted(there), name
        for method, function in here.items():
            one, other = (list(inspect.signature(each).parameters) for each in (function, there[method]))  # type: ignore[arg-type]
            assert one == other, f"{name}.{method}"
