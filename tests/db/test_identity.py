"""Who may be judged from here: processes of this machine, boot and namespace; nobody of another."""

from __future__ import annotations

import os
import platform
import subprocess

import pytest

from clx.db import identity
from clx.db.identity import is_gone, is_of_an_earlier_boot, is_ours_to_judge, process_identity


def test_an_identity_names_machine_boot_namespace_process_and_start() -> None:
    boot, _, machine = process_identity().split("/")[0].partition("@")
    assert len(boot) == 36
    assert len(machine) in (0, 12)
    assert process_identity().split("/")[2] == str(os.getpid())


def test_a_process_of_this_machine_is_gone_once_it_has_ended() -> None:
    child = subprocess.Popen(["sleep", "60"])
    known = process_identity(child.pid)
    assert not is_gone(known)
    child.kill()
    child.wait()
    assert is_gone(known)


@pytest.mark.parametrize("part", ["boot", "machine", "namespace"])
def test_nobody_of_another_machine_is_judged_though_there_is_no_such_process_here(part: str) -> None:
    first, namespace, _pid, start = process_identity().split("/")
    boot, _, machine = first.partition("@")
    other = {
        "boot": f"{'0' * 36}@{machine}/{namespace}",
        "machine": f"{boot}@{'0' * 12}/{namespace}",
        "namespace": f"{first}/1",
    }[part]
    elsewhere = f"{other}/4194304/{start}"
    assert not is_ours_to_judge(elsewhere)
    assert not is_gone(elsewhere)


@pytest.mark.parametrize(
    ("machine", "expected"), [("", True), ("a" * 12, True), ("b" * 12, False)], ids=["unknown", "this one", "another"]
)
def test_another_machine_of_the_same_name_is_no_earlier_boot_of_this_one(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: bool
) -> None:
    monkeypatch.setattr(identity, "this_machine", lambda: f"{'1' * 36}@{'a' * 12}/4026531836")
    before = f"{'0' * 36}@{machine}/4026531836/7/99"
    assert is_of_an_earlier_boot(before, platform.node(), 0) == expected
    assert not is_of_an_earlier_boot(before, "another", 0)
