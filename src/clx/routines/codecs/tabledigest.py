"""The digest of a table's data and schema: the same however it is cut into chunks, sliced, or written to a file."""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from clx.routines.codecs.canonical import Refusal, text_of

_ROWS = 1 << 18
"""Rows that are looked at at a time, so that what is made of them is small."""


def digest_of(table: Any) -> str:
    """The digest of *table*, 64 hexadecimal digits. What pandas notes beside the schema does not count.

    Raises:
        Refusal: a column is of a type whose values cannot be told apart here.
    """
    schema = [[each.name, type_text(each.type), each.nullable, _notes(each.metadata)] for each in table.schema]
    found = sha256(text_of([schema, _notes(table.schema.metadata), table.num_rows], None).encode())
    for column, field in zip(table.columns, table.schema, strict=True):
        digest = _ColumnDigest()
        try:
            for chunk in column.chunks:
                for start in range(0, len(chunk), _ROWS):
                    digest.add(chunk.slice(start, _ROWS), ())
        except (pa.ArrowException, ValueError) as error:
            raise Refusal(
                f"column {field.name!r} of the type {field.type} cannot be sent.",
                "Cast it to a type of numbers, texts, times or lists.",
            ) from error
        found.update(digest.sum())
    return found.hexdigest()


def _notes(metadata: Any) -> dict[bytes, bytes]:
    return {key: value for key, value in (metadata or {}).items() if key not in {b"pandas", b"ARROW:schema"}}


def type_text(kind: Any) -> str:
    """A type by a text of its own, which is the same in every version of pyarrow."""
    if types.is_dictionary(kind):
        return f"dictionary<{kind.index_type},{type_text(kind.value_type)},{kind.ordered}>"
    if isinstance(kind, pa.BaseExtensionType):
        return f"{kind.extension_name}<{type_text(kind.storage_type)},{_serialized(kind)}>"
    if types.is_nested(kind):
        name = str(kind).partition("<")[0]
        size = kind.list_size if types.is_fixed_size_list(kind) else ""
        inner = (kind.field(each) for each in range(kind.num_fields))
        return f"{name}{size}<{','.join(f'{each.name}:{type_text(each.type)}:{each.nullable}' for each in inner)}>"
    return str(kind)


def _serialized(kind: Any) -> str:
    return repr(kind.__arrow_ext_serialize__()) if hasattr(kind, "__arrow_ext_serialize__") else ""


class _ColumnDigest:
    """Digests of the parts of one column, each of which is the same however the column is cut."""

    def __init__(self) -> None:
        self._parts: dict[tuple[Any, ...], Any] = defaultdict(sha256)
        self._lengths: dict[tuple[Any, ...], int] = defaultdict(int)
        self._dictionaries: set[tuple[Any, ...]] = set()

    def sum(self) -> bytes:
        """Of all of them."""
        found = sha256()
        for place in sorted(self._parts, key=repr):
            found.update(repr(place).encode() + self._parts[place].digest())
        for place in sorted(self._lengths, key=repr):
            found.update(f"{place!r}{self._lengths[place]}".encode())
        return found.digest()

    def add(self, array: Any, place: tuple[Any, ...]) -> None:
        """More of the array at *place*: where the nulls are, and what the others are."""
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        if types.is_string_view(array.type) or types.is_binary_view(array.type):
            array = array.cast(pa.large_string() if types.is_string_view(array.type) else pa.large_binary())
        before = self._lengths[place]
        self._lengths[place] += len(array)
        if types.is_null(array.type):
            return
        if array.null_count:
            nulls = pc.add(pc.indices_nonzero(array.is_null()).cast(pa.int64()), before)
            self._fixed(nulls, (*place, "nulls"))
            array = array.drop_null()
        self._values(array, place)

    def _values(self, array: Any, place: tuple[Any, ...]) -> None:
        kind = array.type
        if types.is_dictionary(kind):
            self.add(array.indices, (*place, "indices"))
            if place not in self._dictionaries:
                self._dictionaries.add(place)
                self.add(array.dictionary, (*place, "dictionary"))
        elif types.is_struct(kind):
            for number, each in enumerate(array.flatten()):
                self.add(each, (*place, number))
        elif types.is_map(kind):
            inner = pa.struct([pa.field("key", kind.key_type), pa.field("value", kind.item_type)])
            self._values(array.cast(pa.list_(inner)), place)
        elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            self._fixed(pc.list_value_length(array).cast(pa.int64()), (*place, "lengths"))
            self.add(array.flatten(), (*place, "items"))
        elif _is_text(kind):
            self._texts(array, place)
        elif types.is_boolean(kind):
            self._fixed(array.cast(pa.uint8()), place)
        else:
            self._fixed(array, place)

    def _texts(self, array: Any, place: tuple[Any, ...]) -> None:
        self._fixed(pc.binary_length(array).cast(pa.int64()), (*place, "lengths"))
        array = array.cast(pa.large_binary())
        if len(array):
            _, offsets, data = array.buffers()
            ends = memoryview(offsets).cast("q")
            first, last = ends[array.offset], ends[array.offset + len(array)]
            if last > first:
                self._parts[place].update(memoryview(data)[first:last])

    def _fixed(self, array: Any, place: tuple[Any, ...]) -> None:
        """Values of one width."""
        width = array.type.bit_width // 8
        if len(array):
            data = memoryview(array.buffers()[1])
            self._parts[place].update(data[array.offset * width : (array.offset + len(array)) * width])


def _is_text(kind: Any) -> bool:
    named = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(each(kind) for each in named)
