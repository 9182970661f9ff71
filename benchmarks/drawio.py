"""Twenty draw.io pages: one warm browser, its cold start included, against one browser start for each page.

Usage: ``python benchmarks/drawio.py``. Prints seconds for both and their ratio (aim: 0.15 or less).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from clx.jobtypes.drawio.converter import DrawioConverter
from clx.settings.schema import Settings

PAGES = 20
AIM = 0.15

_BOX = (
    '<mxCell id="{id}" value="Step {id}" style="rounded=1;whiteSpace=wrap;html=1;fillColor=#dae8fc;" vertex="1"'
    ' parent="1"><mxGeometry x="{x}" y="{y}" width="120" height="60" as="geometry"/></mxCell>'
)


def diagram(number: int) -> str:
    """A page of twelve boxes, different for each *number*."""
    boxes = (_BOX.format(id=number * 100 + i, x=160 * (i % 4), y=100 * (i // 4)) for i in range(2, 14))
    return '<mxGraphModel><root><mxCell id="0"/><mxCell id="1" parent="0"/>' + "".join(boxes) + "</root></mxGraphModel>"


def draw(directory: Path, *, warm: bool) -> float:
    """Seconds for all pages, each a job of its own."""
    converter = DrawioConverter(Settings())
    started = time.perf_counter()
    for number in range(PAGES):
        outputs = directory / f"{'warm' if warm else 'cold'}-{number}"
        outputs.mkdir()
        converter.convert({"source": f"{number}.drawio", "format": "png"}, directory, outputs, print)
        if not warm:
            converter.close()
    converter.close()
    return time.perf_counter() - started


def main() -> None:
    """Measure both ways once."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for number in range(PAGES):
            (directory / f"{number}.drawio").write_text(diagram(number), "utf-8")
        warm = draw(directory, warm=True)
        cold = draw(directory, warm=False)
    print(f"{PAGES} pages, one warm browser:       {warm:6.2f} s")
    print(f"{PAGES} pages, one browser for each:   {cold:6.2f} s")
    print(f"ratio {warm / cold:.3f} (aim: {AIM} or less)")


if __name__ == "__main__":
    main()
