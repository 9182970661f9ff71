"""A pipeline file as a drawing."""

from __future__ import annotations

import shutil
import subprocess
from xml.etree import ElementTree as ET

import pytest

from clx.pipelines.document import read
from clx.pipelines.graph import DRAWN, dot, mermaid, svg, text

ODD = '\\"<b>&#]}\\n'
FILE = f"""\
name: survey
matrix: {{telescope: [chime, kko]}}
deployments: [{{name: gpu}}]
pipeline:
  runs_on: gpu
  steps:
  - {{name: detect, stage: 1, matrix: {{event: [1, 2, 3]}}, work: {{event: '${{{{ matrix.event }}}}'}}}}
  - {{name: '{ODD}', stage: 1, work: {{site: '${{{{ matrix.telescope }}}}'}}}}
  - name: locate
    stage: 2
    evaluate_on_runtime: true
    matrix: {{x: '${{{{ pipeline.detect.work.results.found }}}}'}}
    work: {{parameters: {{x: '${{{{ matrix.x }}}}'}}}}
  - {{name: clean, stage: 2, success_threshold: 0.5, work: {{}}}}
  - {{name: report, if: always, work: {{}}}}
"""


def test_as_lines() -> None:
    assert text(read(FILE)).splitlines() == [
        "survey: 2 pipelines",
        "stage 1",
        "  detect       3 works, on gpu",
        f"  {ODD}  1 work, on gpu",
        "stage 2",
        "  locate  works as earlier steps say, on gpu",
        "  clean   1 work, 50% have to succeed, on gpu",
        "after all stages",
        "  report  1 work, if always, on gpu",
    ]


def test_graphviz_draws_it() -> None:
    assert shutil.which("dot"), "Graphviz is not installed"
    done = subprocess.run(["dot", "-Tplain"], input=dot(read(FILE)), capture_output=True, text=True, check=True)

    words = [line.split()[0] for line in done.stdout.splitlines()]
    assert done.stderr == ""
    assert (words.count("node"), words.count("edge")) == (6, 6)


def test_stages_meet_in_a_point_for_mermaid() -> None:
    drawn = mermaid(read(FILE))

    assert [line.strip() for line in drawn.splitlines() if "-->" in line] == [
        "s0 --> p0",
        "s1 --> p0",
        "p0 --> s2",
        "p0 --> s3",
        "s2 --> s4",
        "s3 --> s4",
    ]
    assert 's1["\\#quot;#lt;b#gt;#amp;#35;]}\\n<br>1 work, on gpu"]' in drawn


def test_a_picture_shows_every_step_within_its_frame() -> None:
    root = ET.fromstring(svg(read(FILE)))
    space = "{http://www.w3.org/2000/svg}"
    wide, high = int(root.attrib["width"]), int(root.attrib["height"])

    boxes = [{name: float(value) for name, value in each.attrib.items()} for each in root.iter(f"{space}rect")]
    titles = [each.text for each in root.iter(f"{space}title")]
    assert len(boxes) == 5
    assert titles[0] == "survey"
    assert f"{ODD}: 1 work, on gpu" in titles
    for box in boxes:
        assert 0 <= box["x"] <= wide - box["width"]
        assert 0 <= box["y"] <= high - box["height"]
    places = sorted((box["x"], box["y"]) for box in boxes)
    assert len(set(places)) == 5


@pytest.mark.parametrize("format_", DRAWN)
def test_names_write_nothing_but_text(format_: str) -> None:
    file = "name: |-\n  a</title><script>x</script>\npipeline:\n  steps:\n  - {name: '\"];x', stage: 1, work: {}}\n"
    drawn = DRAWN[format_](read(file))

    if format_ in {"svg", "mermaid"}:
        assert "<script" not in drawn
    if format_ in {"dot", "mermaid"}:
        assert '"];x' not in drawn.replace('\\"];x', "")
