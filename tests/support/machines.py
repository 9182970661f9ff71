"""Machines of tests: network, host name and processes of their own, in namespaces; and a server that they reach.

One side of each link stays here, where the server listens; a link is cut by taking this side down. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.postgresql import Server
from tests.support.scene import until
from tests.support.tools import skip_or_fail

_DURABLE = ("fsync=on", "full_page_writes=on", "synchronous_commit=on", "shared_buffers=32MB", "max_connections=100")
_WRONG_CLOCK = """
import time as _time
_ahead, _time_, _time_ns = {ahead}, _time.time, _time.time_ns
_time.time = lambda: _time_() + _ahead
_time.time_ns = lambda: _time_ns() + _ahead * 1_000_000_000
"""
PASSWORD = "geh:eim/@#%"
"""With everything that a URL has to write in another way."""
_QUOTED = "geh%3Aeim%2F%40%23%25"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def require_namespaces() -> None:
    """Skip the calling test where no machines can be made."""
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "list"], capture_output=True).returncode != 0:
        skip_or_fail("root", "network namespaces need root and iproute2")


class Machine:
    """A machine beside this one.

    Args:
        folder: for what it keeps: its home, its state.
        name: its host name.
        number: tells its network from those of others.
        clock: by how many seconds its clock is ahead.
    """

    def __init__(self, folder: Path, name: str, number: int = 1, *, clock: int = 0) -> None:
        self.name = name
        self.home = folder / name
        self.home.mkdir(parents=True)
        tag = f"{os.getpid() % 100_000}{number}"
        self._space, self._here, self._there = f"clx{tag}", f"clx{tag}a", f"clx{tag}b"
        network = f"10.{200 + number}.{os.getpid() % 250}"
        self.gateway, self._address = f"{network}.1", f"{network}.2"
        self._init: subprocess.Popen[str] | None = None
        self.environment = os.environ | {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        }
        if clock:
            (self.home / "python").mkdir()
            (self.home / "python" / "sitecustomize.py").write_text(_WRONG_CLOCK.format(ahead=clock), encoding="utf-8")
            self.environment["PYTHONPATH"] = str(self.home / "python")

    def __enter__(self) -> Machine:
        _run("ip", "netns", "add", self._space)
        try:
            _run("ip", "link", "add", self._here, "type", "veth", "peer", "name", self._there, "netns", self._space)
            _run("ip", "addr", "add", f"{self.gateway}/24", "dev", self._here)
            _run("ip", "netns", "exec", self._space, "ip", "addr", "add", f"{self._address}/24", "dev", self._there)
            _run("ip", "netns", "exec", self._space, "ip", "link", "set", self._there, "up")
            _run("ip", "netns", "exec", self._space, "ip", "link", "set", "lo", "up")
            self.link(up=True)
            self._init = subprocess.Popen(
                ["ip", "netns", "exec", self._space, "unshare", "--uts", "--mount", "--pid", "--fork", "--mount-proc",
                 "--kill-child", "sh", "-c", f"hostname {self.name} && echo up && exec cat"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert self._init.stdout is not None
            assert self._init.stdout.readline() == "up\n"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._init is not None:
            self._init.kill()  # and with its first process all others
            self._init.wait()
            for stream in (self._init.stdin, self._init.stdout):
                assert stream is not None
                stream.close()
        with contextlib.suppress(AssertionError):
            _run("ip", "link", "delete", self._here)
        _run("ip", "netns", "delete", self._space)

    @property
    def device(self) -> str:
        """Its link, on this side."""
        return self._here

    def stop(self) -> None:
        """Lose it: all that runs there is killed."""
        assert self._init is not None
        self._init.kill()

    def link(self, *, up: bool) -> None:
        """Connect it, or cut it off."""
        _run("ip", "link", "set", self._here, "up" if up else "down")

    @property
    def address(self) -> str:
        """Where it is reached from here."""
        return self._address

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that runs there."""
        assert self._init is not None
        children = f"/proc/{self._init.pid}/task/{self._init.pid}/children"
        first = until(lambda: Path(children).read_text(encoding="ascii").split())[0]
        return ["nsenter", "--target", first, "--pid", "--net", "--uts", "--mount"]

    def run(self, *command: str, code: int = 0, **environment: str) -> str:
        """What a command says there; its exit code must be *code*."""
        done = subprocess.run(
            [*self.prefix, *command], env=self.environment | environment, capture_output=True, text=True, cwd=self.home
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def clx(self, *words: str, code: int = 0, **environment: str) -> str:
        """What ``clx`` says there."""
        return self.run(sys.executable, "-m", "clx", *words, code=code, **environment)

    def share(self, ours: Path, theirs: Path) -> None:
        """Have a directory of this machine at another place there, as a network file system would."""
        for each in (ours, theirs):
            each.mkdir(parents=True, exist_ok=True)
        self.run("mount", "--bind", str(ours), str(theirs))


class NetworkServer(Server):
    """A server that writes through to the disk, and is reached by a network, with a password."""

    def __init__(self, folder: Path, settings: tuple[str, ...] = _DURABLE) -> None:
        super().__init__(folder, settings)

    def make(self) -> None:
        """Make an empty one."""
        super().make()
        with (self.folder / "data" / "pg_hba.conf").open("a", encoding="ascii") as rules:
            rules.write("host all all 10.0.0.0/8 scram-sha-256\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c {each}" for each in (*self._settings, "listen_addresses='*'", f"port={self.port}")]
        options.append(f"-k {self.folder}")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", "-o",
                  " ".join(options), "start")  # fmt: skip

    @property
    def port(self) -> int:
        """Its port: others may run here, and above are those that the system gives away."""
        return 10_000 + os.getpid() % 20_000

    def url(self, database: str) -> str:
        """The URL of one of its databases, by its socket."""
        return f"postgresql://clx@/{database}?host={self.folder}&port={self.port}"

    def network_url(self, database: str, machine: Machine) -> str:
        """The same by the network, as *machine* reaches it; with the password."""
        return f"postgresql://clx:{_QUOTED}@{machine.gateway}:{self.port}/{database}"

    def set_password(self) -> None:
        """Have it ask who comes by the network for :data:`PASSWORD`."""
        self.execute(f"ALTER ROLE clx PASSWORD '{PASSWORD}'")

    def crash(self) -> None:
        """SIGKILL to its first process, and start it again once the others have noticed."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not _processes_of(self.folder))
        # where nobody reaps it, its pid goes on to be taken
        for name in ("data/postmaster.pid", f".s.PGSQL.{self.port}.lock"):
            (self.folder / name).unlink(missing_ok=True)
        self.start()


def _processes_of(folder: Path) -> list[str]:
    """Processes of the server in *folder*: while one lives that was killed nobody can take its place."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            with contextlib.suppress(OSError):
                if (each / "cwd").readlink() == folder / "data" and "Z" not in _state(each):
                    found.append(each.name)
    return found


def _state(process: Path) -> str:
    return (process / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]


@contextlib.contextmanager
def network_server(folder: Path) -> Iterator[NetworkServer]:
    """A durable server in *folder* that is thrown away; its database is ``clx``."""
    found = NetworkServer(folder)
    found.make()
    found.start()
    try:
        found.set_password()
        found.execute("CREATE DATABASE clx")
        yield found
    finally:
        found.stop()


def with_url(url: str) -> dict[str, str]:
    """The variable that names a database."""
    return {"CLX_DATABASE__URL": url}
