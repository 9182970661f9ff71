from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from PIL import Image
from tests.jobtypes.plantuml.bench import Bench

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.plantuml.converter import PlantUmlConverter
from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.jobtypes.registry import JOB_TYPES
from clx.jobtypes.source import SOURCE_LIMIT
from clx.settings.schema import Settings


def test_every_block_becomes_one_picture_in_order(bench: Bench) -> None:
    source = "text\n@startuml\nAlice -> Bob\n@enduml\ntext\n@startmindmap\n* Carol\n@endmindmap\n"
    first, second = bench.convert(source)
    assert b"Alice" in first
    assert b"Carol" not in first
    assert b"Carol" in second


def test_png_files_are_whole_pictures(bench: Bench) -> None:
    (data,) = bench.convert("@startuml\nclass Größe\nGröße --> B\n@enduml\n", format="png")
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.size == struct.unpack(">II", data[16:24])
        assert min(picture.size) > 50
    assert data.endswith(b"IEND\xaeB`\x82")


def test_pictures_do_not_depend_on_what_was_drawn_before(bench: Bench) -> None:
    sources = ["class A\nA --> B\nnote left: x", "A -> B", "[*] --> S\nstate S {\n a --> b\n}"]
    assert [bench.uml(each) for each in sources] == [bench.uml(each) for each in reversed(sources)][::-1]


def test_svg_carries_neither_source_nor_metadata(bench: Bench) -> None:
    svg = bench.uml("A -> B\n' a remark")
    assert "<!--" not in svg
    assert "plantuml-src" not in svg


def test_byte_order_mark_and_windows_line_ends_are_fine(bench: Bench) -> None:
    (svg,) = bench.convert(b"\xef\xbb\xbf@startuml\r\nA -> \xc3\x84\r\n@enduml\r\n")
    assert "&#196;</text>" in svg.decode()


def test_includes_are_relative_to_the_file_they_stand_in(bench: Bench) -> None:
    others = {
        "inc.puml": "class INC\n!include sub/nested.puml\n",
        "sub/nested.puml": "class NESTED\n!include deeper.puml\n!include ../../../../../common/style.puml\n",
        "sub/deeper.puml": "class DEEPER\n",
        "../../../../common/style.puml": "class STYLE\n",
        "parts.puml": "@startuml\nclass FIRST\n@enduml\n@startuml\n!startsub S\nclass SUB\n!endsub\n@enduml\n",
    }
    body = "!include ../pu/inc.puml\n!include parts.puml\n!includesub parts.puml!S\n!$d = 'sub'"
    svg = bench.uml(body.replace("'", '"'), others=others)
    for name in ("INC", "NESTED", "DEEPER", "STYLE", "FIRST", "SUB"):
        assert f">{name}<" in svg


def test_names_made_by_the_preprocessor_and_other_kinds_of_files_are_found(bench: Bench) -> None:
    red = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(red, "PNG")
    others: dict[str, str | bytes] = {
        "sub/dynamic.puml": "class DYNAMIC\n",
        "data.json": '{"name": "FROM_JSON"}',
        "themes/puml-theme-mine.puml": "class FROM_THEME\n",
        "red.png": red.getvalue(),
    }
    svg = bench.uml(
        '!theme mine from themes\n!$d = "sub"\n!include $d/dynamic.puml\n!$x = %load_json("data.json")\n'
        'class "$x.name" as J\nnote left of J : <img:red.png>',
        others=others,
    )
    for name in ("DYNAMIC", "FROM_JSON", "FROM_THEME", "<image"):
        assert name in svg
    assert bench.warnings == []


def test_a_warm_jvm_does_not_remember_the_files_of_earlier_jobs(bench: Bench) -> None:
    assert "ONE" in bench.uml("!include part.puml", others={"part.puml": "class ONE\n"})
    svg = bench.uml("!include part.puml", others={"part.puml": "class TWO\n"})
    assert "TWO" in svg
    assert "ONE" not in svg
    with pytest.raises(ConversionError, match=r"cannot include part\.puml"):
        bench.uml("!include part.puml")


def test_the_standard_library_is_there(bench: Bench) -> None:
    assert "Customer" in bench.uml('!include <C4/C4_Container>\nPerson(customer, "Customer")')


def test_a_missing_picture_is_a_warning(bench: Bench) -> None:
    bench.uml("class A\nnote left of A : <img:nowhere.png>")
    assert bench.warnings == ["the picture nowhere.png is not among the files of the diagram"]


@pytest.mark.parametrize("picture_format", ["png", "svg"])
@pytest.mark.parametrize(
    ("source", "others", "line", "fact"),
    [
        ("x\n@startuml\nclass A\nfoo bar -> -> baz\n@enduml\n", {}, 4, "Syntax Error"),
        ("@startuml\n!include no.puml\n@enduml\n", {}, 2, "cannot include no.puml"),
        ("@startuml\n!include i.puml\nA -> B\nfoo bar -> ->\n@enduml\n", {"i.puml": "A -> C\n"}, 4, "Syntax"),
        ("\n@startuml\nA -> B\n!include i.puml\n@enduml\n", {"i.puml": "A -> C\n\n-> ->\n"}, 4, "i.puml, line 3:"),
        ("@startuml\n!procedure $f()\n!endprocedure\n@enduml\n", {}, 1, "empty once its includes"),
        ("@startuml\n!if %false()\nA -> B\n!endif\n@enduml\n", {}, 1, "empty once its includes"),
        ("@startuml\nA -> B\n@enduml\n@startuml\n@enduml\n", {}, 4, "empty"),
    ],
)
def test_a_wrong_diagram_is_an_error_with_its_line(
    bench: Bench, picture_format: str, source: str, others: dict[str, str], line: int, fact: str
) -> None:
    with pytest.raises(ConversionError) as error:
        bench.convert(source, others=others, format=picture_format)
    assert fact in error.value.fact
    assert error.value.line == line
    assert not error.value.retryable


def test_a_kind_of_diagram_that_has_no_svg_is_an_error(bench: Bench) -> None:
    source = "@startditaa\n+--+\n|ab|\n+--+\n@endditaa\n"
    assert bench.convert(source, format="png")
    with pytest.raises(ConversionError, match="cannot draw @startditaa as svg"):
        bench.convert(source)


def test_a_source_that_is_too_large_or_not_utf8_is_an_error(bench: Bench) -> None:
    with pytest.raises(ConversionError, match="larger than 2 MB"):
        bench.convert(b"'" * (SOURCE_LIMIT + 1))
    with pytest.raises(ConversionError, match="not UTF-8") as error:
        bench.convert(b"@startuml\nA -> \xe4\n@enduml\n")
    assert error.value.line == 2


def test_a_picture_that_plantuml_would_cut_off_is_an_error(bench: Bench) -> None:
    with pytest.raises(ConversionError, match="larger than 16384 pixels"):
        bench.convert(f"@startuml\nA -> B : {'m' * 1800}\n@enduml\n", format="png")


def test_without_graphviz_plantuml_lays_out_by_itself(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = JOB_TYPES["plantuml"].fingerprint(Settings())
    with_dot = bench.uml("class A\nA --> B")
    monkeypatch.setenv("GRAPHVIZ_DOT", str(tmp_path / "no-dot"))
    assert JOB_TYPES["plantuml"].fingerprint(Settings()) == {**before, "dot": "missing"}
    converter = PlantUmlConverter(Settings(), work_dir=tmp_path)
    try:
        alone = Bench(converter, tmp_path / "alone")
        svg = alone.uml("class A\nA --> B")
        assert ">A</text>" in svg
        assert "raphviz" not in svg
        assert svg != with_dot
        with pytest.raises(ToolMissingError, match="needs Graphviz"):
            alone.convert("@startdot\ndigraph G {\n a -> b\n}\n@enddot\n")
    finally:
        converter.close()


@pytest.mark.parametrize("picture_format", ["png", "svg"])
def test_a_graphviz_that_crashes_never_leaves_its_error_picture(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, picture_format: str
) -> None:
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\ncase "$1" in -V) exit 0 ;; esac\nkill -SEGV $$\n')
    dot.chmod(0o755)
    monkeypatch.setenv("GRAPHVIZ_DOT", str(dot))
    converter = PlantUmlConverter(Settings(), work_dir=tmp_path)
    try:
        alone = Bench(converter, tmp_path / "alone")
        for body in ("class A\nA --> B", "[*] --> S", '(*) --> "a"'):
            with pytest.raises(ConversionError, match="failed while laying out"):
                alone.convert(f"@startuml\n{body}\n@enduml\n", format=picture_format)
        assert alone.convert("@startuml\nA -> B\n@enduml\n", format=picture_format)
    finally:
        converter.close()


def test_graphviz_finds_the_mistake_in_a_dot_diagram(bench: Bench) -> None:
    with pytest.raises(ConversionError, match="syntax error in line 3") as error:
        bench.convert("text\n@startdot\ndigraph G {\n a -> b\n c -> -> d\n}\n@enddot\n")
    assert error.value.line == 5


def test_a_graphviz_that_does_not_run_is_a_missing_tool(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHVIZ_DOT", "/bin/false")
    with pytest.raises(ToolMissingError, match="Graphviz does not run"):
        Bench(PlantUmlConverter(Settings(), work_dir=tmp_path), tmp_path / "alone").uml("A -> B")
    assert [each.name for each in tmp_path.iterdir()] == ["alone"]


def test_a_jar_that_is_none_is_a_missing_tool(tmp_path: Path, bench: Bench) -> None:
    jar = tmp_path / "plantuml.jar"
    jar.write_bytes(b"not a jar")
    converter = PlantUmlConverter(Settings().having(PlantUmlSettings(jar=str(jar))), work_dir=tmp_path)
    try:
        with pytest.raises(ToolMissingError, match="does not run"):
            Bench(converter, tmp_path / "jobs").uml("A -> B")
    finally:
        converter.close()


def test_the_fingerprint_tells_jars_and_changes_of_them_apart(tmp_path: Path) -> None:
    jar = tmp_path / "plantuml.jar"
    settings = Settings().having(PlantUmlSettings(jar=str(jar)))
    seen = [JOB_TYPES["plantuml"].fingerprint(Settings())["jar"], JOB_TYPES["plantuml"].fingerprint(settings)["jar"]]
    for content in (b"one", b"three"):
        jar.write_bytes(content)
        seen.append(JOB_TYPES["plantuml"].fingerprint(settings)["jar"])
    assert len(set(seen)) == 4


PAGES = "@startuml\na -> b : first\nnewpage Zwei\na -> b : second\nnewpage\na -> b : third\n@enduml\n"


def test_each_page_of_a_diagram_is_a_picture_between_those_before_and_after(bench: Bench) -> None:
    bench.uml("a -> b")
    before = bench.converter.pids()
    pictures = bench.convert(PAGES + "@startuml\na -> b : fourth\n@enduml\n")
    words = ("first", "second", "third", "fourth")
    assert [[word for word in words if word in picture.decode()] for picture in pictures] == [[word] for word in words]
    assert bench.converter.pids() == before


def test_pages_that_an_included_file_makes_are_found(bench: Bench) -> None:
    parts = {"part.puml": "newpage\na -> b : second\n"}
    pictures = bench.convert("@startuml\na -> b : first\n!include part.puml\n@enduml\n", others=parts)
    assert ["second" in picture.decode() for picture in pictures] == [False, True]


def test_a_word_is_no_page(bench: Bench) -> None:
    assert len(bench.convert("@startuml\na -> newpage : x\n@enduml\n")) == 1


def size(data: bytes) -> tuple[int, int]:
    return struct.unpack(">II", data[16:24])


def test_a_scale_is_of_pixels_and_leaves_svg_alone(bench: Bench) -> None:
    text = "@startuml\nclass A\nA --> B\n@enduml\n"
    one, two = (size(bench.convert(text, format="png", scale=scale)[0]) for scale in (1, 2))
    assert [large / small for small, large in zip(one, two, strict=True)] == pytest.approx([2, 2], rel=0.05)
    assert bench.convert(text, scale=2) == bench.convert(text)


def test_what_would_be_too_large_at_a_scale_has_its_usual_size(bench: Bench) -> None:
    text = "@startuml\n" + "".join(f"a -> b : {number}\n" for number in range(380)) + "@enduml\n"
    [picture] = bench.convert(text, format="png", scale=2)
    assert 8192 < size(picture)[1] < 16_384
