"""Cells in, outputs out: what authors see."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.jobtypes.notebook.execution.conftest import Run

from clx.jobtypes.notebook.execution.outputs import OUTPUT_LIMIT
from clx.jobtypes.notebook.execution.results import CellFailedError


def text_of(outputs: list[dict[str, Any]], name: str = "stdout") -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == name)


def failure(run: Run, *cells: str, **options: Any) -> CellFailedError:
    with pytest.raises(CellFailedError) as caught:
        run(*cells, **options)
    return caught.value


def test_results_displays_and_streams(run: Run) -> None:
    results = run("x = 20", "print('hi')\nx + 1", "", "from IPython.display import HTML, display\ndisplay(HTML('<b>'))")
    assert [result.execution_count for result in results] == [1, 2, None, 3]
    assert results[0].outputs == []
    assert results[1].outputs == [
        {"output_type": "stream", "name": "stdout", "text": "hi\n"},
        {"output_type": "execute_result", "data": {"text/plain": "21"}, "metadata": {}, "execution_count": 2},
    ]
    assert results[3].outputs[0]["data"]["text/html"] == "<b>"


def test_the_first_cells_output_is_never_lost(run: Run) -> None:
    for number in range(10):
        assert text_of(run(f"print({number})")[0].outputs) == f"{number}\n"


def test_what_subprocesses_write_is_there_in_order_and_whole(run: Run) -> None:
    program = "import sys; sys.stdout.write('x' + 'ä' * 100_000 + '\\n')"
    cells = [
        "import subprocess, sys, os",
        f"print('a'); subprocess.run([sys.executable, '-c', {program!r}]); print('c')",
        "os.system('echo last');",
    ]
    results = run(*cells)
    assert text_of(results[1].outputs) == "a\nx" + "ä" * 100_000 + "\nc\n"
    assert text_of(results[2].outputs) == "last\n"


def test_magics_work(run: Run) -> None:
    results = run("!echo bang", "%%bash\necho bash", "await __import__('asyncio').sleep(0)\nprint('awaited')")
    assert [text_of(result.outputs) for result in results] == ["bang\n", "bash\n", "awaited\n"]


def test_a_later_cell_updates_an_earlier_display(run: Run) -> None:
    results = run("h = display('old', display_id=True)", "h.update('new')")
    assert results[0].outputs[0]["data"]["text/plain"] == "'new'"
    assert results[1].outputs == []


def test_a_failing_cell_says_where_and_gives_what_there_was(run: Run) -> None:
    failed = failure(run, "print('ok')", "def f():\n    return 1 / 0\nprint('partial')\nf()", "print('never')")
    assert (failed.index, failed.kind, failed.ename, failed.evalue) == (
        1,
        "error",
        "ZeroDivisionError",
        "division by zero",
    )
    assert failed.line == 2
    assert "\x1b" not in failed.traceback
    assert "ZeroDivisionError" in failed.traceback
    assert [text_of(result.outputs) for result in failed.results] == ["ok\n", "partial\n"]
    assert not failed.retryable


def test_a_syntax_error_has_a_line(run: Run) -> None:
    failed = failure(run, "x = 1\ny = = 2")
    assert (failed.ename, failed.line) == ("SyntaxError", 2)


def test_an_error_in_a_function_of_an_earlier_cell_is_located_in_the_failing_one(run: Run) -> None:
    failed = failure(run, "\n\n\ndef f():\n    raise ValueError('x')", "\nf()")
    assert (failed.index, failed.line) == (1, 2)


def test_allowed_errors_are_outputs(run: Run) -> None:
    results = run("1 / 0", "print('on')", allow_errors_at={0})
    assert results[0].outputs[0]["ename"] == "ZeroDivisionError"
    assert not any("\x1b" in line for line in results[0].outputs[0]["traceback"])
    assert text_of(results[1].outputs) == "on\n"


@pytest.mark.parametrize("cell", ["input('name? ')", "import getpass\ngetpass.getpass()"])
def test_asking_for_input_fails_at_once(run: Run, cell: str) -> None:
    assert "asks for input" in failure(run, cell, cell_timeout=20).evalue


def test_standard_input_is_empty(run: Run) -> None:
    assert text_of(run("import sys\nprint(repr(sys.__stdin__.read()))")[0].outputs) == "''\n"


@pytest.mark.parametrize("cell", ["exit()", "quit()", "import sys\nsys.exit(3)"])
def test_leaving_is_an_error_of_the_cell(run: Run, cell: str) -> None:
    failed = failure(run, cell, "print('never')")
    assert (failed.index, failed.ename) == (0, "SystemExit")


def test_a_slow_cell_is_interrupted(run: Run) -> None:
    failed = failure(run, "import time\nprint('begun')\ntime.sleep(600)", cell_timeout=3)
    assert (failed.kind, failed.index, failed.line) == ("timeout", 0, 3)
    assert "3 s" in failed.evalue
    assert text_of(failed.results[0].outputs) == "begun\n"


def test_a_cell_that_ignores_the_interrupt_is_killed(run: Run) -> None:
    cell = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass"
    assert failure(run, cell, cell_timeout=0.5).kind == "timeout"
    assert text_of(run("print('next')")[0].outputs) == "next\n"


@pytest.mark.parametrize(
    ("cell", "how"),
    [
        ("import os\nos._exit(7)", "exited with code 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    ],
)
def test_a_dying_kernel_is_told_from_a_failing_cell(run: Run, cell: str, how: str) -> None:
    failed = failure(run, "x = 1", cell)
    assert (failed.index, failed.kind) == (1, "died")
    assert how in failed.evalue
    assert failed.retryable
    if how == "SIGSEGV":
        assert failed.line == 2
        assert "Segmentation fault" in failed.traceback


def test_a_gigabyte_of_output_is_cut_and_costs_no_memory(run: Run) -> None:
    line = "x" * 1_000_000
    results = run(f"for _ in range(1000):\n    print('{line[:10]}' * 100_000)", "print('on')", cell_timeout=240)
    assert len(text_of(results[0].outputs)) == OUTPUT_LIMIT
    assert "output cut" in text_of(results[0].outputs, "stderr")
    assert text_of(results[1].outputs) == "on\n"


def test_thousands_of_displays_arrive(run: Run) -> None:
    results = run("for number in range(3000):\n    display(number)")
    assert [output["data"]["text/plain"] for output in results[0].outputs] == [str(n) for n in range(3000)]


def test_outputs_are_the_same_bytes_every_time(run: Run) -> None:
    cells = [
        "import warnings, sys\nwarnings.warn('w')\nprint({'b', 'a', 'c'})",
        "print('e', file=sys.stderr)\nprint('o')",
        "1 / 0",
    ]
    first = run(*cells, allow_errors_at={2})
    assert all(run(*cells, allow_errors_at={2}) == first for _ in range(3))


def test_a_plot_is_an_inline_picture(run: Run) -> None:
    cells = ("import matplotlib.pyplot as plt", "plt.plot([1, 2, 3]);", "plt.plot([3, 1])\nplt.show()")
    results = run(*cells)
    for result in results[1:]:
        picture = base64.b64decode(result.outputs[-1]["data"]["image/png"], validate=True)
        assert picture.startswith(b"\x89PNG")
    assert run(*cells) == results


def test_half_a_character_is_an_error_of_the_cell_that_prints_it(run: Run) -> None:
    error = failure(run, "x = 1\nprint('\\ud83d')")
    assert (error.ename, error.line) == ("UnicodeEncodeError", 2)
    (output,) = run("print('\\ud83d')", allow_errors_at=(0,))[0].outputs
    assert output["output_type"] == "error"
    assert "File" not in "\n".join(output["traceback"])
    assert text_of(run("import sys\nprint('ü\\ud83d', file=sys.stderr)")[0].outputs, "stderr") == "ü\\ud83d\n"


def test_an_error_while_something_is_shown_has_its_name(run: Run) -> None:
    error = failure(run, "class A:\n    def __repr__(self):\n        raise ValueError('no repr')", "A()")
    assert (error.index, error.ename, error.evalue) == (1, "ValueError", "no repr")


def test_an_answer_that_cannot_be_read_is_the_fault_of_its_cell(run: Run) -> None:
    error = failure(run, "1", "import json\njson.JSONEncoder.encode = lambda *_: 'nonsense'", "2")
    assert (error.index, error.ename, error.retryable) == (1, "UnreadableAnswer", False)
    assert text_of(run("print('as before')")[0].outputs) == "as before\n"


@pytest.mark.parametrize(
    "cell",
    [
        "import json\njson.loads = json.dumps = lambda *_, **__: 'stand-in'",
        "import json\njson.JSONEncoder = json.JSONDecoder = None",
        "import os\nos.getpid = lambda: 1",
    ],
)
def test_what_a_cell_replaces_is_not_what_the_kernel_answers_with(run: Run, cell: str) -> None:
    replaced, shown = run(cell, "print('goes on')", cell_timeout=20.0)
    assert replaced.outputs == []
    assert text_of(shown.outputs) == "goes on\n"


def test_a_kernel_that_a_cell_has_broken_is_told_from_a_slow_cell(run: Run) -> None:
    error = failure(run, "import builtins\nbuiltins.len = lambda _: 0", cell_timeout=1.0)
    assert (error.kind, error.evalue) == (
        *("timeout", "the cell took longer than 1 s, and the kernel does not answer when it is interrupted"),
    )
    error = failure(run, "import time\ntime.sleep(100)", cell_timeout=1.0)
    assert (error.kind, error.evalue) == ("timeout", "the cell took longer than 1 s")


@pytest.mark.parametrize("cell", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_a_debugger_is_seen_in_the_traceback(run: Run, cell: str) -> None:
    error = failure(run, f"x = 1\n{cell}")
    assert (error.ename, error.line) == ("StdinNotImplementedError", 2)
    assert "debugger.py" in error.traceback or "pdb.py" in error.traceback
