"""What the converter makes of what the browser answers; an exporter of the test's own answers in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.jobtypes.drawio.diagrams import cell, model, mxfile

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.browser import BrowserDiedError
from clx.jobtypes.drawio import converter as module
from clx.jobtypes.drawio.converter import DrawioConverter
from clx.jobtypes.drawio.exporter import Options, PagePicture
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.settings.schema import Settings

Answers = Callable[["Exporter", int], PagePicture]


def picture(*, unknown: tuple[str, ...] = (), missing: tuple[str, ...] = ()) -> PagePicture:
    return PagePicture(b"data", unknown_shapes=unknown, missing=missing)


class Exporter:
    """Answers as a test says, by the number of its browser and of the page."""

    made: list[Exporter]
    answers: Answers
    starts: Callable[[], None]

    def __init__(self, *_: object) -> None:
        type(self).starts()
        self.drawn = 0
        self.closed = self.killed = False
        self.options: list[Options] = []
        self.browser = SimpleNamespace(kill=self._kill)
        self.made.append(self)

    def _kill(self) -> None:
        self.killed = True

    def export(self, _document: object, page: Any, options: Options) -> PagePicture:
        self.options.append(options)
        self.drawn += 1
        return type(self).answers(self, page.number)

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, root: Path, exporter: type[Exporter]) -> None:
        self.inputs, self.outputs = root / "in", root / "out"
        self.inputs.mkdir()
        self.outputs.mkdir()
        self.exporter = exporter
        self.warnings: list[str] = []
        self.converter = DrawioConverter(Settings().having(DrawioSettings(scale=2.0, border=7)), root)

    def convert(self, text: str | None = None, **payload: Any) -> dict[str, Any]:
        (self.inputs / "d.drawio").write_text(text or mxfile(model(cell("a"))))
        return self.converter.convert(
            {"source": "d.drawio", "format": "png", **payload}, self.inputs, self.outputs, self.warnings.append
        )

    def fails(self, text: str | None = None, **payload: Any) -> ConversionError:
        with pytest.raises(ConversionError) as caught:
            self.convert(text, **payload)
        return caught.value


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    class Own(Exporter):
        made: list[Exporter] = []  # noqa: RUF012
        answers = staticmethod(lambda _exporter, _page: picture())
        starts = staticmethod(lambda: None)

    monkeypatch.setattr(module, "Exporter", Own)
    monkeypatch.setattr(module, "Site", lambda *_: None)
    monkeypatch.setattr(module, "require", lambda name, _: SimpleNamespace(path=Path(f"/tools/{name}")))
    monkeypatch.setattr(module, "locate", lambda name, _: None)
    return Bench(tmp_path, Own)


def test_each_page_becomes_a_picture_and_one_browser_draws_them(bench: Bench) -> None:
    assert bench.convert(mxfile(model(cell("a")), model(cell("b")))) == {"pages": ["Page 1", "Page 2"]}
    bench.convert(format="svg")
    assert sorted(path.name for path in bench.outputs.iterdir()) == ["1.png", "1.svg", "2.png"]
    assert len(bench.exporter.made) == 1
    assert bench.warnings == []


@pytest.mark.parametrize(
    ("payload", "options"),
    [
        ({}, Options("png", 2.0, 7, 60.0)),
        ({"format": "svg", "scale": 3, "border": 0, "timeout": 5}, Options("svg", 3.0, 0, 5.0)),
    ],
)
def test_a_job_says_how_to_draw_or_the_settings_do(bench: Bench, payload: dict[str, Any], options: Options) -> None:
    bench.convert(**payload)
    assert bench.exporter.made[0].options == [options]


def test_what_is_odd_about_a_page_is_a_warning(bench: Bench) -> None:
    address = "x" * 200
    bench.exporter.answers = staticmethod(lambda *_: picture(unknown=("a.b", "c"), missing=("http://x", address)))
    bench.convert(mxfile(model()))
    assert bench.warnings == [
        "Page 1 (Page 1) is empty; its picture is blank.",
        "Page 1: drawn as plain rectangles, because draw.io here does not know them: a.b, c.",
        f"Page 1: http://x, {'x' * 99}… are not part of the file and left out; embed them in draw.io.",
    ]


def test_formulas_without_mathjax_name_the_tool_before_anything_starts(bench: Bench) -> None:
    error = bench.fails(mxfile(model(cell("a")), model(cell("$$x$$"), attributes='math="1"')))
    assert (error.fact.startswith("Page 2 holds formulas"), error.line) == (True, 3)
    assert error.next_step == "Type: clx tools install drawio-math"
    assert bench.exporter.made == []


def test_a_browser_that_dies_over_a_page_is_replaced_once(bench: Bench) -> None:
    def answers(exporter: Exporter, _page: int) -> PagePicture:
        if exporter is exporter.made[0]:
            raise BrowserDiedError("killed", killed=True)
        return picture()

    bench.exporter.answers = staticmethod(answers)
    bench.convert()
    assert [each.killed for each in bench.exporter.made] == [True, False]


def test_two_that_die_fail_the_run_but_not_the_job(bench: Bench) -> None:
    def answers(*_: object) -> PagePicture:
        raise BrowserDiedError("killed", killed=True)

    bench.exporter.answers = staticmethod(answers)
    error = bench.fails()
    assert error.fact == "The browser ended twice while it drew page 1: killed"
    assert (error.retryable, error.line) == (True, 2)
    assert [each.killed for each in bench.exporter.made] == [True, True]


def test_a_page_that_takes_too_long_fails_the_job_and_costs_the_browser(bench: Bench) -> None:
    def answers(*_: object) -> PagePicture:
        raise TimeoutError

    bench.exporter.answers = staticmethod(answers)
    error = bench.fails(timeout=5)
    assert (error.fact, error.retryable) == ("Page 1 was not drawn within 5 s.", False)
    assert [each.killed for each in bench.exporter.made] == [True]


def test_a_page_that_is_refused_costs_no_browser(bench: Bench) -> None:
    def answers(*_: object) -> PagePicture:
        raise ConversionError("too large")

    bench.exporter.answers = staticmethod(answers)
    assert bench.fails().fact == "too large"
    bench.fails()
    assert [each.killed for each in bench.exporter.made] == [False]


def test_a_browser_that_drew_much_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECYCLE_AFTER", 2)
    bench.convert(mxfile(*[model(cell("a"))] * 3))
    assert [(each.drawn, each.closed) for each in bench.exporter.made] == [(2, True), (1, False)]
    bench.converter.close()
    bench.converter.close()
    assert bench.exporter.made[1].closed


def test_a_browser_that_does_not_start_is_a_missing_tool(bench: Bench) -> None:
    def starts() -> None:
        raise BrowserDiedError("no libnss3", killed=False)

    bench.exporter.starts = staticmethod(starts)
    with pytest.raises(ToolMissingError, match="The browser /tools/browser does not start: no libnss3"):
        bench.convert()


def test_a_browser_killed_while_it_starts_is_tried_again(bench: Bench) -> None:
    refusals = iter([True, False])

    def starts() -> None:
        if next(refusals):
            raise BrowserDiedError("killed", killed=True)

    bench.exporter.starts = staticmethod(starts)
    bench.convert()
    assert len(bench.exporter.made) == 1


def test_a_browser_that_starts_too_slowly_may_be_quicker_another_time(bench: Bench) -> None:
    def starts() -> None:
        raise TimeoutError

    bench.exporter.starts = staticmethod(starts)
    assert bench.fails().retryable
