"""What only the speaker may see is in no byte that students get."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from .conftest import Course

SECRETS = ("Zebra", "Giraffe", "Okapi", "Lemur", "Quokka", "Wombat", "Numbat", "Tapir")
DECK = """\
# j2 from 'macros.j2' import header
# {{ header("Titel", "Title") }}

# %% [markdown]
# ## Public heading

# %% [markdown] tags=["private", "slide"]
# ## Zebra heading
#
# $Zebra$ ![Zebra](img/Zebra.png) [^1]
#
# [^1]: Zebra

# %% [markdown] tags=["notes"]
# ## Giraffe

# %% tags=["private", "keep"]
Okapi = "Ok" + "api"
print("Okapi")

# %% tags=["notes"]
import sys
print("Lemur", file=sys.stderr)
import builtins
builtins.Lemur = 1

# %% [markdown] tags=["del"]
# # Quokka

# %% tags=["del", "keep", "start"]
Wombat = 1

# %% [raw] tags=["private"]
# Numbat

# %% [markdown] tags=["private", "answer"]
# Tapir

# %% tags=["keep"]
print([name for name in dir() if name[0].isupper()], [name for name in dir(__builtins__) if name == "Lem" + "ur"])
"""


def hits(path: Path, secrets: tuple[str, ...]) -> list[str]:
    """Secrets in a file, plain or encoded."""
    data = path.read_bytes()
    forms = {
        secret: [secret.encode(), secret.lower().encode(), base64.b64encode(secret.encode()).rstrip(b"=")[:-1]]
        for secret in secrets
    }
    return [secret for secret, found in forms.items() if any(form in data for form in found)]


@pytest.mark.parametrize("lang", ["de", "en"])
def test_no_public_file_holds_a_secret(course: Course, lang: str) -> None:
    directories = [
        course.convert(DECK, lang=lang),
        course.convert(DECK, lang=lang, evaluate=False),
        course.convert(DECK, lang=lang, task="execute"),
    ]
    files = [path for directory in directories for path in directory.iterdir()]
    public = [path for path in files if not path.name.startswith("speaker")]
    assert len(public) == 5 + 6 + 1
    assert {path: found for path in public if (found := hits(path, SECRETS))} == {}
    deleted = ("Quokka", "Wombat")
    for path in set(files) - set(public):
        assert set(hits(path, SECRETS)) == set(SECRETS) - set(deleted)


def test_no_tag_and_no_solution_shows_in_what_students_start_from(course: Course) -> None:
    text = "# %% tags=['alt']\nnarwhal = 1\n\n# %%\nmanatee = 2\n\n# %% [markdown] tags=['answer']\n# dugong\n"
    outputs = course.convert(text)
    for path in outputs.glob("code-along.*"):
        assert hits(path, ("narwhal", "manatee", "dugong", "'alt'", '"alt"', '"answer"')) == []
