"""What may be staged, by its bytes: Parquet, NumPy without objects, JSON. Nothing that Python would run on opening."""

from __future__ import annotations

import ast
import re
import struct
import zipfile
from typing import IO, Any

from clx.errors import ClxError

_NUMPY = b"\x93NUMPY"
_LONGEST_HEADER = 64 << 10
_MOST_MEMBERS = 10_000
_PLAIN = re.compile(r"[<>|=]?[?biufcmMSUV][0-9]*(\[[0-9]*[A-Za-z]+\])?")
"""How numpy writes a type of numbers, times or text; ``O`` is that of objects, which are pickled."""
_PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".dill")
_ADVICE = "Send Parquet, NumPy without objects (.npy, .npz), or JSON."


class KindError(ClxError):
    """A file is of no kind that may be staged."""


def refuse_pickles(name: str) -> None:
    """Refuse a file that says it is a pickle before any of it has come.

    Raises:
        KindError: it does.
    """
    if name.lower().endswith(_PICKLES):
        raise KindError(f"{name} is a pickle: opening one runs whatever its sender wanted.", _ADVICE)


def kind_of(name: str, stream: IO[bytes]) -> str:
    """What a file is, by its bytes: ``parquet``, ``npy``, ``npz``, ``json``.

    None of these kinds begins as a pickle can, so nothing that is taken for one would be opened as the other.

    Raises:
        KindError: it is something else.
    """
    stream.seek(0)
    head = stream.read(4096)
    stream.seek(max(0, stream.seek(0, 2) - 64))
    tail = stream.read()
    stream.seek(0)
    if head[:4] == b"PAR1" and tail[-4:] == b"PAR1":
        return "parquet"
    if head[:6] == _NUMPY:
        _require_plain(name, stream)
        return "npy"
    if head[:4] == b"PK\x03\x04":
        _require_arrays(name, stream)
        return "npz"
    begin, end = head.removeprefix(b"\xef\xbb\xbf").lstrip(), tail.rstrip()
    if begin[:1] in (b"{", b"[") and end[-1:] in (b"}", b"]") and b"\0" not in head:
        return "json"
    raise KindError(f"{name} is neither Parquet, nor NumPy, nor JSON by its bytes.", _ADVICE)


def _require_arrays(name: str, stream: IO[bytes]) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if not members or len(members) > _MOST_MEMBERS:
                raise KindError(f"{name} has {len(members)} arrays.", f"Send 1 to {_MOST_MEMBERS}.")
            for each in members:
                if not each.filename.endswith(".npy"):
                    raise KindError(f"{name} holds {each.filename[:80]!r}, which is no array.", _ADVICE)
                with archive.open(each) as member:
                    _require_plain(name, member)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise KindError(f"{name} is no archive of arrays: {error}.", _ADVICE) from error


def _require_plain(name: str, stream: IO[bytes]) -> None:
    """See that an array is one, and has no objects, by its header."""
    try:
        start = stream.read(8)
        length = struct.unpack("<H", stream.read(2))[0] if start[6] == 1 else struct.unpack("<I", stream.read(4))[0]
        is_one = start[:6] == _NUMPY and start[6] in (1, 2, 3) and length <= _LONGEST_HEADER
        header = ast.literal_eval(stream.read(length).decode("utf-8") if is_one else "")
        is_plain = _is_plain(header["descr"])
    except (ValueError, SyntaxError, LookupError, TypeError, struct.error, MemoryError, RecursionError) as error:
        raise KindError(f"{name} is no array of NumPy.", _ADVICE) from error
    if not is_plain:
        raise KindError(f"{name} has objects in it, which NumPy pickles.", "Give it a type of numbers or text.")


def _is_plain(found: Any) -> bool:
    if isinstance(found, str):
        return _PLAIN.fullmatch(found) is not None
    if isinstance(found, tuple):
        return len(found) == 2 and _is_plain(found[0])
    return isinstance(found, list) and all(len(each) in (2, 3) and _is_plain(each[1]) for each in found)
