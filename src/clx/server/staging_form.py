"""A form with files that is read as it comes: each file goes into the staging area, hashed on the way."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from clx.daily.staged_kinds import kind_of, refuse_pickles
from clx.daily.staging import Incoming, Staging
from clx.errors import UsageError
from clx.server.answers import Refusal

MOST_FILES = 64
MOST_FIELDS = 200
_LONGEST_VALUE = 4096
_SHA256 = re.compile("[0-9a-fA-F]{64}")


class _File(NamedTuple):
    field: str
    incoming: Incoming


class Form:
    """One form; :meth:`feed` and :meth:`finish` may block, :meth:`discard` ends it in any case.

    Attributes:
        fields: name → its values.
        files: as they came, each with the name of its field.

    Args:
        content_type: the header of the request.

    Raises:
        Refusal: 415, it is no form with files.
    """

    def __init__(self, staging: Staging, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise Refusal(415, "The body is no form with files.", "Send multipart/form-data: curl -F, requests files=")
        self.fields: dict[str, list[str]] = {}
        self.files: list[_File] = []
        self._staging = staging
        self._turn = threading.Lock()
        self._is_over = self._is_whole = False
        self._header, self._value, self._disposition = bytearray(), bytearray(), ""
        self._field, self._text = "", bytearray()
        self._incoming: Incoming | None = None
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end,
            "on_header_field": lambda data, a, b: self._header.extend(data[a:b]),
            "on_header_value": lambda data, a, b: self._value.extend(data[a:b]),
            "on_header_end": self._header_end, "on_headers_finished": self._headers_end, "on_end": self._whole,
        }  # fmt: skip
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError as error:
            raise Refusal(400, f"The form cannot be read: {error}", "Send multipart/form-data.") from error

    def feed(self, data: bytes) -> None:
        """The next bytes of the body.

        Raises:
            Refusal: they are no form, or more than one may have.
            ClxError: a file cannot be kept, or not be called so, or is no kind that may be staged.
        """
        with self._turn:
            if self._is_over:
                return
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise Refusal(400, f"The form cannot be read: {error}", "Send multipart/form-data.") from error

    def finish(self, *, require_digests: bool) -> None:
        """The body is over: see that it is whole, and each file what its sender said.

        Raises:
            Refusal: 400, it was cut off; 422, there is no file, or a digest differs, or is wanted and not there.
            ClxError: a file is no kind that may be staged.
        """
        if not self._is_whole:
            raise Refusal(400, "The form was cut off.", "Send it again.")
        if not self.files:
            raise Refusal(422, "The form has no file.", "Send one: curl -F data=@day.parquet")
        if len({each.incoming.name.lower() for each in self.files}) < len(self.files):
            raise Refusal(422, "Two files of the form have one name.", "Call each by its own.")
        for (_, incoming), sent in zip(self.files, self._digests(), strict=True):
            if sent is None and require_digests:
                raise Refusal(422, f"{incoming.name} comes without its sha256.", "Send it: -F sha256=…, one a file.")
            if sent is not None and sent != incoming.sha256:
                raise Refusal(
                    422, f"{incoming.name} has come with sha256 {incoming.sha256}, not {sent[:80]}.", "Send it again."
                )
            kind_of(incoming.name, incoming.stream)

    def _digests(self) -> list[str | None]:
        """What the sender said of each file: ``FIELD_sha256``, or as many ``sha256`` as there are files."""
        named = [self.one(f"{field}_sha256") for field, _ in self.files]
        in_order = self.fields.get("sha256", [])
        if in_order and len(in_order) != len(self.files):
            raise Refusal(422, f"{len(in_order)} digests came for {len(self.files)} files.", "Send sha256 for each.")
        ordered: list[str | None] = [*in_order] if in_order else [None] * len(self.files)
        found = [(name or each) for name, each in zip(named, ordered, strict=True)]
        if bad := next((each for each in found if each is not None and not _SHA256.fullmatch(each)), None):
            raise Refusal(422, f"{bad[:80]!r} is no sha256.", "Send 64 hexadecimal digits.")
        return [each and each.lower() for each in found]

    def one(self, *names: str) -> str:
        """The value of a field that goes by any of *names*; empty: there is none.

        Raises:
            Refusal: 422, it has several.
        """
        found = {value for name in names for value in self.fields.get(name, [])}
        if len(found) > 1:
            raise Refusal(422, f"The form has several values of {names[0]}.", "Send one.")
        return found.pop() if found else ""

    def discard(self) -> None:
        """Keep nothing of it that was not kept."""
        with self._turn:  # a thread may be at it whose caller has gone
            self._is_over = True
            for each in self.files:
                each.incoming.discard()

    # -- what the parser tells ----------------------------------------------------------------------------

    def _begin(self) -> None:
        self._disposition, self._text, self._incoming = "", bytearray(), None

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")
        self._header, self._value = bytearray(), bytearray()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise Refusal(400, "A part of the form has no name.", "Send multipart/form-data.")
        self._field = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            if len(self.files) == MOST_FILES:
                raise Refusal(413, f"A form has at most {MOST_FILES} files.", "Send several.")
            name = options[b"filename"].decode("utf-8", "replace")
            refuse_pickles(name)
            self._incoming = Incoming(self._staging, name)
            self.files.append(_File(self._field, self._incoming))
        elif sum(map(len, self.fields.values())) == MOST_FIELDS:
            raise Refusal(413, f"A form has at most {MOST_FIELDS} fields.", "Send fewer.")

    def _data(self, data: bytes, begin: int, end: int) -> None:
        if self._incoming is not None:
            self._incoming.write(data[begin:end])
            return
        self._text += data[begin:end]
        if len(self._text) > _LONGEST_VALUE:
            raise Refusal(
                413, f"The field {self._field[:80]!r} is too long.", "A file needs a name: curl -F data=@FILE"
            )

    def _end(self) -> None:
        if self._incoming is not None:
            return
        try:
            self.fields.setdefault(self._field, []).append(self._text.decode("utf-8").strip())
        except UnicodeDecodeError:
            raise UsageError(f"The field {self._field[:80]!r} is no text.", "Send UTF-8.") from None

    def _whole(self) -> None:
        self._is_whole = True
