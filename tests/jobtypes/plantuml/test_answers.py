"""What the converter makes of what PlantUML answers; a renderer of the test's own answers in its place."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.plantuml import converter as module
from clx.jobtypes.plantuml.converter import PlantUmlConverter
from clx.jobtypes.plantuml.jvm import JvmDiedError, JvmPicture, Refusal
from clx.jobtypes.plantuml.launch import Look
from clx.jobtypes.plantuml.stage import Stage
from clx.jobtypes.source import SOURCE_LIMIT, read_source
from clx.settings.schema import Settings

Answer = JvmPicture | Refusal


def png(width: int = 10, height: int = 10) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height)


def drawn(data: bytes | None = None, trouble: str = "") -> JvmPicture:
    return JvmPicture(png() if data is None else data, trouble)


class Renderer:
    """Answers as a test says: the text of a diagram → a picture or a refusal."""

    answer: Callable[[str], Answer] = staticmethod(lambda _: drawn())
    dot: Path | None = Path("/usr/bin/dot")
    leaking = False

    def __init__(self, _settings: Settings, work_dir: Path) -> None:
        self.stage = Stage(work_dir)
        self.tools = SimpleNamespace(dot=self.dot, jar=Path("/old.jar"))
        self.closed = 0
        self.looks: list[Look | None] = []

    def render(self, text: str, look: Look, timeout: float) -> Answer:
        self.looks.append(look)
        return self.answer(text)

    def end_pages(self) -> None:
        self.looks.append(None)

    def leaks(self, _look: Look) -> bool:
        return self.leaking

    def is_welcome(self, data: bytes, _look: Look) -> bool:
        return data.endswith(b"welcome")

    def close(self) -> None:
        self.closed += 1


class Bench:
    def __init__(self, root: Path, renderer: type[Renderer]) -> None:
        self.renderer = renderer
        self.inputs, self.outputs = root / "in", root / "out"
        for folder in (self.inputs / "pu", self.outputs, root / "work"):
            folder.mkdir(parents=True)
        self.converter = PlantUmlConverter(Settings(), root / "work")
        self.warnings: list[str] = []

    def answers(self, answer: Callable[[str], Answer]) -> None:
        self.renderer.answer = staticmethod(answer)

    def convert(
        self, text: str = "@startuml\nA -> B\n@enduml\n", picture_format: str = "png", scale: int = 1
    ) -> dict[str, Any]:
        (self.inputs / "pu/a.pu").write_text(text)
        payload = {"source": "pu/a.pu", "format": picture_format, "scale": scale}
        return self.converter.convert(payload, self.inputs, self.outputs, self.warnings.append)

    def fails(self, *arguments: Any) -> ConversionError:
        with pytest.raises(ConversionError) as caught:
            self.convert(*arguments)
        return caught.value


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    class Own(Renderer):
        pass

    monkeypatch.setattr(module, "Renderer", Own)
    return Bench(tmp_path, Own)


def test_each_diagram_becomes_a_picture_in_order(bench: Bench) -> None:
    bench.answers(lambda text: drawn(png() + text.encode()))
    assert bench.convert("@startuml\nA\n@enduml\n@startmindmap\n* b\n@endmindmap\n") == {
        "pictures": 2,
        "layout": "graphviz",
    }
    assert sorted(path.name for path in bench.outputs.iterdir()) == ["1.png", "2.png"]
    assert (bench.outputs / "2.png").read_bytes().endswith(b"* b\n@endmindmap\n")
    assert bench.warnings == []


def test_without_graphviz_the_layout_is_told(bench: Bench) -> None:
    bench.renderer.dot = None
    assert bench.convert()["layout"] == "smetana"
    with pytest.raises(ToolMissingError, match="A @startdot diagram needs Graphviz"):
        bench.convert("@startdot\ndigraph {}\n@enddot\n")


def test_a_refusal_is_told_with_its_line_in_the_source(bench: Bench) -> None:
    bench.answers(lambda _: Refusal(2, "Syntax Error?\nmore"))
    error = bench.fails("\n\n@startuml\nA -> B\nwrong\n@enduml\n")
    assert (error.fact, error.line) == ("Syntax Error?", 5)


def test_a_refusal_of_what_is_included_names_the_file_and_the_line_that_includes_it(bench: Bench) -> None:
    (bench.inputs / "pu/good.puml").write_text("class G\n")
    (bench.inputs / "pu/part.puml").write_text("x\nwrong\n")

    def answer(text: str) -> Answer:
        stage = bench.converter._renderer.stage  # type: ignore[union-attr]
        lines = (Path(stage.directory, "part.puml")).read_text().split("\n")
        return Refusal(lines.index("wrong"), "Syntax Error?")

    bench.answers(answer)
    error = bench.fails("@startuml\n!include good.puml\n!include part.puml\n@enduml\n")
    assert (error.fact, error.line) == ("pu/part.puml, line 2: Syntax Error?", 3)


def test_a_refusal_of_the_diagram_itself_moves_with_it(bench: Bench) -> None:
    (bench.inputs / "pu/part.puml").write_text("x\n")
    bench.answers(lambda text: Refusal(text.split("\n").index("wrong"), "Syntax Error?"))
    error = bench.fails("@startuml\n!include part.puml\nwrong\n@enduml\n")
    assert (error.fact, error.line) == ("Syntax Error?", 3)


def test_a_refusal_that_moves_with_nothing_is_somewhere_in_what_is_included(bench: Bench) -> None:
    bench.answers(lambda _: Refusal(7, "odd"))
    error = bench.fails("@startuml\n!include <C4/C4>\n@enduml\n")
    assert (error.fact, error.line) == ("odd (in a file that the diagram includes)", 1)


@pytest.mark.parametrize(
    ("message", "fact", "step"),
    [
        ("cannot include x.puml", "cannot include x.puml", "A name is relative to the file it stands in"),
        ("Cannot open URL", "Cannot open URL", "Diagrams do not read from the network"),
        ("", "PlantUML refuses the diagram", ""),
    ],
)
def test_a_refusal_comes_with_what_to_do_where_that_is_known(bench: Bench, message: str, fact: str, step: str) -> None:
    bench.answers(lambda _: Refusal(1, message))
    error = bench.fails()
    assert error.fact == fact
    assert error.next_step.startswith(step)
    assert bool(error.next_step) is bool(step)


@pytest.mark.parametrize(
    ("text", "trouble", "reason", "line"),
    [
        (
            "\n@startuml\nA\n@enduml\n",
            "java.lang.Error: x\nCaused by: a.b.CException: y\n at z",
            "a.b.CException: y",
            2,
        ),
        ("\n@startuml\nA\n@enduml\n", "exit status 134\nmore", "exit status 134", 2),
        ("\n@startdot\nA\n@enddot\n", "Error: syntax error in line 1 near", "Error: syntax error in line 1 near", 3),
        ("\n@startuml\nA\n@enduml\n", "Error: syntax error in line 1 near", "Error: syntax error in line 1 near", 2),
    ],
)
def test_a_picture_that_only_tells_of_a_failure_is_none(
    bench: Bench, text: str, trouble: str, reason: str, line: int
) -> None:
    bench.answers(lambda _: drawn(trouble=trouble))
    error = bench.fails(text)
    assert error.fact == f"PlantUML or Graphviz failed while laying out the diagram: {reason}"
    assert error.line == line


@pytest.mark.parametrize(
    ("data", "picture_format", "fact"),
    [
        (b"<svg>", "png", "PlantUML cannot draw @startuml as png."),
        (b"text", "png", "PlantUML cannot draw @startuml as png."),
        (png(), "svg", "PlantUML cannot draw @startuml as svg."),
        (b"text", "svg", "PlantUML cannot draw @startuml as svg."),
        (png(40_000, 10), "png", "The picture would be larger than"),
        (png(10, 40_000), "png", "The picture would be larger than"),
    ],
)
def test_what_is_not_a_whole_picture_of_the_format_is_refused(
    bench: Bench, data: bytes, picture_format: str, fact: str
) -> None:
    bench.answers(lambda _: drawn(data))
    error = bench.fails("\n@startuml\nA\n@enduml\n", picture_format)
    assert error.fact.startswith(fact)
    assert error.line == 2


def test_a_whole_svg_is_a_picture(bench: Bench) -> None:
    bench.answers(lambda _: drawn(b'<?xml version="1.0"?><svg/>'))
    bench.convert(picture_format="svg")
    assert [path.name for path in bench.outputs.iterdir()] == ["1.svg"]


@pytest.mark.parametrize(("body", "is_refused"), [("!$x = 1", True), ("A -> B", False)])
def test_a_diagram_that_the_preprocessor_emptied_is_refused(bench: Bench, body: str, is_refused: bool) -> None:
    bench.answers(lambda _: drawn(png() + b"welcome"))
    if is_refused:
        assert "The diagram is empty once its includes are in." in bench.fails(f"@startuml\n{body}\n@enduml\n").fact
    else:
        bench.convert(f"@startuml\n{body}\n@enduml\n")


def test_pictures_that_are_not_there_are_warnings_each_once(bench: Bench) -> None:
    (bench.inputs / "pu/there.png").write_bytes(b"x")
    bench.convert("@startuml\nA : <img:gone.png{scale=2}> <img:there.png>\nB : <img:gone.png> <img:$var>\n@enduml\n")
    assert bench.warnings == ["the picture gone.png is not among the files of the diagram"]


def test_a_jar_that_leaks_is_warned_of_once(bench: Bench) -> None:
    bench.renderer.leaking = True
    bench.convert()
    bench.convert()
    assert [each.split(";")[0] for each in bench.warnings] == ["/old.jar lets diagrams read files outside the course"]


def test_another_format_is_refused(bench: Bench) -> None:
    assert bench.fails("@startuml\nA\n@enduml\n", "pdf").fact == "PlantUML makes no 'pdf' here, only png and svg."


def test_closing_twice_closes_once(bench: Bench) -> None:
    bench.convert()
    renderer = bench.converter._renderer
    bench.converter.close()
    bench.converter.close()
    assert renderer.closed == 1  # type: ignore[union-attr]
    assert bench.converter.pids() == []


# -- sources ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../out.pu", "gone.pu", "link.pu", "pu", "pu/../pu/a.pu"])
def test_a_source_that_is_not_among_the_inputs_is_refused(bench: Bench, name: str) -> None:
    bench.inputs.with_name("out.pu").write_text("x")
    (bench.inputs / "link.pu").symlink_to("../out.pu")
    (bench.inputs / "pu/a.pu").write_text("x")
    with pytest.raises(ConversionError, match="is not among the inputs of its job"):
        read_source(bench.inputs, PurePosixPath(name))


@pytest.mark.parametrize(
    ("data", "line", "fact"),
    [
        (b"a\nb\n\xff\n", 3, "The file is not UTF-8 text."),
        (b"x" * (SOURCE_LIMIT + 1), None, "The file is larger than 2 MB."),
    ],
)
def test_a_source_that_cannot_be_read_says_why(bench: Bench, data: bytes, line: int | None, fact: str) -> None:
    (bench.inputs / "a.pu").write_bytes(data)
    with pytest.raises(ConversionError) as caught:
        read_source(bench.inputs, PurePosixPath("a.pu"))
    assert (caught.value.fact, caught.value.line) == (fact, line)


def test_a_byte_order_mark_is_no_text(bench: Bench) -> None:
    (bench.inputs / "a.pu").write_bytes(b"\xef\xbb\xbf@startuml")
    assert read_source(bench.inputs, PurePosixPath("a.pu")) == "@startuml"


@pytest.mark.parametrize(
    ("code", "log", "reason"),
    [
        (-9, "anything", "killed by SIGKILL"),
        (1, "\nat x.Error\n  java.lang.OutOfMemoryError: heap \n", "java.lang.OutOfMemoryError: heap"),
        (1, "first\nsecond", "first"),
        (3, " \n", "exit status 3"),
    ],
)
def test_the_end_of_a_jvm_is_told_in_a_few_words(code: int, log: str, reason: str) -> None:
    assert JvmDiedError(code, log).reason == reason


def test_pages_are_asked_for_until_there_is_none_and_then_their_helpers_end(bench: Bench) -> None:
    answers = iter([drawn(), drawn(), drawn(b"\n"), drawn()])
    bench.answers(lambda _: next(answers))
    assert bench.convert("@startuml\nA\nnewpage\nB\n@enduml\n@startuml\nC\n@enduml\n")["pictures"] == 3
    looks = bench.converter._renderer.looks  # type: ignore[union-attr]
    assert [look and look.page for look in looks] == [0, 1, 2, 0, None]


def test_what_fails_at_a_scale_is_drawn_without_it_and_only_then_fails(bench: Bench) -> None:
    answers = iter([drawn(png(40_000, 10)), drawn(), drawn(png(40_000, 10)), drawn(png(40_000, 10))])
    bench.answers(lambda _: next(answers))
    assert bench.convert(scale=2)["pictures"] == 1
    assert "The picture would be larger than" in bench.fails("@startuml\nA\n@enduml\n", "png", 2).fact
    looks = bench.converter._renderer.looks  # type: ignore[union-attr]
    assert [look.scale for look in looks if look] == [2, 1, 2, 1]


def test_a_mistake_is_not_looked_for_at_another_scale(bench: Bench) -> None:
    bench.answers(lambda _: Refusal(1, "Syntax Error?"))
    bench.fails("@startuml\nA\n@enduml\n", "png", 2)
    assert len(bench.converter._renderer.looks) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(("picture_format", "told"), [("png", ["line 5"]), ("svg", [])])
def test_characters_that_no_font_has_are_told_where_this_machine_draws_them(
    bench: Bench, picture_format: str, told: list[str]
) -> None:
    bench.answers(lambda _: drawn(png() if picture_format == "png" else b"<svg/>"))
    bench.convert("\n@startuml\n/' \U0010fffc\n'/ ' A\nA -> B : \U0010fffd\n' \U0010fffc\n@enduml\n", picture_format)
    place = ": no font here has \U0010fffd (U+10FFFD), so boxes"
    assert [warning.partition(place)[0] for warning in bench.warnings] == told
