"""What the workers of these tests run."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import clx
from clx import define

SLEEPER = [sys.executable, "-c", "import time; time.sleep(1000)"]


@define.task(name="add", version="1.0.0", cache=False)
def add(a: int, b: int = 1) -> int:
    return a + b


@define.task(name="whoami", version="1.0.0", cache=False)
def whoami() -> int:
    return os.getpid()


@define.task(name="tries", version="1.0.0", cache=False, max_runs=2)
def tries(file: str) -> str:
    path = Path(file)
    path.write_text(path.read_text() + "x" if path.exists() else "x")
    if len(path.read_text()) < 2:
        raise ValueError("the first time it fails")
    return path.read_text()


@define.task(name="waits", version="1.0.0", cache=False, max_runs=2, backoff=2)
def waits(file: str) -> str:
    return str(tries.local(file))


@define.task(name="fails", version="1.0.0", cache=False)
def fails() -> None:
    print("about to fail")
    raise KeyError("nothing of that name")


@define.task(name="leaves", version="1.0.0", cache=False)
def leaves(how: str) -> None:
    print("about to leave")
    match how:
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "close":
            os.closerange(3, 100)
            time.sleep(60)


@define.task(name="hangs", version="1.0.0", cache=False)
def hangs(file: str, deaf: bool = False) -> None:
    """With a process in a session of its own, as a daemon has one."""
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inner = subprocess.Popen(SLEEPER)
    outer = subprocess.Popen(SLEEPER, start_new_session=True)
    print("hanging", flush=True)
    Path(file).write_text(f"{os.getpid()} {inner.pid} {outer.pid}")
    time.sleep(1000)


@define.task(name="says", version="1.0.0", cache=False)
def says(text: str, times: int) -> int:
    for _ in range(times):
        print(text)
    print("to stderr", file=sys.stderr)
    logging.getLogger("shop").warning("logged")
    os.system("echo from a shell")
    return times


@define.task(name="floods", version="1.0.0", cache=False)
def floods(mib: int) -> int:
    block = b"x" * ((1 << 20) - 1) + b"\n"
    os.write(1, b"the first line\n")
    for _ in range(mib):
        os.write(1, block)
    os.write(1, b"the last line\n")
    return mib


@define.task(name="litters", version="1.0.0", cache=False)
def litters(what: str, file: str = "") -> int:
    match what:
        case "thread":
            threading.Thread(target=time.sleep, args=(1000,)).start()
        case "child":
            Path(file).write_text(str(subprocess.Popen(SLEEPER).pid))
        case "daemon":
            code = f"import subprocess as s; print(s.Popen({SLEEPER!r}, start_new_session=True, stdout=s.DEVNULL).pid)"
            done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
            Path(file).write_text(done.stdout)
        case "surroundings":
            os.chdir("/")
            os.environ["SHOP_LITTER"] = "1"
            os.environ.pop("PATH", None)
            sys.path.insert(0, "/nowhere")
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.alarm(1)
            os.umask(0o077)
    return os.getpid()


@define.task(name="surroundings", version="1.0.0", cache=False)
def surroundings() -> dict[str, Any]:
    mask = os.umask(0)
    os.umask(mask)
    print("heard")
    return {
        "pid": os.getpid(), "cwd": str(Path.cwd()), "litter": os.environ.get("SHOP_LITTER", ""), "mask": mask,
        "path": os.environ.get("PATH", ""), "places": sys.path, "term": str(signal.getsignal(signal.SIGTERM)),
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
    }  # fmt: skip


@define.task(name="unsayable", version="1.0.0", cache=False, max_runs=3)
def unsayable() -> Any:
    return {"rows": [1, threading.Lock()]}


@define.task(name="counts", version="1.0.0", cache=False)
def counts(go: str) -> str:
    print("counting", flush=True)
    for number in range(5):
        clx.progress(number, 5, "counting")
    while not Path(go).exists():
        time.sleep(0.01)
    return "counted"


@define.task(name="grows", version="1.0.0", cache=False)
def grows(mib: int, keep: bool = False) -> int:
    held = bytearray(mib << 20)
    if keep:
        _kept.append(held)
    return os.getpid()


_kept: list[bytearray] = []


@define.task(name="marks", version="1.0.0", cache=False)
def marks(file: str, text: str) -> None:
    with Path(file).open("a") as stream:
        stream.write(f"{text}\n")


@define.task(name="asks", version="1.0.0", cache=False, max_runs=3)
def asks(how: str) -> None:
    if how == "discard":
        raise clx.Discard("no use")
    raise clx.Retry("not yet", delay=5)


with contextlib.suppress(KeyError):
    exec(os.environ["SHOP_AT_IMPORT"])
