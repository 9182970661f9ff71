# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Fehler behandeln", "Handling Errors") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Fehler sind Nachrichten
#
# Ein Traceback liest sich am besten von unten: Die letzte Zeile sagt, *was* los ist,
# die Zeilen darüber sagen, *wo*.

# %% [markdown] lang="en" tags=["slide"]
# ## Errors are messages
#
# Read a traceback from the bottom: the last line says *what* is wrong,
# the lines above it say *where*.

# %% tags=["keep"]
def parse_count(text):
    return int(text)


# %%
try:
    parse_count("1842 bicycles")
except ValueError as error:
    print(type(error).__name__)
    print(error)

# %% [markdown] lang="de" tags=["slide"]
# ## `try`, `except`, `else`, `finally`
#
# <img src="img/exception_flow.png" alt="Ablauf von try, except, else und finally" style="width: 60%">

# %% [markdown] lang="en" tags=["slide"]
# ## `try`, `except`, `else`, `finally`
#
# <img src="img/exception_flow.png" alt="The flow of try, except, else and finally" style="width: 60%">

# %%
def describe(text):
    try:
        count = parse_count(text)
    except ValueError:
        return "no number"
    else:
        return f"{count} bicycles"
    finally:
        print("read:", repr(text))


# %%
describe("1842")

# %%
describe("fault")

# %% [markdown] lang="de" tags=["subslide"]
# ## Fehler haben Verwandte
#
# <img src="img/exception_tree.png" alt="Stammbaum einiger Fehler von Python unter Exception" style="width: 60%">
#
# `except LookupError` fängt auch `KeyError` und `IndexError`.

# %% [markdown] lang="en" tags=["subslide"]
# ## Errors have relatives
#
# <img src="img/exception_tree.png" alt="A family tree of some errors of Python below Exception" style="width: 60%">
#
# `except LookupError` catches `KeyError` and `IndexError` as well.

# %% [markdown] lang="de" tags=["subslide"]
# ## So wenig wie möglich, so genau wie möglich
#
# * In den `try`-Block gehört nur die Zeile, die scheitern darf.
# * Hinter `except` steht der Fehler, den wir *erwarten*.
# * Ein nacktes `except:` verschluckt auch Tippfehler und Strg+C.

# %% [markdown] lang="en" tags=["subslide"]
# ## As little as possible, as exact as possible
#
# * Only the line that may fail belongs into the `try` block.
# * `except` names the error that we *expect*.
# * A bare `except:` swallows typing mistakes and Ctrl+C as well.

# %% tags=["keep"]
def careless(text):
    try:
        return parse_cuont(text)
    except:
        return 0


# %% [markdown] lang="de"
# *Frage:* Was gibt `careless("1842")` zurück?

# %% [markdown] lang="en"
# *Question:* What does `careless("1842")` return?

# %%
careless("1842")

# %% [markdown] lang="de" tags=["answer", "fragment"]
# `0`, denn `parse_cuont` ist ein Tippfehler. Der `NameError` wird verschluckt, und ein Jahr später
# wundert sich jemand über die vielen Nullen in der Statistik.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# `0`, because `parse_cuont` is a typing mistake. The `NameError` is swallowed, and a year later
# somebody wonders about all the zeros in the statistics.

# %% [markdown] lang="de" tags=["notes"]
# 10 Minuten. Die Gruppe erst abstimmen lassen: 1842, 0 oder Fehler? Die meisten tippen auf Fehler.

# %% [markdown] lang="en" tags=["notes"]
# 10 minutes. Let the group vote first: 1842, 0 or an error? Most of them bet on the error.

# %% [markdown] lang="de" tags=["slide"]
# ## Selbst Fehler melden
#
# Eine gute Meldung nennt die Tatsache *und* den nächsten Schritt. Ein eigener Typ erlaubt es,
# genau diesen Fehler zu fangen.

# %% [markdown] lang="en" tags=["slide"]
# ## Report errors yourself
#
# A good message names the fact *and* the next step. A type of its own makes it possible
# to catch exactly this error.

# %%
class ReadingError(ValueError):
    """A reading cannot be right."""


# %%
def check_count(count, limit=20_000):
    if count < 0:
        raise ReadingError(f"{count} bicycles: a count is never negative. Check the sensor.")
    if count > limit:
        raise ReadingError(f"{count} bicycles are more than {limit} a day. Raise the limit?")
    return count


# %%
for count in [1842, -3, 98_000]:
    try:
        print(check_count(count), "ok")
    except ReadingError as error:
        print("Rejected:", error)

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: tolerant einlesen
#
# `read_all` soll alle brauchbaren Zahlen zurückgeben und sich merken, welche Zeilen es *nicht* waren.
# Stillschweigend überspringen gilt nicht.
#
# {{ minutes(15) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: tolerant reading
#
# `read_all` returns all usable numbers and remembers which lines were *not* usable.
# Skipping them silently does not count.
#
# {{ minutes(15) }}, {{ difficulty(2) }}

# %% tags=["keep"]
lines = ["1842", "2015", "fault", "-3", "1977"]

# %% tags=["start"]
def read_all(lines):
    """Return the good counts and the problems as (line number, message)."""
    counts, problems = [], []
    for number, line in enumerate(lines, start=1):
        ...
    return counts, problems


# %% tags=["alt"]
def read_all(lines):
    """Return the good counts and the problems as (line number, message)."""
    counts, problems = [], []
    for number, line in enumerate(lines, start=1):
        try:
            counts.append(check_count(parse_count(line)))
        except ValueError as error:
            problems.append((number, str(error)))
    return counts, problems


# %%
counts, problems = read_all(lines)
counts

# %%
for number, message in problems:
    print(f"line {number}: {message}")

# %% [markdown] lang="de" tags=["alt"]
# `ReadingError` ist ein `ValueError`. Deshalb fängt ein einziges `except` beide.

# %% [markdown] lang="en" tags=["alt"]
# A `ReadingError` is a `ValueError`. That is why a single `except` catches both.
