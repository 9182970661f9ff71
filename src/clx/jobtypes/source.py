"""Reading the source of a picture."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from clx.errors import ConversionError
from clx.regular import read_regular

SOURCE_LIMIT = 2 * 1024 * 1024
"""Bytes of a source; a diagram that somebody wrote is a thousandth of it."""


def read_source(inputs: Path, source: PurePosixPath) -> str:
    """The text of a source, without a byte order mark.

    Raises:
        ConversionError: it is not there, not inside *inputs*, too large or not UTF-8.
    """
    path = (inputs / source).resolve()
    if ".." in source.parts or not path.is_relative_to(inputs.resolve()) or not path.is_file():
        raise ConversionError("The file is not among the inputs of its job.")
    if path.stat().st_size > SOURCE_LIMIT:
        raise ConversionError(f"The file is larger than {SOURCE_LIMIT // 1024**2} MB.", "Split the diagram.")
    data = read_regular(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConversionError("The file is not UTF-8 text.", "Save it as UTF-8.", line=line) from None
