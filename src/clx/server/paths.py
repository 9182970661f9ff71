"""What may stand in the paths of addresses: ids."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor

ID = "id"
"""The name of the convertor of ids: ``/jobs/{id:id}``; who writes such paths imports this module."""


class _Id(Convertor[int]):
    """A number in a path that an id may be; one of thousands of digits is not even read."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor(ID, _Id())
