# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Testen", "Testing") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Ein Test ist ein Beispiel, das der Rechner prüft
#
# `assert` behauptet etwas. Stimmt es, geschieht nichts. Stimmt es nicht, hält das Programm an.

# %% [markdown] lang="en" tags=["slide"]
# ## A test is an example that the computer checks
#
# `assert` claims something. If it is true, nothing happens. If it is not, the program stops.

# %% tags=["keep"]
def rain_class(millimetres):
    if millimetres < 0.1:
        return "dry"
    if millimetres < 10:
        return "light"
    return "heavy"


# %%
assert rain_class(0) == "dry"
assert rain_class(3) == "light"

# %%
try:
    assert rain_class(10) == "light", "10 mm are heavy already"
except AssertionError as error:
    print("Failed:", error)

# %% [markdown] lang="de" tags=["slide"]
# ## Tests bekommen Namen
#
# Eine Funktion je Verhalten. Der Name sagt, was gelten soll, und ist die erste Zeile,
# die man liest, wenn es einmal nicht mehr gilt.

# %% [markdown] lang="en" tags=["slide"]
# ## Tests get names
#
# One function for each behaviour. The name says what should hold, and it is the first line
# you read when one day it does not hold any more.

# %%
def test_no_rain_is_dry():
    assert rain_class(0) == "dry"


# %%
def test_ten_millimetres_are_heavy():
    assert rain_class(10) == "heavy"


# %%
def test_negative_rain_is_refused():
    try:
        rain_class(-1)
    except ValueError:
        return
    raise AssertionError("a negative amount was accepted")


# %% [markdown] lang="de" tags=["subslide"]
# ## Ein Testläufer in zehn Zeilen
#
# So arbeitet auch `pytest`: Es sucht alles, was `test_` heißt, und führt es aus.

# %% [markdown] lang="en" tags=["subslide"]
# ## A test runner in ten lines
#
# This is how `pytest` works, too: it looks for everything called `test_` and runs it.

# %% tags=["keep"]
def run_tests(namespace):
    for name, test in sorted(namespace.items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
        except AssertionError as error:
            print(f"✗ {name}: {error}")
        else:
            print(f"✓ {name}")


# %%
run_tests(dict(globals()))

# %% [markdown] lang="de"
# *Frage:* Ein Test ist rot. Ist das gut oder schlecht?

# %% [markdown] lang="en"
# *Question:* One test is red. Is that good or bad?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Gut! Er hat einen Fehler gefunden, bevor ihn jemand anders fand. Schlecht wäre ein Test,
# der gar nicht rot werden kann.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# Good! It has found a mistake before anybody else did. A test that cannot turn red at all
# would be bad.

# %% [markdown] lang="de" tags=["slide"]
# ## Rot, grün, aufräumen
#
# <img src="img/red_green_refactor.png" alt="Kreislauf: roter Test, grüner Test, Aufräumen" style="width: 60%">
#
# 1. **Rot:** Schreiben Sie einen Test für das, was fehlt.
# 2. **Grün:** Schreiben Sie gerade so viel Code, dass er besteht.
# 3. **Aufräumen:** Verbessern Sie den Code, während alle Tests grün bleiben.

# %% [markdown] lang="en" tags=["slide"]
# ## Red, green, refactor
#
# <img src="img/red_green_refactor.png" alt="A cycle: red test, green test, tidying up" style="width: 60%">
#
# 1. **Red:** write a test for what is missing.
# 2. **Green:** write just enough code to make it pass.
# 3. **Refactor:** improve the code while all tests stay green.

# %% [markdown] lang="de" tags=["notes"]
# 15 Minuten mit der Übung. Den Schritt „Aufräumen“ nicht auslassen: Er ist der Grund für die Tests.

# %% [markdown] lang="en" tags=["notes"]
# 15 minutes including the exercise. Do not skip "refactor": it is the reason for the tests.

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: den roten Test grün machen
#
# Ändern Sie `rain_class` so, dass alle Tests bestehen.
#
# {{ minutes(5) }}, {{ difficulty(1) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: turn the red test green
#
# Change `rain_class` so that all tests pass.
#
# {{ minutes(5) }}, {{ difficulty(1) }}

# %% tags=["start"]
def rain_class(millimetres):
    # Which line is missing?
    if millimetres < 0.1:
        return "dry"
    if millimetres < 10:
        return "light"
    return "heavy"


# %% tags=["alt"]
def rain_class(millimetres):
    if millimetres < 0:
        raise ValueError(f"{millimetres} mm: rain is never negative")
    if millimetres < 0.1:
        return "dry"
    if millimetres < 10:
        return "light"
    return "heavy"


# %%
run_tests(dict(globals()))

# %% [markdown] lang="de" tags=["subslide"]
# ## Beispiele im Docstring
#
# `doctest` liest die Beispiele einer Dokumentation und prüft, ob sie noch stimmen.

# %% [markdown] lang="en" tags=["subslide"]
# ## Examples in the docstring
#
# `doctest` reads the examples of a documentation and checks whether they still hold.

# %%
import doctest


def median(values):
    """Return the middle value.

    >>> median([3, 1, 2])
    2
    >>> median([4, 1, 3, 2])
    2.5
    """
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


# %%
examples = doctest.DocTestFinder().find(median, "median", globs={"median": median})
doctest.DocTestRunner().run(examples[0])
