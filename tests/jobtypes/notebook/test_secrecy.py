"""What only the speaker may see is in no byte that students get."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from .conftest import TOPIC, Course

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


def test_no_file_of_a_private_cell_is_there_for_the_public_run(course: Course) -> None:
    course.write("prices.csv", "public price\n")
    text = """\
# %% tags=["private"]
from pathlib import Path
Path("new.txt").write_text("Zebra")
Path("prices.csv").write_text("Zebra")
Path("helper.py").write_text("answer = 'Zebra'")

# %%
from pathlib import Path
for path in sorted(Path().iterdir()):
    print(path, path.read_text() if path.suffix in (".csv", ".txt") else "")
print(Path.cwd(), *sorted(path.name for path in Path.cwd().parents[2].iterdir()))
"""
    outputs = course.convert(text, task="execute")
    assert course.facts["executions"] == 2
    completed, speaker = ((outputs / name).read_text() for name in ("completed.html", "speaker.html"))
    assert "prices.csv public price" in completed
    assert "new.txt" not in completed
    assert "helper.py" not in completed
    assert hits(outputs / "completed.html", SECRETS) == []
    assert "prices.csv Zebra" in speaker
    assert str(course.root.parent) not in completed + speaker, "neither page shows where it was made"
    assert f"\n{TOPIC} slides</pre>" in completed
    assert sorted(path.name for path in course.root.parent.iterdir()) == ["course", "results"]


def test_a_large_input_that_the_store_has_linked_is_not_copied(course: Course, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    stored.write_bytes(b"large")
    stored.chmod(0o444)
    course.write("small.csv", "x")
    (course.root / TOPIC / "large.bin").hardlink_to(stored)
    show = "import os\nprint([os.stat(name).st_nlink for name in ('large.bin', 'small.csv')])"
    text = f"# %% tags=['private']\n1\n\n# %%\n{show}\n"
    outputs = course.convert(text, task="execute")
    assert "[3, 1]" in (outputs / "completed.html").read_text()
    assert "[3, 1]" in (outputs / "speaker.html").read_text()
    assert stored.stat().st_nlink == 2
