"""What the pictures look like."""

from __future__ import annotations

import io
import json
import re
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import pytest
from PIL import Image
from tests.jobtypes.drawio.conftest import Studio
from tests.jobtypes.drawio.diagrams import BLUE, blue_box, cell, model, mxfile, pack

from clx.errors import ConversionError

WHITE = (255, 255, 255)
EC2 = "html=1;fillColor=#D05C17;strokeColor=#ffffff;shape=mxgraph.aws4.resourceIcon;resIcon=mxgraph.aws4.ec2;"


def image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def colours(data: bytes) -> set[tuple[int, ...]]:
    found = image(data).getcolors(1 << 20)
    assert found is not None
    return {colour for _, colour in found if isinstance(colour, tuple)}


def test_a_picture_for_each_page(studio: Studio) -> None:
    pictures = studio.draw(mxfile(model(blue_box()), pack(model(cell("two"))), model(cell("three"))))
    assert list(pictures) == ["1.png", "2.png", "3.png"]
    assert BLUE in colours(pictures["1.png"])
    assert BLUE not in colours(pictures["2.png"])
    assert studio.warnings == []


def test_scale_and_border_are_the_same_on_all_sides(studio: Studio) -> None:
    picture = image(studio.png(model(blue_box()), scale=2, border=10))
    row = [picture.getpixel((x, 80)) == BLUE for x in range(picture.width)]
    column = [picture.getpixel((80, y)) == BLUE for y in range(picture.height)]
    for line, units in ((row, 120), (column, 60)):
        assert line.count(True) == 2 * units
        # draw.io adds the width of a line and one pixel, lest something is cut.
        assert 20 <= line.index(True) <= 24
        assert 20 <= line[::-1].index(True) <= 24


def test_fractional_scale(studio: Studio) -> None:
    picture = image(studio.png(model(blue_box()), scale=1.5))
    assert sum(picture.getpixel((x, 40)) == BLUE for x in range(picture.width)) in {179, 180}


def test_paper_is_white_unless_the_page_has_a_colour(studio: Studio) -> None:
    assert image(studio.png(model(blue_box()), border=5)).getpixel((1, 1)) == WHITE
    coloured = model(blue_box(), attributes='background="#00ff00"')
    assert image(studio.png(coloured, border=5)).getpixel((1, 1)) == (0, 255, 0)


def test_svg_is_transparent_and_measured_in_units(studio: Studio) -> None:
    svg = studio.svg(model(blue_box()), scale=4, border=10)
    root = ET.fromstring(svg)
    assert 140 <= float((root.get("width") or "").removesuffix("px")) <= 143
    assert 80 <= float((root.get("height") or "").removesuffix("px")) <= 83
    assert "background" not in (root.get("style") or "")
    assert "drawio.invalid" not in svg
    coloured = studio.svg(model(blue_box(), attributes='background="#00ff00"'))
    assert re.search(r"background(-color)?: (#00ff00|rgb\(0, 255, 0\))", coloured)


def test_labels_are_drawn(studio: Studio) -> None:
    empty, full = studio.png(model(cell(""))), studio.png(model(cell("Grüße <b>dort</b>")))
    assert image(empty).size == image(full).size
    dark = [sum(1 for value in image(each).convert("L").tobytes() if value < 128) for each in (empty, full)]
    assert dark[1] > dark[0] + 100
    assert "Grüße <b>dort</b>" in studio.svg(model(cell("Grüße <b>dort</b>")))


def test_stencils_are_drawn_and_not_plain_rectangles(studio: Studio) -> None:
    svg = studio.svg(model(cell("", EC2)))
    assert svg.count("<path") >= 1
    assert studio.warnings == []
    assert WHITE in colours(studio.png(model(cell("", EC2)))), "the white icon on the coloured square"


def test_pictures_of_the_application_are_embedded(studio: Studio) -> None:
    style = "shape=image;image=img/lib/azure2/compute/Virtual_Machine.svg;"
    assert len(colours(studio.png(model(cell("", style))))) > 20
    assert studio.warnings == []
    assert "data:image/svg+xml;base64," in studio.svg(model(cell("", style)))


def test_unknown_shapes_are_named(studio: Studio) -> None:
    studio.png(model(cell("", "shape=mxgraph.kubernetes.icon2;prIcon=pod;"), cell("", "shape=rect;", number=3)))
    assert len(studio.warnings) == 1
    assert studio.warnings[0].endswith("mxgraph.kubernetes.icon2.")


def test_formulas_are_typeset(studio: Studio) -> None:
    formula = model(cell(r"$$\frac{1}{3}$$"), attributes='math="1"')
    svg = studio.svg(formula)
    assert "$$" not in re.sub("<text.*?</text>", "", svg), "only for viewers without HTML"
    assert "mjx" in svg
    assert studio.png(formula) != studio.png(model(cell(r"$$\frac{1}{3}$$")))


def test_placeholders_know_their_page(studio: Studio) -> None:
    page = (
        '<UserObject label="%page% %pagenumber%" placeholders="1" id="2">'
        '<mxCell style="html=1;" vertex="1" parent="1">'
        '<mxGeometry width="120" height="60" as="geometry"/></mxCell></UserObject>'
    )
    pictures = studio.draw(mxfile(model(page), model(page)), format="svg")
    assert "Page 1 1" in pictures["1.svg"].decode()
    assert "Page 2 2" in pictures["2.svg"].decode()


def test_an_empty_page_is_a_blank_picture_and_a_warning(studio: Studio) -> None:
    assert colours(studio.png(mxfile(""), border=10)) == {WHITE}
    assert studio.warnings == ["Page 1 (Page 1) is empty; its picture is blank."]


def test_what_would_be_too_large_is_refused(studio: Studio) -> None:
    far = model(blue_box(), cell(x=9_000, number=3))
    with pytest.raises(ConversionError, match=r"18,16\d × 12\d pixels; at most 16,384 a side") as caught:
        studio.png(far, scale=2)
    assert not caught.value.retryable
    assert image(studio.png(far, scale=1)).width in range(9_080, 9_085)


ORDINARY = {
    "text": model(cell("text <i>and</i> more")),
    "sketch": model(cell("rough", "html=1;sketch=1;fillColor=#d5e8d4;strokeColor=#82b366;")),
    "stencil": model(cell("", EC2 + "gradientColor=#F78E04;gradientDirection=north;shadow=1;")),
    "formula": model(cell("$$x^2$$"), cell("$$y_1$$", number=3, y=200), attributes='math="1"'),
    "font": model(cell("a", "html=1;fontFamily=Foo;fontSource=https%3A%2F%2Fexample.org%2Ffoo.ttf;")),
}


@pytest.mark.parametrize("form", ["png", "svg"])
def test_bytes_depend_on_the_diagram_alone(studio: Studio, own_studio: Studio, form: str) -> None:
    """Also when the application has drawn other diagrams before, in another order."""
    warm = {name: studio.draw(text, format=form) for name, text in ORDINARY.items()}
    fresh = {name: own_studio.draw(text, format=form) for name, text in reversed(ORDINARY.items())}
    again = {name: own_studio.draw(text, format=form) for name, text in ORDINARY.items()}
    assert warm == fresh == again


def behind(page: str, **more: object) -> str:
    """The attribute of a page that has another one behind it."""
    return f"backgroundImage={quoteattr(json.dumps({'src': f'data:page/id,{page}', **more}))}"


RED = (255, 0, 0)
RED_BOX = cell(style="fillColor=#ff0000;strokeColor=none;", x=100, y=70)


@pytest.mark.parametrize("scale", [1, 2])
def test_the_page_behind_another_is_drawn_where_it_lies(studio: Studio, scale: int) -> None:
    pictures = studio.draw(mxfile(model(blue_box()), model(RED_BOX, attributes=behind("d1"))), scale=scale, border=10)
    assert studio.warnings == []
    alone, both = (image(pictures[name]) for name in ("1.png", "2.png"))
    assert both.size[0] == pytest.approx(alone.size[0] + 60 * scale, abs=2 * scale)
    assert both.size[1] == pytest.approx(alone.size[1] + 30 * scale, abs=2 * scale)
    assert [both.getpixel((x * scale, y * scale)) for x, y in ((20, 20), (60, 35), (80, 50), (180, 90))] == [
        *(BLUE, BLUE, RED, RED)
    ]
    assert both.getpixel((180 * scale, 20 * scale)) == WHITE


def test_pages_behind_pages_are_drawn_and_circles_end(studio: Studio) -> None:
    middle = model(cell(style="fillColor=#00ff00;strokeColor=none;", x=40, y=140), attributes=behind("d1"))
    pictures = studio.draw(
        mxfile(model(blue_box(), attributes=behind("d3")), middle, model(RED_BOX, attributes=behind("d2")))
    )
    assert colours(pictures["3.png"]) >= {BLUE, (0, 255, 0), RED}
    assert studio.warnings == []


def test_a_page_behind_is_in_the_svg_too(studio: Studio) -> None:
    pages = mxfile(model(blue_box()), model(RED_BOX, attributes=behind("d1")))
    picture = studio.draw(pages, format="svg")["2.svg"].decode()
    assert "data:image/svg+xml" in picture
    root = ET.fromstring(picture)
    assert float(root.attrib["width"].removesuffix("px")) == pytest.approx(180, abs=25)


def test_a_page_behind_that_is_not_there_is_told(studio: Studio) -> None:
    studio.draw(mxfile(model(blue_box(), attributes=behind("gone"))))
    assert studio.warnings == ["Page 1: the page behind it is not in the file."]


def test_external_pictures_are_one_warning_of_the_file(studio: Studio) -> None:
    boxes = [
        cell(style=f"shape=image;image=http://example.org/{number}.png;", x=100 * number, number=number + 2)
        for number in range(5)
    ]
    studio.draw(mxfile(model(*boxes), model(boxes[0])))
    [told] = studio.warnings
    assert told.startswith("Pages 1, 2: http://example.org/0.png, http://example.org/1.png, ")
    assert told.endswith(" and 2 more are not part of the file and left out; embed them in draw.io.")


def test_nothing_of_the_page_behind_is_cut_off(studio: Studio) -> None:
    left, right = (cell(style="fillColor=#0000ff;strokeColor=none;", x=x, y=40, number=x + 1000) for x in (-300, 400))
    small = cell(style="fillColor=#ff0000;strokeColor=none;", x=40, y=40)
    alone, both = (
        image(data) for data in studio.draw(mxfile(model(left, right), model(small, attributes=behind("d1")))).values()
    )
    assert both.size == pytest.approx(alone.size, abs=2)
    middle = alone.size[1] // 2
    for x in (3, 117, alone.size[0] - 117, alone.size[0] - 4):
        assert (alone.getpixel((x, middle)), both.getpixel((x, middle))) == (BLUE, BLUE)


def test_characters_that_no_font_has_are_told_where_this_machine_draws_them(studio: Studio) -> None:
    text = mxfile(model(cell("<b>one</b>")), model(cell("<b title='\U0010fffc'>two</b> &#x10fffd;")))
    studio.draw(text)
    [warning] = studio.warnings
    assert warning.startswith("Page 2: no font here has \U0010fffd (U+10FFFD), so boxes")
    studio.draw(text, format="svg")
    assert studio.warnings == []
