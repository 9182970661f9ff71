"""The whole example: a day from what a laboratory sends to gold, by a staging server and three machines' workers.

python run.py                       2026-11-27, staging at port 8080
python run.py 2026-11-28            another day
python run.py --port 8090           staging at another port; 0: any that is free
"""

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLX = (sys.executable, "-P", "-m", "clx")
NEEDED = {"pyarrow": "'clx-build[daily]'", "python_multipart": "'clx-build[staging]'", "requests": "requests"}
OUTPUT = Path("output")
TOKEN = OUTPUT / "staging.token"


@contextmanager
def programs(*commands: tuple[dict[str, str], list[str]]) -> Iterator[list[str]]:
    """Commands of CLX beside this program, ended with it; gives the first line that each says."""
    started = [
        subprocess.Popen(
            [*CLX, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **variables}
        )
        for variables, words in commands
    ]
    try:
        yield [each.stdout.readline() if each.stdout else "" for each in started]
    finally:
        for each in started:
            each.terminate()  # what it is at is finished
        for each in started:
            each.communicate()


def main(day: date, port: int) -> int:
    from laboratory import send

    os.chdir(HERE)
    OUTPUT.mkdir(exist_ok=True)
    if not TOKEN.exists():
        subprocess.run([*CLX, "staging", "token", TOKEN], check=True)
    served = ["staging", "serve", "--root", "output/staging", "--token-file", str(TOKEN), "--port", str(port)]
    worker = ({"CLX_PYTHON__POOLS": '["models"]'}, ["daily", "work", "flow.py", "--workers", "1"])
    with programs(({}, served), worker, worker) as (said, *workers):
        where = re.search(r"http://[\w.]+:\d+", said)
        if where is None or not all("Workers for lab" in each for each in workers):
            sys.exit("".join([said, *workers]) + "Another port for staging: python run.py --port 8090")
        url = where[0]
        print(f"Staging: {url}; worker_1 and worker_2 take models", flush=True)
        sent = send(day, url, TOKEN.read_text().strip())
        print(f"The laboratory has sent {sent['size']} bytes for {day}.", flush=True)
        # this machine has the lake: its own worker does all but the models
        words = ["daily", "run", "flow.py", "--date", day.isoformat(), "--workers", "1"]
        more = {"CLX_PYTHON__POOLS": '["lake"]', "LAB_STAGING": url}
        done = subprocess.run([*CLX, *words], env={**os.environ, **more}).returncode
    if done == 0:
        gold = Path(OUTPUT, "lake/clean/gold/aggregated", *day.isoformat().split("-"), "job_1.parquet")
        print(f"Gold: {gold}; where it comes from: clx daily why {gold}")
    return done


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser(description="A day of the laboratory.")
    parser.add_argument("day", nargs="?", type=date.fromisoformat, default=date(2026, 11, 27))
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    if missing := [name for module, name in NEEDED.items() if find_spec(module) is None]:
        sys.exit(f"Type: pip install {' '.join(missing)}")
    try:
        sys.exit(main(given.day, given.port))
    except KeyboardInterrupt:
        print()
