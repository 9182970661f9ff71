"""Formulas: a thousand distinct ones by the engine that pages use, against MathJax in node, one process each.

Type: ``python benchmarks/formulas.py [--formulas N] [--mathjax DIR]``. Starting the engine is part of its time, as
starting node is. DIR is where npm put mathjax-full (``npm ci`` in ``scripts/mathjax``); without it CLX only is
measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from clx.jobtypes.notebook.tex_engine import Formula, TexEngine

KINDS = (
    r"\frac{{{n}}}{{x^{{{n}}}}} = \sum_{{i=1}}^{{{n}}} \sqrt{{a_i}}",
    r"\begin{{pmatrix}} {n} & 0 \\ 0 & {n} \end{{pmatrix}} \cdot \vec v = \lambda_{{{n}}} \vec v",
    r"\int_0^{{{n}}} f(t)\,\mathrm{{d}}t \le \lVert f \rVert_{{{n}}}",
    r"|x| = \begin{{cases}} x & \text{{if }} x \ge {n} \\ -x & \text{{otherwise}} \end{{cases}}",
)
PEER = """
const {{ readFileSync }} = require("fs");
require("{directory}/es5/node-main.js").init({{
  loader: {{ load: ["input/tex-full", "output/svg"] }}, svg: {{ fontCache: "local" }} }}).then((MathJax) => {{
  let size = 0;
  for (const [tex, display] of JSON.parse(readFileSync(0)))
    size += MathJax.startup.adaptor.outerHTML(MathJax.tex2svg(tex, {{ display }})).length;
  console.log(size);
}});
"""
OWN = "from benchmarks.formulas import typeset; typeset()"


def main() -> None:
    """Run both ways, three times, and print the best times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--formulas", type=int, default=1000)
    here = Path(__file__).parents[1]
    parser.add_argument("--mathjax", type=Path, default=here / "scripts/mathjax/node_modules/mathjax-full")
    options = parser.parse_args()
    formulas = json.dumps([(KINDS[n % len(KINDS)].format(n=n), n % 2 == 0) for n in range(options.formulas)])
    own = [sys.executable, "-c", OWN]
    peer = ["node", "-e", PEER.format(directory=options.mathjax.resolve())]
    has_peer = shutil.which("node") is not None and options.mathjax.is_dir()
    times = [(seconds(own, formulas), seconds(peer, formulas) if has_peer else 0.0) for _ in range(3)]
    mine, others = (min(column) for column in zip(*times, strict=True))
    print(f"{options.formulas} formulas, CLX: {mine:.2f} s")
    if has_peer:
        print(f"{options.formulas} formulas, MathJax in node: {others:.2f} s")
        print(f"ratio: {mine / others:.3f}")


def seconds(command: list[str], formulas: str) -> float:
    before = time.perf_counter()
    subprocess.run(
        command, input=formulas, text=True, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1]
    )
    return time.perf_counter() - before


def typeset() -> None:
    """Typeset what standard input holds."""
    found, _ = TexEngine().typeset([Formula(tex, display) for tex, display in json.load(sys.stdin)])
    assert all(each.html for each in found)


if __name__ == "__main__":
    main()
