"""Graphs become pictures; what is wrong with one is said with its line; no other file is read."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.scene import Scene
from tests.support.tools import require

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.graphviz.converter import GraphvizConverter, is_graph
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.resolve import Resolved, SettingsFile, resolve
from clx.settings.schema import Settings
from clx.tools.program import at_most, run

SOURCE = "slides/module/topic/dot/a.dot"
GRAPH = "digraph { Alice -> Bob }\n"

Convert = Callable[..., list[bytes]]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def convert(tmp_path: Path, warnings: list[str]) -> Convert:
    """The pictures of a source."""
    require("graphviz")

    def made(text: str | bytes, **payload: Any) -> list[bytes]:
        inputs, outputs = tmp_path / "inputs", tmp_path / "outputs"
        (inputs / SOURCE).parent.mkdir(parents=True, exist_ok=True)
        outputs.mkdir()
        (inputs / SOURCE).write_bytes(text.encode() if isinstance(text, str) else text)
        wanted = {"source": SOURCE, "format": "svg", **payload}
        (tmp_path / "work").mkdir()
        found = GraphvizConverter(Settings(), tmp_path / "work").convert(wanted, inputs, outputs, warnings.append)
        assert list((tmp_path / "work").iterdir()) == []
        pictures = [outputs / f"{number}.{wanted['format']}" for number in range(1, found["pictures"] + 1)]
        assert sorted(outputs.iterdir()) == sorted(pictures)
        return [picture.read_bytes() for picture in pictures]

    return made


def test_each_graph_becomes_a_picture_in_the_order_of_the_file(convert: Convert, warnings: list[str]) -> None:
    pictures = convert("\n".join(f"graph g{number} {{ node_{number} }}" for number in range(1, 12)))
    assert [f">node_{number}<".encode() in picture for number, picture in enumerate(pictures, 1)] == [True] * 11
    assert warnings == []


@pytest.mark.parametrize(("payload", "pixels"), [({}, 2), ({"dpi": 96.0}, 1), ({"dpi": 288}, 3)])
def test_a_png_has_the_pixels_that_are_asked_for(convert: Convert, payload: dict[str, Any], pixels: int) -> None:
    (picture,) = convert(
        "digraph { margin=0 pad=0 a [shape=box width=1 height=1 fixedsize=true] }", format="png", **payload
    )
    assert max(abs(side - 96 * pixels) for side in struct.unpack(">II", picture[16:24])) <= 3 * pixels


def test_a_layout_may_be_chosen_and_remarks_are_passed_on(convert: Convert, warnings: list[str]) -> None:
    (picture,) = convert("graph { layout=circo; a -- b; c [shape=nonsense] }")
    assert picture.count(b"<ellipse") >= 2
    assert warnings == ["using box for unknown shape nonsense"]


@pytest.mark.parametrize(
    ("text", "line", "fact"),
    [
        ("digraph {\n a -> \n}\n", 3, "syntax error near '}'"),
        ("digraph {\n a [label=<<b>x</i>>]\n}\n", None, "mismatched tag in line 1"),
        ("digraph {\n a [label=<<b>x]\n}\n", 4, "syntax error scanning a HTML string"),
        ("one\n", 1, "syntax error near 'one'"),
        ("// nothing\n", 1, "There is no graph in the file."),
        ("", 1, "There is no graph in the file."),
        ("digraph { layout=nope; a }\n", None, 'Layout type: "nope" not recognized'),
        (b"digraph {\n \xff }\n", 2, "not UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(convert: Convert, text: str | bytes, line: int | None, fact: str) -> None:
    with pytest.raises(ConversionError) as error:
        convert(text)
    assert fact in error.value.fact
    assert error.value.line == line
    assert not error.value.retryable


@pytest.mark.parametrize(
    "node",
    ['a [image="{}"]', 'a [label=<<TABLE><TR><TD><IMG SRC="{}"/></TD></TR></TABLE>>]', 'a [shape=epsf shapefile="{}"]'],
)
def test_no_file_is_read(convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    """Wherever it lies, and also where the user's environment allows it."""
    monkeypatch.setenv("GV_FILE_PATH", str(tmp_path))
    monkeypatch.delenv("SERVER_NAME", raising=False)
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ConversionError, match="A graph may read no file: ") as error:
        convert("digraph {\n" + node.format(tmp_path / "secret.png") + "\n}\n")
    assert error.value.line == 2


@pytest.mark.parametrize("size", [200, 160])
def test_the_picture_is_bounded(convert: Convert, size: int) -> None:
    """At 200 inches Graphviz would scale it down, at 160 it would take 3.6 GB."""
    with pytest.raises(ConversionError, match=r"The picture would be too large\.") as error:
        convert(f'digraph {{ size="{size},{size}!"; ratio=fill; a -> b }}', format="png")
    assert not error.value.retryable


def test_the_time_is_bounded(convert: Convert) -> None:
    edges = "\n".join(f"{a} -> {b}" for a in range(300) for b in range(300))
    began = time.monotonic()
    with pytest.raises(ConversionError, match=r"did not finish the file within 0\.5 s"):
        convert(f"digraph {{\n{edges}\n}}", timeout=0.5)
    assert time.monotonic() - began < 30


def test_a_tool_that_is_no_graphviz_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "dot"
    other.write_bytes(b"\x7fELF nothing")
    other.chmod(0o755)
    monkeypatch.setenv("GRAPHVIZ_DOT", str(other))
    (tmp_path / "a.dot").write_text(GRAPH)
    with pytest.raises(ToolMissingError, match="Graphviz does not run"):
        GraphvizConverter(Settings()).convert({"source": "a.dot", "format": "svg"}, tmp_path, tmp_path, print)
    assert JOB_TYPES["graphviz"].fingerprint(Settings())["dot"].startswith(str(other))


# -- in a course ------------------------------------------------------------------------------------


def test_a_course_gets_the_picture_and_the_worker_that_draws_it(scene: Scene) -> None:
    require("graphviz")
    scene.decks("one")
    scene.course.write("slides/module_1/topic_100_one/dot/two.gv", "digraph {\n a -> \n}\n")
    failed = scene.build(code=1)
    assert "slides/module_1/topic_100_one/dot/two.gv, line 3: syntax error near '}'" in failed.stderr
    scene.course.write("slides/module_1/topic_100_one/dot/two.gv", "graph { a }\n graph { b }\n")
    scene.build()
    assert {path.name for path in scene.course.output.rglob("img/*")} == {"two.png", "two-2.png"}
    assert {job.type for job in scene.jobs()} == {"notebook", "graphviz"}


def test_a_course_without_graphs_needs_no_graphviz(scene: Scene) -> None:
    scene.decks("one")
    scene.build(GRAPHVIZ_DOT="/nowhere/dot")
    assert {job.type for job in scene.jobs()} == {"notebook"}
    assert [row.type for row in scene.workers(live=False) if row.type == "graphviz"] == []


def test_what_is_called_so_and_is_no_graph_is_copied_as_it_is(scene: Scene) -> None:
    scene.decks("one")
    template = scene.course.root / "slides/module_1/topic_100_one/letter.dot"
    template.write_bytes(b"\xd0\xcf\x11\xe0 a template of Word, with a graph in its text\0{")
    scene.build(GRAPHVIZ_DOT="/nowhere/dot")
    assert {path.read_bytes() for path in scene.course.output.rglob("letter.dot")} == {template.read_bytes()}


def test_who_wants_no_workers_for_graphs_has_them_copied(scene: Scene) -> None:
    scene.decks("one")
    scene.course.write("slides/module_1/topic_100_one/two.gv", "graph { a }\n")
    scene.course.write(".clx/config.toml", "[workers.graphviz]\ncount = 0\n")
    scene.build(GRAPHVIZ_DOT="/nowhere/dot")
    assert {path.name for path in scene.course.output.rglob("two*")} == {"two.gv"}


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("a.dot", b"digraph { a -> b }", True),
        ("a.dot", b"digrph { misspelt }", True),
        ("a.dot", b"\xd0\xcf\x11\xe0\0\0 graph {", False),
        ("a.gv", b"\0", True),
    ],
)
def test_only_a_binary_template_is_taken_for_none(tmp_path: Path, name: str, text: bytes, is_one: bool) -> None:
    (tmp_path / name).write_bytes(text)
    assert is_graph(tmp_path / name) is is_one


def test_what_is_no_file_is_not_looked_into(tmp_path: Path) -> None:
    """A pipe would be waited for, and a deck may link to a file that is not there."""
    os.mkfifo(tmp_path / "pipe.dot")
    assert is_graph(tmp_path / "pipe.dot")
    assert is_graph(tmp_path / "missing.dot")


def test_a_build_that_stops_before_a_graph_keeps_its_further_pictures(scene: Scene) -> None:
    require("graphviz")
    scene.decks("one")
    scene.course.write("slides/module_1/topic_100_one/two.gv", "graph { a }\n graph { b }\n")
    scene.build()
    before = {path.name for path in scene.course.output.rglob("img/*")}
    assert before == {"two.png", "two-2.png"}
    scene.course.write("slides/module_1/topic_100_one/a_bad.gv", "graph {\n")
    scene.build("--fail-fast", "--force", code=1)
    (scene.course.root / "slides/module_1/topic_100_one/a_bad.gv").unlink()
    scene.build()
    assert {path.name for path in scene.course.output.rglob("img/*")} == before


def test_it_is_bounded_by_less_where_less_is_allowed(tmp_path: Path) -> None:
    command = ["sh", "-c", 'ulimit -v 1000000; exec "$@"', "sh", *at_most(2 << 30), "sh", "-c", "ulimit -v"]
    assert run(command, tmp_path, 20.0) == (0, "1000000")
    assert run([*at_most(2 << 30), "sh", "-c", "ulimit -v"], tmp_path, 20.0) == (0, "2097152")


# -- on demand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "served"),
    [("", False), ("count = 2", True), ('image = "mine:1"', True), ('execution_mode = "direct"', True)],
)
def test_services_have_no_worker_unless_one_is_set(tmp_path: Path, own: str, served: bool) -> None:
    """A file that names an image for each of the other types, and runs all in containers, stays sound."""
    images = "".join(f'[workers.{type_}]\nimage = "{type_}:1"\n' for type_ in ("notebook", "plantuml", "drawio"))
    found = _resolved(tmp_path, f'[workers]\ndefault_execution_mode = "docker"\n{images}[workers.graphviz]\n{own}\n')
    assert ("graphviz" in found.served_types()) is served
    assert found.served_types()[:3] == ("notebook", "plantuml", "drawio")
    named = [problem.fact for problem in found.worker_problems()]
    assert ["graphviz workers need an image" in fact for fact in named] == [True] * (own == "count = 2")
    assert found.worker("plantuml").image == "plantuml:1"


def _resolved(tmp_path: Path, text: str) -> Resolved:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return resolve(environ={}, files=[SettingsFile("user", path)])


@pytest.mark.parametrize(("picture_format", "lines"), [("png", ["line 3"]), ("svg", [])])
def test_characters_that_no_font_has_are_told_where_this_machine_draws_them(
    convert: Convert, warnings: list[str], picture_format: str, lines: list[str]
) -> None:
    convert('/* \U0010fffd\n */ digraph {\n a [label="// \U0010fffd"] // \U0010fffc\n}\n', format=picture_format)
    assert [warning.partition(": no font here has \U0010fffd (U+10FFFD), so boxes")[0] for warning in warnings] == lines
