"""PlantUML: forty diagrams by one warm converter, against one JVM per diagram, two at a time.

Type: ``python benchmarks/plantuml.py [--diagrams N]``. Starting the converter is part of its time.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clx.jobtypes.plantuml.converter import PlantUmlConverter
from clx.jobtypes.plantuml.jvm_supervisor import prepare
from clx.settings.schema import Settings
from clx.tools.finding import require

KINDS = (
    "Alice{n} -> Bob : question\nBob --> Alice{n} : answer\nAlice{n} -> Carol : next",
    "class A{n} {{\n +size: int\n +area()\n}}\nclass B\nA{n} <|-- B\nA{n} o-- C : has",
    "start\nif (warm {n}?) then (yes)\n:go out;\nelse (no)\n:stay;\nendif\nstop",
    "[*] --> Idle{n}\nIdle{n} --> Busy : job\nBusy --> Idle{n} : done",
)


def main() -> None:
    """Run both ways once and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--diagrams", type=int, default=40)
    count = parser.parse_args().diagrams
    prepare(Settings())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = write_sources(folder, count)
        warm, separate = converter(folder, sources), one_jvm_each(sources)
    print(f"{count} diagrams, one warm converter: {warm:.2f} s")
    print(f"{count} diagrams, one JVM each, two at a time: {separate:.2f} s")
    print(f"ratio: {warm / separate:.3f}")


def write_sources(folder: Path, count: int) -> list[Path]:
    (folder / "in").mkdir()
    sources = [folder / "in" / f"{number}.pu" for number in range(count)]
    for number, source in enumerate(sources):
        body = KINDS[number % len(KINDS)].format(n=number)
        source.write_text(f"@startuml\n{body}\n@enduml\n", "utf-8")
    return sources


def converter(folder: Path, sources: list[Path]) -> float:
    before = time.perf_counter()
    warm = PlantUmlConverter(Settings())
    for source in sources:
        outputs = folder / source.stem
        outputs.mkdir()
        warm.convert({"source": source.name, "format": "png"}, folder / "in", outputs, print)
    warm.close()
    return time.perf_counter() - before


def one_jvm_each(sources: list[Path]) -> float:
    java, jar = require("java", Settings()).path, require("plantuml", Settings()).path
    command: list[str | Path] = [java, "-Djava.awt.headless=true", "-jar", jar, "-tpng"]
    before = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda source: subprocess.run([*command, source], check=True), sources))
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
