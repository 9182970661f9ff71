"""Finding the installed Jupyter kernel of a language."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from jupyter_client.kernelspec import KernelSpecManager

from clx.errors import ToolMissingError
from clx.jobtypes.notebook.deck import PROG_LANG, ProgLang

_KERNELSPEC_LANGUAGES = {
    "cpp": ("c++", "cpp"),
    "csharp": ("c#", "csharp"),
    "java": ("java",),
    "typescript": ("typescript",),
    "rust": ("rust",),
    "c": ("c",),
}
"""``prog_lang`` → how kernelspecs call that language, before a version such as the 17 of ``C++17``."""

_ADVICE = {
    "cpp": "Install one, e.g. xeus-cpp from conda-forge",
    "csharp": "Install one, e.g. .NET Interactive (dotnet interactive jupyter install)",
    "java": "Install one, e.g. pip install --pre jjava",
    "typescript": "Install one, e.g. pip install deno && deno jupyter --install",
    "rust": "Install one, e.g. cargo install evcxr_jupyter && evcxr_jupyter --install",
}


class KernelSpec(NamedTuple):
    """One installed kernel."""

    name: str
    display_name: str
    argv: list[str]
    """Its command line, with ``{connection_file}``."""
    env: dict[str, str]


def kernel_of(language: ProgLang) -> KernelSpec:
    """The kernel that runs cells in *language*.

    That is the one the language names (by its own name in ``prog_lang``'s table, or the course's ``kernel:``); where it
    is not installed, the first in the alphabet that speaks the language.

    Raises:
        ToolMissingError: no kernel for *language* is installed, or not the one the course names.
    """
    specs: dict[str, dict[str, Any]] = KernelSpecManager().get_all_specs()
    if language.kernel in specs:
        return _spec(language.kernel, specs)
    if language.kernel != PROG_LANG[language.name].kernel:
        installed = f"Installed: {', '.join(sorted(specs))}." if specs else "None is installed."
        raise ToolMissingError(
            f"the Jupyter kernel {language.kernel}, which the course names, is not installed",
            f"{installed} Correct `kernel:` in the course file, or install it.",
        )
    for name in sorted(specs):
        if _speaks(str(specs[name]["spec"].get("language", "")), language.name):
            return _spec(name, specs)
    advice = _ADVICE.get(language.name, "Install one")
    raise ToolMissingError(
        f"no Jupyter kernel for {language.name} is installed",
        f"{advice}; see what is there with: jupyter kernelspec list. Or set evaluate: false in the course.",
    )


def asked_for(language: ProgLang) -> ProgLang:
    """*language* with the kernel that runs it, for notebooks; as it is where none is installed."""
    try:
        spec = kernel_of(language)
    except ToolMissingError:
        return language
    if spec.name == PROG_LANG[language.name].kernel:
        return language
    return msgspec.structs.replace(language, kernel=spec.name, kernel_display_name=spec.display_name)


def _spec(name: str, specs: dict[str, dict[str, Any]]) -> KernelSpec:
    found = specs[name]["spec"]
    argv = [word.replace("{resource_dir}", specs[name]["resource_dir"]) for word in found["argv"]]
    return KernelSpec(name, str(found.get("display_name") or name), argv, dict(found.get("env") or {}))


def _speaks(spoken: str, wanted: str) -> bool:
    names = _KERNELSPEC_LANGUAGES.get(wanted, (wanted,))
    return spoken.lower().rstrip("0123456789") in names
