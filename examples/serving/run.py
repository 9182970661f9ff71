"""The whole example: two models trained, exported, served, asked and put under load; Ctrl-C ends it.

    python run.py               then open the address that it prints
    python run.py --no-page     without the page; it ends when the load does
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLX = (sys.executable, "-P", "-m", "clx")
OUTPUT = HERE / "output"
NEEDED = {"onnx": "onnx", "tritonclient": "'tritonclient[http]'", "onnxruntime": "'clx-build[serving]'"}


@contextmanager
def program(*arguments: str, lines: int = 1) -> Iterator[str]:
    """A command of CLX beside this program, ended with it; gives the first of the *lines* that it says at its start."""
    process = subprocess.Popen([*CLX, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = [process.stdout.readline() for _ in range(lines)]
        if not said[-1]:
            sys.exit(f"clx {arguments[0]} does not start.")
        yield said[0]
    finally:
        process.terminate()  # what it has accepted is answered
        process.wait()
        process.stdout.close()


def make() -> None:
    """Train both models, write them to ``output``, and have CLX keep them."""
    import onnx

    from models import demand, digits

    OUTPUT.mkdir(exist_ok=True)
    for module, name in ((digits, "digits"), (demand, "demand")):
        onnx.save(module.exported(module.trained()), OUTPUT / f"{name}.onnx")
        subprocess.run([*CLX, "models", "add", name, OUTPUT / f"{name}.onnx"], check=True)


def ask(address: str) -> None:
    """Ask both models by the client of Triton, unchanged."""
    import numpy as np
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException

    from models import demand, digits

    client = triton.InferenceServerClient(address)

    def answer(model: str, name: str, values: np.ndarray, output: str, milliseconds: float) -> np.ndarray:
        asked = triton.InferInput(name, list(values.shape), "FP32")
        asked.set_data_from_numpy(values)
        return client.infer(model, [asked], timeout=int(milliseconds * 1000)).as_numpy(output)

    pictures, labels = digits.examples(400, seed=7)
    chances = [answer("digits", "pixels", each[np.newaxis], "chances", 500) for each in pictures]
    right = np.concatenate(chances).argmax(axis=1) == labels
    print(f"digits: {100 * right.mean():.1f} % of {len(labels)} pictures are read right, one request each")
    before, need = demand.examples(24 * 14, seed=8)
    wrong = np.abs(answer("demand", "before", before, "need", 500) - need)
    print(f"demand: {wrong.mean():.1f} MW off in the mean of {len(need)} hours, all in one request")
    try:
        answer("digits", "pixels", pictures, "chances", 0.001)
    except InferenceServerException as error:
        print(f"digits, with a thousandth of a millisecond: refused at once, {error.message()}")
    client.close()


def main(*options: str) -> None:
    missing = [name for module, name in NEEDED.items() if find_spec(module) is None]
    if missing:
        sys.exit(f"Type: pip install {' '.join(missing)}")
    os.chdir(HERE)
    with ExitStack() as beside:
        if "--no-page" not in options:
            where = beside.enter_context(program("server", "--port", "0", lines=2)).partition(" at ")[2].split()[0]
            token = Path(".clx", "server-token")
            said = f"?token={token.read_text().strip()}" if token.exists() else "models"
            print(f"The page, which has Models in its menu: {where}/{said}", flush=True)
        make()
        line = beside.enter_context(program("serve", "--port", "0"))
        address = line.partition("http://")[2].split(";")[0]
        print(f"Models are served at http://{address}", flush=True)
        ready(address)
        ask(address)
        load = ("digits", "--rate", "100", "--rate", "400", "--seconds", "3", "--timeout", "20")
        plot = ("--plot", "output/load.svg") if find_spec("matplotlib") else ()
        subprocess.run([*CLX, "serve", "bench", *load, *plot, "--url", f"http://{address}"], check=True)
        if plot:
            print("How long answers took, and what was refused: output/load.svg")
        if "--no-page" not in options:
            print("Ctrl-C ends it.", flush=True)
            signal.pause()


def ready(address: str) -> None:
    """Wait until both models are there."""
    import time

    import tritonclient.http as triton

    client = triton.InferenceServerClient(address)
    while not all(client.is_model_ready(each) for each in ("digits", "demand")):
        time.sleep(0.05)
    client.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        print()
