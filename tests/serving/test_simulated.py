"""Simulated workers: a real controller, real frames, and models that take the times that were recorded."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
import tritonclient.http
from tests.support.model_servers import Serve
from tests.support.scene import until

from clx.serving.frames import (
    Done,
    Failed,
    Infer,
    Load,
    Loaded,
    LoadFailed,
    Measured,
    Message,
    Reader,
    Warm,
    frame,
    specs,
)
from clx.serving.worker.simulated import SimulatedModel, SimulatedWorker, TimesError, times_of

MS = 1_000_000
HEADS = ["server", "number", "kind", "worker", "model", "version", "outcome", "took_ns", "rows"]


def recorded(path: Path, *runs: tuple[str, int, int], kind: str = "infer", outcome: str = "success") -> Path:
    """A file as `clx serve export actions` writes it; of each run the model, rows and nanoseconds."""
    lines = [HEADS, *(["1", "1", kind, "0", name, "1", outcome, str(took), str(rows)] for name, rows, took in runs)]
    path.write_text("".join("\t".join(each) + "\n" for each in lines), encoding="utf-8")
    return path


def test_times_are_those_of_successful_runs_by_model_and_rows(tmp_path: Path) -> None:
    file = recorded(tmp_path / "a.tsv", ("a", 1, 5), ("b", 1, 7), ("a", 4, 9), ("a", 1, 6), ("a", 1, 0))
    assert times_of(file) == {"a": {1: [5, 6], 4: [9]}, "b": {1: [7]}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not what"),
        ("1\n2\n", "is not what"),
        ("\t".join(HEADS) + "\n", "no run"),
        ("\t".join(HEADS) + "\n1\t1\tinfer\t0\ta\t1\tsuccess\tx\t1\n", "is not what"),
        ("\t".join(HEADS) + "\n1\t1\tinfer\n", "is not what"),
    ],
)
def test_a_file_that_says_no_times_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "a.tsv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TimesError, match=said):
        times_of(file)


def test_loads_and_failed_runs_are_no_times(tmp_path: Path) -> None:
    for more in ({"kind": "load"}, {"outcome": "failed"}):
        with pytest.raises(TimesError, match="no run"):
            times_of(recorded(tmp_path / "a.tsv", ("a", 1, 5), **more))


def test_a_run_takes_what_the_next_recorded_one_took_and_gives_a_row_for_each() -> None:
    model = SimulatedModel({1: [2 * MS, 20 * MS], 4: [30 * MS]})
    assert [model.took(1) for _ in range(3)] == [2 * MS, 20 * MS, 2 * MS]
    assert [model.took(rows) for rows in (2, 3, 4, 9)] == [30 * MS] * 4
    began = monotonic_ns()
    (found,) = model.run(model.sample(3))
    assert monotonic_ns() - began >= 30 * MS
    assert (found.shape, len(found.data), model.largest) == ((3, 1), 12, 4)


def test_a_simulated_worker_says_what_a_real_one_does_and_does_not_spend_what_warm_ups_took() -> None:
    ours, theirs = socket.socketpair()
    reader, worker = Reader(), SimulatedWorker(theirs, {"a": {1: [500 * MS]}, "b": {1: [MS]}})
    told: list[tuple[Message, bytes]] = []

    def said(kind: type[Message]) -> tuple[Any, bytes]:
        while not any(isinstance(message, kind) for message, _ in told):
            told.extend((message, bytes(rest)) for message, rest in reader.feed(ours.recv(65536)))
        return told.pop(next(place for place, (message, _) in enumerate(told) if isinstance(message, kind)))

    def tell(message: Message, rest: bytes = b"") -> None:
        ours.sendall(b"".join(frame(message, [rest])))

    thread = threading.Thread(target=worker.run)
    thread.start()
    with ours:
        for name in ("a-7/1/0/x", "c/1/0/x", "b/1/0/x"):
            tell(Load(name, "x"))
        assert [said(Loaded)[0].model, said(LoadFailed)[0].model] == ["a-7/1/0/x", "c/1/0/x"]
        said(Loaded)
        began = monotonic_ns()
        tell(Warm("a-7/1/0/x", 1, 20))
        assert said(Measured)[0] == Measured("a-7/1/0/x", 1, [500 * MS] * 20)
        assert monotonic_ns() - began < 20 * 500 * MS
        tell(Infer(3, "c/1/0/x", []))
        assert said(Failed)[0].batch == 3
        (given,) = SimulatedModel({1: [1]}).sample(1)
        tell(Infer(4, "b/1/0/x", specs([given])), bytes(given.data))
        done, rest = said(Done)
        assert (done.batch, done.took >= MS, rest) == (4, True, bytes(4))
    thread.join(20)
    assert not thread.is_alive()
    theirs.close()


@pytest.mark.slow
def test_a_controller_serves_many_models_on_many_simulated_workers(serve: Serve, tmp_path: Path) -> None:
    """Results take the times that were recorded; who has too little time is refused; a kill is mended."""
    file = recorded(tmp_path / "actions.tsv", ("slow", 1, 200 * MS), ("quick", 1, 2 * MS), ("quick", 8, 4 * MS))
    server = serve("--simulate", str(file), "--copies", "20", "--workers", "10")
    with tritonclient.http.InferenceServerClient(server.address, concurrency=16, network_timeout=60) as client:
        names = [f"{name}-{place}" for name in ("slow", "quick") for place in range(1, 21)]
        until(lambda: all(client.is_model_ready(each) for each in names))

        def asked(name: str) -> int:
            made = tritonclient.http.InferInput("x", [1, 3], "FP32")
            made.set_data_from_numpy(_zeros())
            with tritonclient.http.InferenceServerClient(server.address, network_timeout=60) as one:
                return int(one.infer(name, [made]).as_numpy("y").size)

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(asked, names)) == [1] * 40
        made = tritonclient.http.InferInput("x", [1, 3], "FP32")
        made.set_data_from_numpy(_zeros())
        with pytest.raises(tritonclient.http.InferenceServerException, match="deadline"):
            client.infer("slow-3", [made], timeout=100_000)
        (fleet,) = server.children()
        subprocess.run(["kill", "-9", str(fleet)], check=True)
        until(lambda: server.children() and fleet not in server.children() and client.is_model_ready("slow-3"))
        assert asked("slow-3") == 1
    told = subprocess.run(
        [sys.executable, "-m", "clx", "serve", "export", "actions"], cwd=tmp_path, capture_output=True, text=True
    )
    found = {name: min(took[1]) for name, took in times_of_text(told.stdout, tmp_path).items()}
    assert set(found) == set(names)
    assert all(took >= (200 if name.startswith("slow") else 2) * MS for name, took in found.items())


def _zeros() -> object:
    import numpy as np

    return np.zeros((1, 3), np.float32)


def times_of_text(text: str, folder: Path) -> dict[str, dict[int, list[int]]]:
    (folder / "found.tsv").write_text(text, encoding="utf-8")
    return times_of(folder / "found.tsv")


@pytest.mark.parametrize("more", [["--model", "a=a.tsv"], ["--worker", "127.0.0.1:1"], []])
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "a.tsv").write_text("none\n", encoding="utf-8")
    command = [sys.executable, "-m", "clx", "serve", "--simulate", "a.tsv", *more]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert ("Leave --model and --worker out" if more else "clx serve export actions > a.tsv") in done.stderr
