"""A command returns what it found; one helper prints it as a document or in words."""

from __future__ import annotations

import json

import click
from click.testing import CliRunner, Result

from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option


def run(found: Output, *words: str) -> Result:
    @click.command()
    @format_option
    @verbose_option(logs=False)
    def command() -> Output:
        return found

    return CliRunner().invoke(command, words)


def test_words_are_lines_and_asides_come_on_standard_error() -> None:
    done = run(Output({"n": 1}, ["one", "two"], asides=["careful"]))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "one\ntwo\n", "careful\n")


def test_a_document_is_all_that_a_program_gets_and_nobody_looks_for_words() -> None:
    lines = map(str, [1, 2])
    done = run(Output({"n": 1}, lines, asides=["careful"]), "--format", "json")
    assert (done.exit_code, json.loads(done.stdout), done.stderr) == (0, {"n": 1}, "")
    assert list(lines) == ["1", "2"]


def test_the_exit_code_is_the_same_in_both_forms() -> None:
    found = Output({"ok": False}, ["broken"], exit_code=4)
    assert [run(found, "--format", form).exit_code for form in ("table", "json")] == [4, 4]


def test_what_is_shown_commands_no_terminal() -> None:
    done = run(Output({}, ["a\x1b[2Jb"], asides=["c\x07d"]))
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stderr
