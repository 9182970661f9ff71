"""Finding the installed Jupyter kernel of a language."""

from __future__ import annotations

from typing import Any

from jupyter_client.kernelspec import KernelSpecManager

from clx.errors import ToolMissingError

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


def kernel_command(language: str) -> tuple[list[str], dict[str, str]]:
    """Command line (with ``{connection_file}``) and environment of the kernel for *language*.

    Of several kernels the one whose name comes first in the alphabet is taken.

    Raises:
        ToolMissingError: no kernel for *language* is installed.
    """
    specs: dict[str, dict[str, Any]] = KernelSpecManager().get_all_specs()
    for name in sorted(specs):
        spec = specs[name]["spec"]
        if _speaks(str(spec.get("language", "")), language):
            argv = [word.replace("{resource_dir}", specs[name]["resource_dir"]) for word in spec["argv"]]
            return argv, dict(spec.get("env") or {})
    advice = _ADVICE.get(language, "Install one")
    raise ToolMissingError(
        f"no Jupyter kernel for {language} is installed",
        f"{advice}; see what is there with: jupyter kernelspec list. Or set evaluate: false in the course.",
    )


def _speaks(spoken: str, wanted: str) -> bool:
    names = _KERNELSPEC_LANGUAGES.get(wanted, (wanted,))
    return spoken.lower().rstrip("0123456789") in names
