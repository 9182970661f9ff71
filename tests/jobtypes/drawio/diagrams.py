"""Small draw.io files for the tests of this folder."""

from __future__ import annotations

import base64
import zlib
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

BLUE = (0, 0, 255)


def cell(value: str = "", style: str = "html=1;", *, x: int = 40, y: int = 40, number: int = 2) -> str:
    """A box of 120 × 60."""
    return (
        f'<mxCell id="{number}" value={quoteattr(value)} style={quoteattr(style)} vertex="1" parent="1">'
        f'<mxGeometry x="{x}" y="{y}" width="120" height="60" as="geometry"/></mxCell>'
    )


def blue_box() -> str:
    """A box filled with :data:`BLUE`, without a line around it."""
    return cell(style="fillColor=#0000ff;strokeColor=none;")


def model(*cells: str, attributes: str = "") -> str:
    """A bare ``<mxGraphModel>``."""
    return (
        f'<mxGraphModel {attributes}><root><mxCell id="0"/><mxCell id="1" parent="0"/>{"".join(cells)}</root>'
        "</mxGraphModel>"
    )


def pack(text: str) -> str:
    """Compress a page as draw.io does."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflate.compress(quote(text, safe="~()*!.'").encode()) + deflate.flush()
    return base64.b64encode(data).decode()


def mxfile(*pages: str) -> str:
    """A file of *pages*; each is a model, compressed or not."""
    diagrams = "\n".join(
        f'<diagram id="d{number}" name="Page {number}">{page}</diagram>' for number, page in enumerate(pages, 1)
    )
    return f"<mxfile>\n{diagrams}\n</mxfile>"
