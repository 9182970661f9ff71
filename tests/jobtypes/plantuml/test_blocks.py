from __future__ import annotations

import pytest

from clx.errors import ConversionError
from clx.jobtypes.plantuml.blocks import split_blocks


def test_a_source_is_split_at_its_markers_and_the_rest_is_ignored() -> None:
    text = "prose\n  @startuml one\r\nA -> B\r\n@enduml\nmore\n@startmindmap\n* a\n@endmindmap"
    first, second = split_blocks(text)
    assert (first.kind, first.line, first.text) == ("uml", 2, "  @startuml one\nA -> B\n@enduml\n")
    assert (second.kind, second.line, second.body) == ("mindmap", 6, "* a")


def test_lines_are_counted_as_java_counts_them() -> None:
    (block,) = split_blocks("a\x0bb\u2028c\x85d\n@startuml\nA -> B\n@enduml\n")
    assert block.line == 2


@pytest.mark.parametrize(
    ("text", "line", "fact"),
    [
        ("", None, "empty"),
        (" \n\n", None, "empty"),
        ("A -> B\n", 1, "no diagram"),
        ("\n@enduml\n", 1, "no diagram"),
        ("x\n@startuml\nA -> B\n", 2, "no @enduml"),
        ("@startuml\nA\n@startuml\nB\n@enduml\n", 1, "line 3"),
        ("@startuml\n* a\n@endmindmap\n", 3, "@startuml"),
        ("@startuml\n@enduml\n", 1, "empty"),
        ("\n@startuml\n' only\n/' com\nments '/\n\n@enduml\n", 2, "empty"),
    ],
)
def test_what_plantuml_would_wait_for_or_greet_is_an_error_with_its_line(
    text: str, line: int | None, fact: str
) -> None:
    with pytest.raises(ConversionError) as error:
        split_blocks(text)
    assert error.value.line == line
    assert fact in error.value.fact
    assert not error.value.retryable
