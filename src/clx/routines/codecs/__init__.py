"""Arguments and results of routines as canonical JSON, and back.

``canonical`` writes a value, ``restore`` reads it, ``key_of`` names a call. Equal values have equal texts, different
ones (1, 1.0 and True; a tuple and a list) different texts; see docs/routines-values.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clx.errors import RoutineValueError
from clx.routines.codecs.canonical import Files, NoFiles, Refusal, as_type, find_object, need, quoted, text_of, value_of

if TYPE_CHECKING:
    from clx.routines.codecs.files import File as File
    from clx.routines.codecs.objects import codec as codec
    from clx.routines.codecs.objects import register_hint as register_hint

LARGE = 64 << 10
"""Characters from which on a value's text is an artifact of its own."""
LARGEST = 256 << 20
"""Bytes of the largest text."""
_TABLE = '{"$a":["arrow",'
"""How a table begins; in no text of a user's, where each quotation mark has a backslash before it."""
_LAZY = {"File": "files", "codec": "objects", "register_hint": "objects"}
_PLAIN = (str, int, float, bool, type(None))


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def canonical(value: Any, hint: Any = Any, path: str = "value", files: Files | None = None) -> str:
    """*value* as canonical JSON; a text longer than 64 KiB becomes an artifact.

    Args:
        hint: its annotation. It is not enforced; the classes that it names may be sent from now on.
        path: what the value is called in errors.
        files: where artifacts are kept; None: what needs one is refused.

    Raises:
        RoutineValueError: something in it has no codec: ``data.rows[3].x: socket …``.
    """
    text, is_whole = _without_artifacts(value, hint, path, files)
    return text if is_whole else _with_artifacts(value, path, files)


def canonical_arguments(arguments: Mapping[str, Any], hints: Mapping[str, Any], files: Files | None = None) -> str:
    """Bound arguments by their names as one canonical object, each written by :func:`canonical`."""
    names = sorted(arguments)
    first = [_without_artifacts(arguments[name], hints.get(name, Any), name, files) for name in names]
    texts = (
        f"{quoted(name)}:{text if is_whole else _with_artifacts(arguments[name], name, files)}"
        for name, (text, is_whole) in zip(names, first, strict=True)
    )
    return f"{{{','.join(texts)}}}"


def _without_artifacts(value: Any, hint: Any, path: str, files: Files | None) -> tuple[str, bool]:
    """The text of a value, and whether it is all of it: nothing is stored before everything has a codec."""
    if hint not in _PLAIN:
        _see(hint)
    nowhere = NoFiles()
    try:
        text = text_of(value, nowhere)
        if nowhere.was_asked or len(text) > LARGE:
            need(files)
    except Refusal as refusal:
        raise refusal.error(path) from refusal.__cause__
    except RecursionError as error:
        raise RoutineValueError(f"{path}: it is nested too deep to be sent.", "Is it in itself?") from error
    return text, not nowhere.was_asked and len(text) <= LARGE


def _with_artifacts(value: Any, path: str, files: Files | None) -> str:
    try:
        text = text_of(value, files)
        return text if len(text) <= LARGE else artifact_of(text, files)
    except Refusal as refusal:
        raise refusal.error(path) from refusal.__cause__


def artifact_of(text: str, files: Files | None) -> str:
    """Canonical *text* as an artifact: what stands in its place.

    Raises:
        Refusal: it is longer than any value is.
    """
    data = text.encode()
    if len(data) > LARGEST:
        fact = f"{len(data) >> 20:,} MiB of text."
        raise Refusal(fact, "Send it as an array, a table, bytes, or a file (clx.File).")
    named = artifacts_of(text)  # in sight of whoever looks for what a row needs
    also = f",[{','.join(map(quoted, named))}]" if named else ""
    return f'{{"$large":["{need(files).put_bytes(data)}",{len(data)}{also}]}}'


def artifacts_of(text: str) -> list[str]:
    """The digests of the artifacts that a canonical text names, in order; those that a large one of them names, too."""
    if '"$' not in text:
        return []
    import re

    digest = '"([0-9a-f]{64})"'
    forms = (
        rf'"\$(?:bytes|file)":\[{digest}',
        rf'"\$large":\[{digest},\d+(?:,\[([^]]*)\])?',
        rf'"\$a":\["arrow",\[{digest}',
        rf'"\$a":\["npy",.*?,\[[\d,]*\],{digest}\]',
    )
    groups = (each for found in re.finditer("|".join(forms), text) for each in found.groups() if each)
    return list(dict.fromkeys(each.strip('"') for group in groups for each in group.split(",")))


def restore(parsed: Any, hint: Any = Any, path: str = "value", files: Files | None = None) -> Any:
    """The value that *parsed* canonical JSON stands for; for text see :func:`restore_text`.

    Nothing in it is trusted: names are looked up among what is registered, artifacts must be what the text says.

    Raises:
        RoutineValueError: it stands for no value, or names what is not registered here.
        ArtifactError: an artifact is missing or damaged.
    """
    if hint not in _PLAIN:
        _see(hint)
    try:
        if type(parsed) is dict and "$large" in parsed and len(parsed) == 1:
            parsed = _large(parsed["$large"], files)
        return value_of(parsed, files)
    except Refusal as refusal:
        raise refusal.error(path) from refusal.__cause__
    except RecursionError as error:
        raise RoutineValueError(f"{path}: it is nested too deep to be read.") from error


def restore_text(text: str | bytes, hint: Any = Any, path: str = "value", files: Files | None = None) -> Any:
    """The value that canonical JSON stands for; errors as of :func:`restore`."""
    try:
        parsed = _parse(text)
    except Refusal as refusal:
        raise refusal.error(path) from refusal.__cause__
    return restore(parsed, hint, path, files)


def restore_arguments(parsed: Any, hints: Mapping[str, Any], files: Files | None = None) -> dict[str, Any]:
    """The arguments of a call, by name; errors as of :func:`restore`."""
    if type(parsed) is not dict:
        raise RoutineValueError("The arguments of a call are an object of JSON, by name.")
    return {name: restore(each, hints.get(name, Any), name, files) for name, each in parsed.items()}


def key_of(name: str, version: str, canonical_arguments: str) -> str:
    """The key of a task call: 64 hexadecimal digits, the same for all equal calls."""
    from hashlib import sha256

    if _TABLE in canonical_arguments:
        import re

        canonical_arguments = re.sub(rf'{re.escape(_TABLE)}\["[0-9a-f]{{64}}",\d+\],', _TABLE, canonical_arguments)
    return sha256(f"clx-call/1\0{name}\0{version}\0{canonical_arguments}".encode()).hexdigest()


def _see(hint: Any) -> None:
    from clx.routines.codecs.objects import register_hint

    register_hint(hint)


def _large(data: Any, files: Files | None) -> Any:
    try:
        digest, size = as_type(list, data)[:2]
    except (TypeError, ValueError) as error:
        raise Refusal(f"$large holds no value: {error}") from error
    if type(size) is int and size > LARGEST:
        raise Refusal(f"{size >> 20:,} MiB of text are more than any value has.")
    find_object(need(files), digest, size)
    return _parse(need(files).get_bytes(digest))


def _parse(text: str | bytes) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Refusal(f"it is no JSON: {str(error)[:100]}") from error
