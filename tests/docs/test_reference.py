"""The documentation is what the program says."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from clx.cli.main import COMMANDS, cli
from tests.support.reference import pages

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("name", ["commands.md", "settings.md", "exit-codes.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    written = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run `make docs`"


def test_every_command_has_examples_of_its_own_in_its_help() -> None:
    waiting: list[tuple[str, click.Command]] = [("clx", cli)]
    while waiting:
        name, command = waiting.pop()
        text = f"{command.help}\n{command.epilog or ''}".partition("Examples:\n")[2]
        assert any(f"{line.strip()} ".startswith(f"{name} ") for line in text.splitlines()), (name, text)
        if isinstance(command, click.Group):
            for each in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), each)
                assert found is not None
                waiting.append((f"{name} {each}", found))


def test_every_command_is_in_the_user_guide() -> None:
    guide = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    guide += (ROOT / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"clx {command}" in guide, command


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_nothing_speaks_of_where_it_was_made() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        assert "/work/" not in page.read_text(encoding="utf-8"), page
