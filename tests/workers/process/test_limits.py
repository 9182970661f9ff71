"""What the system lets a process have, in words."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from clx.errors import WorkerStartupError
from clx.workers.process.limits import not_started, require_files


class Limits:
    """Limits of this process, as a test says they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.now = (soft, hard)
        self.set: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.now)
        monkeypatch.setattr(resource, "setrlimit", lambda _, limits: self.set.append(limits))


@pytest.mark.parametrize(
    ("soft", "hard", "workers", "raised"),
    [
        (42, 4096, {"direct": 10}, None),
        (41, 4096, {"direct": 10}, 42),
        (41, 42, {"direct": 10}, 42),
        (10, resource.RLIM_INFINITY, {"direct": 10}, 42),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, {"direct": 10}, None),
        (58, 4096, {"direct": 2, "docker": 3}, None),
        (57, 4096, {"direct": 2, "docker": 3}, 58),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_workers_need(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, workers: dict[str, int], raised: int | None
) -> None:
    limits = Limits(monkeypatch, soft, hard)
    require_files(workers)
    assert limits.set == ([] if raised is None else [(raised, hard)])


def test_a_limit_that_cannot_be_raised_is_told_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 20, 41)
    with pytest.raises(WorkerStartupError) as caught:
        require_files({"direct": 10})
    assert caught.value.fact == "10 workers need about 42 open files, and 41 are allowed (ulimit -n)."
    assert caught.value.next_step.startswith("Type: ulimit -n 42 (in a systemd unit: LimitNOFILE=42), or ask for fewer")
    assert limits.set == []


@pytest.mark.parametrize(
    ("number", "fact", "step"),
    [
        (errno.EMFILE, "Too many open files: 20 open files are allowed (ulimit -n).", "ulimit -n 4096"),
        (errno.EAGAIN, "Resource temporarily unavailable: 20 processes are allowed", "Raise the limit"),
        (errno.ENFILE, "Too many open files in system.", "sysctl fs.file-max"),
        (errno.ENOMEM, "Cannot allocate memory.", "Free some memory"),
        (errno.ENOENT, "No such file or directory: /nowhere/python.", "Check it with `clx doctor`."),
    ],
)
def test_what_the_system_refused_is_told_with_the_limit_it_was(
    monkeypatch: pytest.MonkeyPatch, number: int, fact: str, step: str
) -> None:
    Limits(monkeypatch, 20, 41)
    error = OSError(number, os.strerror(number), "/nowhere/python")
    told = not_started(error, "notebook worker")
    assert told.fact.startswith(f"The notebook worker did not start: {fact}")
    assert step in told.next_step
