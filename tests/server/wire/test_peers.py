"""The clients of CHIME/FRB Workflow with the tests that they bring, unchanged, against a server of an empty table.

Each runs on a machine of its own, for their ports are fixed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clients import NAMES, client
from tests.support.machines import Machine, require_namespaces
from tests.support.serving_process import ServerProcess

MODULES = ("buckets", "results", "work_http_operations", "audit_daemon", "transfer_daemon", "workflow")
"""Those of their tests that need a server of Workflow; the others are of other services, or need none."""
PASSED = {"2.3.3": 43, "2.4.0": 43, "3.4.0": 55}
"""Version of ``chime-frb-api`` → how many tests these are."""
QUIET = ("-q", "-p", "no:cacheprovider", "--noconftest", "-W", "ignore", "-c", "/dev/null", "--rootdir", "/")
"""Nothing of this project's own tests is to be heeded."""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with ``clx server --workflow-ports --no-token`` on an empty table."""
    require_namespaces()
    with Machine(tmp_path, "workflow", number=7) as made:
        options = ("--workflow-ports", "--no-token")
        server = ServerProcess(made.home / "jobs.db", *options, before=made.prefix, port=8004, token="none")
        yield made
    server.process.communicate(timeout=60)  # it has ended with its machine


def passed(told: str) -> int:
    """How many tests did, and that no other ended in another way."""
    summary = told.strip().splitlines()[-1]
    found = re.fullmatch(r"(\d+) passed( in .*|, \d+ warnings? in .*)", summary)
    assert found is not None, told
    return int(found[1])


@pytest.mark.parametrize("version", PASSED)
def test_the_clients_own_tests_pass(machine: Machine, version: str) -> None:
    api = client(f"chime-frb-api-{version}")
    tests = [f"chime_frb_api/tests/test_{name}.py" for name in MODULES]
    # one of them reads a file beside the package
    run = ("env", "-C", str(api.packages), api.program("pytest"), *QUIET)
    assert passed(machine.run(*run, *tests, PYTHONDONTWRITEBYTECODE="1")) == PASSED[version]


@pytest.mark.parametrize("name", ["workflow-core-1.12.3", "chime-frb-api-2.4.0", "chime-frb-api-3.4.0"])
def test_the_clients_do_what_ours_ask_of_them(machine: Machine, name: str) -> None:
    api = client(name)
    script = NAMES / f"with_{name.rpartition('-')[0].replace('-', '_')}.py"
    workspace = machine.clx("work", "workspace", "--site", "local", "--site", "aro")
    config = machine.home / ".config" / "workflow"
    config.mkdir(parents=True)
    (config / "workspace.yml").write_text(workspace, encoding="utf-8")
    told = machine.run(api.program("pytest"), *QUIET, str(script), VERSION=name.rpartition("-")[2])
    assert passed(told) > 0
