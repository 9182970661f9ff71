"""What the pictures look like."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as ET

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
