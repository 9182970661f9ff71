"""The whole example: a server with the page, two runners, the pipelines of ``pipeline.yaml``; Ctrl-C ends it.

    python run.py               then open the address that it prints
    python run.py --no-page     without the server; it ends when the pipelines have
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import clx.pipelines

HERE = Path(__file__).resolve().parent
CLX = (sys.executable, "-P", "-m", "clx")
STEPS = ("detect", "localise", "report", "note")


@contextmanager
def program(*arguments: str, **options: int) -> Iterator[subprocess.Popen[str]]:
    """A command of CLX beside this program, ended with it."""
    process = subprocess.Popen([*CLX, *arguments], text=True, **options)
    try:
        yield process
    finally:
        process.terminate()  # what it is at is finished
        process.wait()


def address(server: subprocess.Popen[str]) -> str:
    """Where the page is, with its token."""
    assert server.stdout is not None
    where, how = server.stdout.readline(), server.stdout.readline()
    if not how:
        sys.exit("The server does not start.")
    url, token = where.partition(" at ")[2].split()[0], Path(".clx", "server-token")
    return f"{url}/?token={token.read_text().strip()}" if token.exists() else url


def main(*options: str) -> None:
    os.chdir(HERE)
    with ExitStack() as beside:
        server = None
        if "--no-page" not in options:
            server = beside.enter_context(program("server", "--port", "0", stdout=subprocess.PIPE))
            print(f"Pipelines, works and plots: {address(server)}", flush=True)
        for _ in range(2):
            beside.enter_context(program("work", "run", *STEPS))
        made = clx.pipelines.deploy("pipeline.yaml")
        for pipeline in clx.pipelines.wait(made.config):
            steps = ", ".join(f"{step['name']} {step['status']}" for step in pipeline["steps"])
            said = f"event {pipeline['matrix']['event']}: {pipeline['status']} ({steps})"
            print(f"{said}\n", end="", flush=True)  # at once: those who do works write there as well
        if server is not None:
            print("Ctrl-C ends the server.")
            server.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        print()
