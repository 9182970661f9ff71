"""What this machine has for each worker type: missing tools are told before the first job starts (REQ-7.4)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec

from clx.errors import ToolMissingError
from clx.settings.schema import Settings
from clx.workers.tools import install_hint, locate, require

_TOOLS = {"plantuml": ("java", "plantuml"), "drawio": ("browser", "drawio")}
_OPTIONAL = {"plantuml": ("graphviz",), "drawio": ("drawio-math",)}
_PACKAGES = {
    "notebook": {
        "ipykernel": "notebook",
        "jupyter_client": "notebook",
        "jinja2": "notebook",
        "markdown_it": "notebook",
        "pygments": "notebook",
    },
    "drawio": {"defusedxml": "diagrams"},
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: the tool or package.
        needed_by: the worker type.
        ok: whether it is there.
        required: whether the type cannot work without it.
        detail: where it is and which version, or what is wrong.
        hint: what to type when it is not there.
    """

    name: str
    needed_by: str
    ok: bool
    required: bool
    detail: str
    hint: str


def examine(types: Collection[str], settings: Settings) -> list[Finding]:
    """Look at everything the worker *types* need."""
    found = []
    for type_ in types:
        for package, extra in _PACKAGES.get(type_, {}).items():
            there = find_spec(package) is not None
            detail = "installed" if there else "not installed"
            found.append(Finding(package, type_, there, True, detail, f'pip install "clx[{extra}]"'))
        for required, names in ((True, _TOOLS.get(type_, ())), (False, _OPTIONAL.get(type_, ()))):
            found += [_tool(name, type_, settings, required=required) for name in names]
    return found


def _tool(name: str, type_: str, settings: Settings, *, required: bool) -> Finding:
    tool = locate(name, settings)
    if tool is not None:
        version = f" {tool.version}" if tool.version else ""
        return Finding(name, type_, True, required, f"{tool.path}{version} ({tool.origin})", "")
    try:
        require(name, settings)
    except ToolMissingError as error:
        return Finding(name, type_, False, required, error.fact, error.next_step.removeprefix("Type: "))
    return Finding(name, type_, False, required, "not found", install_hint(name))


def require_tools(types: Collection[str], settings: Settings) -> None:
    """See that the worker *types* can work.

    Raises:
        ToolMissingError: something they need is not there; all of it is named.
    """
    missing = [finding for finding in examine(types, settings) if finding.required and not finding.ok]
    if missing:
        facts = [f"{each.name} (for {each.needed_by}): {each.detail}" for each in missing]
        hints = dict.fromkeys(each.hint for each in missing if each.hint)
        raise ToolMissingError("\n".join(facts), "\n".join(f"Type: {hint}" for hint in hints))
