"""draw.io desktop by its command line, for those who name it in ``[drawio] executable``.

It starts anew for each page (about a second) and, unlike the browser, may open what a diagram refers to;
in return it is always as new as the user's own draw.io.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.drawio.document import Document, Page
from clx.jobtypes.drawio.exporter import Options
from clx.platforms import system
from clx.tools.program import run


def export(executable: Path, document: Document, options: Options, outputs: Path, work_dir: Path | None) -> None:
    """Draw every page of *document* into *outputs* as ``1.png``, ``2.png``, …."""
    with tempfile.TemporaryDirectory(prefix="drawio-", dir=work_dir) as directory:
        for page in document.pages:
            single = Document((page,), document.variables)
            # One file for each page, because ``--page-index`` counts from 0 in older versions, from 1 in newer.
            source = Path(directory) / f"{page.number}.drawio"
            source.write_text(single.xml_for(page), "utf-8")
            _export_page(executable, page, source, outputs / f"{page.number}.{options.format}", options)


def _export_page(executable: Path, page: Page, source: Path, output: Path, options: Options) -> None:
    try:
        code, said = run(_command(executable, source, output, options), source.parent, options.timeout)
    except TimeoutError:
        raise ConversionError(
            f"draw.io desktop did not draw page {page.number} within {options.timeout:g} s.",
            "Make the page simpler, or look whether draw.io waits for a display.",
            line=page.line,
        ) from None
    except OSError as error:
        raise ToolMissingError(
            f"{executable} cannot be started: {error.strerror}.", "Correct the setting drawio.executable."
        ) from None
    if not output.is_file():
        raise ConversionError(
            f"draw.io desktop wrote no picture of page {page.number} (exit code {code}).",
            said.rpartition("\n")[2] or "It gave no reason; try to export the page by hand.",
            line=page.line,
            retryable=code < 0,
        )


def _command(executable: Path, source: Path, output: Path, options: Options) -> list[str]:
    command = [os.fspath(executable), "-x", "-f", options.format, "-b", str(options.border)]
    if options.format == "png":
        command += ["-s", f"{options.scale:g}"]
    command += ["-o", os.fspath(output), os.fspath(source)]
    # Electron refuses to run as root with its sandbox; it wants this option last.
    return [*command, "--no-sandbox"] if system.user_id() == 0 else command
