# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Listen und Dictionarys", "Lists and Dictionaries") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Viele Werte, ein Name
#
# Eine *Liste* hält Werte in einer Reihenfolge. Gezählt wird ab null.

# %% [markdown] lang="en" tags=["slide"]
# ## Many values, one name
#
# A *list* holds values in order. Counting starts at zero.

# %% tags=["keep"]
week = [1842, 2015, 1977, 640, 1890, 1204, 980]

# %%
week[0], week[-1]

# %%
week[:5]

# %%
len(week), max(week), sum(week)

# %% [markdown] lang="de" tags=["subslide"]
# ## Der Mittelwert
#
# $$\bar{x} = \frac{1}{n}\sum_{i=1}^{n} x_i$$
#
# In Python ist das fast dieselbe Zeile:

# %% [markdown] lang="en" tags=["subslide"]
# ## The mean
#
# $$\bar{x} = \frac{1}{n}\sum_{i=1}^{n} x_i$$
#
# In Python it is almost the same line:

# %%
sum(week) / len(week)

# %% [markdown] lang="de" tags=["slide"]
# ## Auswählen und umformen
#
# Eine *List Comprehension* baut eine neue Liste: erst was, dann woraus, dann unter welcher Bedingung.

# %% [markdown] lang="en" tags=["slide"]
# ## Choose and transform
#
# A *list comprehension* builds a new list: first what, then out of what, then on which condition.

# %%
[count for count in week if count > 1500]

# %%
[round(count / 24) for count in week]

# %% [markdown] lang="de" tags=["slide"]
# ## Zwei Namen, eine Liste
#
# Listen sind veränderlich. Zeigen zwei Namen auf dieselbe Liste, sieht man jede Änderung durch beide.

# %% [markdown] lang="en" tags=["slide"]
# ## Two names, one list
#
# Lists can change. If two names refer to the same list, you see every change through both of them.

# %%
report = week
report.append(1500)
len(week)

# %% [markdown] lang="de"
# <img src="img/names_and_objects.png" alt="Die Namen week und report zeigen auf dieselbe Liste, der Name backup auf eine Kopie" style="width: 80%">

# %% [markdown] lang="en"
# <img src="img/names_and_objects.png" alt="The names week and report refer to the same list, the name backup to a copy" style="width: 80%">

# %% [markdown] lang="de"
# *Frage:* Wie bekommen wir eine Liste, die sich nicht mitverändert?

# %% [markdown] lang="en"
# *Question:* How do we get a list that does not change along with it?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Mit einer Kopie: `backup = week.copy()`. Danach ist `backup == week`, aber nicht `backup is week`.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# With a copy: `backup = week.copy()`. Afterwards `backup == week` holds, but `backup is week` does not.

# %%
backup = week.copy()
backup == week, backup is week

# %% [markdown] lang="de" tags=["notes"]
# 10 Minuten. Das Bild an der Tafel entstehen lassen, bevor die Folie zu sehen ist.
# Rückgriff auf „Namen zeigen auf Werte“.

# %% [markdown] lang="en" tags=["notes"]
# 10 minutes. Draw the picture on the board before you show the slide.
# Refer back to "Names refer to values".

# %% [markdown] lang="de" tags=["slide"]
# ## Nachschlagen statt suchen
#
# Ein *Dictionary* ordnet jedem Schlüssel einen Wert zu. Das Nachschlagen dauert auch bei
# Millionen Einträgen nur einen Augenblick.

# %% [markdown] lang="en" tags=["slide"]
# ## Look up instead of searching
#
# A *dictionary* maps every key to a value. Looking something up takes a mere moment,
# even among millions of entries.

# %%
counts = {"Mo": 1842, "Tu": 2015, "We": 1977}
counts["Tu"]

# %%
counts["Th"] = 640
counts

# %% [markdown] lang="de"
# Fehlt ein Schlüssel, meldet Python einen `KeyError`. Wer eine Vorgabe hat, nimmt `get`:

# %% [markdown] lang="en"
# If a key is missing, Python reports a `KeyError`. If you have a default, use `get`:

# %%
counts.get("Su", 0)

# %% [markdown] lang="de" tags=["subslide"]
# ## Durchlaufen

# %% [markdown] lang="en" tags=["subslide"]
# ## Going through it

# %%
for day, count in counts.items():
    print(day, "#" * (count // 100))

# %% [markdown] lang="de" tags=["slide"]
# ## Welche Sammlung wofür?
#
# | Sammlung | Schreibweise | wenn … |
# |---|---|---|
# | `list` | `[1, 2, 2]` | die Reihenfolge zählt |
# | `tuple` | `(52.1, 11.6)` | die Plätze eine feste Bedeutung haben |
# | `dict` | `{"Mo": 1842}` | man unter einem Schlüssel nachschlägt |
# | `set` | `{1, 2}` | jeder Wert höchstens einmal vorkommt |

# %% [markdown] lang="en" tags=["slide"]
# ## Which collection for what?
#
# | Collection | Written as | if … |
# |---|---|---|
# | `list` | `[1, 2, 2]` | the order matters |
# | `tuple` | `(52.1, 11.6)` | the places have a fixed meaning |
# | `dict` | `{"Mo": 1842}` | you look up by a key |
# | `set` | `{1, 2}` | every value occurs at most once |

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: Häufigkeiten
#
# Zählen Sie, wie oft jedes Wetter vorkommt. Das Ergebnis ist ein Dictionary.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: frequencies
#
# Count how often each kind of weather occurs. The result is a dictionary.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% tags=["keep"]
weather = ["dry", "dry", "light", "heavy", "dry", "light", "dry"]

# %% tags=["start"]
frequency = {}
for kind in weather:
    ...
frequency

# %% tags=["alt"]
frequency = {}
for kind in weather:
    frequency[kind] = frequency.get(kind, 0) + 1
frequency

# %% [markdown] lang="de" tags=["alt"]
# Weil das so oft gebraucht wird, liegt es fertig in der Standardbibliothek:

# %% [markdown] lang="en" tags=["alt"]
# Because this is needed so often, the standard library has it ready:

# %% tags=["alt"]
from collections import Counter

Counter(weather)
