# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Iteratoren und Generatoren", "Iterators and Generators") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Was macht `for` eigentlich?
#
# `for` kennt keine Listen. Es bittet um einen *Iterator* und fragt ihn so lange nach dem
# nächsten Wert, bis er „fertig“ meldet.

# %% [markdown] lang="en" tags=["slide"]
# ## What does `for` really do?
#
# `for` knows nothing about lists. It asks for an *iterator* and then asks that iterator
# for the next value until it says "done".

# %% tags=["keep"]
week = [1842, 2015]

# %%
iterator = iter(week)

# %%
next(iterator)

# %%
next(iterator)

# %%
try:
    next(iterator)
except StopIteration:
    print("done")

# %% [markdown] lang="de" tags=["subslide"]
# ## Das Protokoll als Bild
#
# <img src="img/iteration.png" alt="Sequenzdiagramm: for holt einen Iterator und ruft next auf, bis StopIteration kommt" style="width: 70%">

# %% [markdown] lang="en" tags=["subslide"]
# ## The protocol as a picture
#
# <img src="img/iteration.png" alt="Sequence diagram: for gets an iterator and calls next until StopIteration comes" style="width: 70%">

# %% [markdown] lang="de" tags=["slide"]
# ## Generatoren: Funktionen, die pausieren
#
# `yield` gibt einen Wert heraus und hält die Funktion an. Beim nächsten `next` läuft sie
# genau dort weiter.

# %% [markdown] lang="en" tags=["slide"]
# ## Generators: functions that pause
#
# `yield` hands out a value and stops the function. At the next `next` it goes on
# exactly there.

# %%
def countdown(start):
    while start > 0:
        yield start
        start -= 1


# %%
list(countdown(3))

# %%
for number in countdown(3):
    print(number)

# %% [markdown] lang="de"
# *Frage:* Was druckt `numbers = countdown(3)`, gefolgt von zweimal `list(numbers)`?

# %% [markdown] lang="en"
# *Question:* What do you see after `numbers = countdown(3)` and then `list(numbers)` twice?

# %%
numbers = countdown(3)
list(numbers), list(numbers)

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Erst `[3, 2, 1]`, dann `[]`: Ein Generator lässt sich nur einmal durchlaufen.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# First `[3, 2, 1]`, then `[]`: you can go through a generator only once.

# %% [markdown] lang="de" tags=["slide"]
# ## Ein Fließband
#
# Generatoren lassen sich hintereinanderschalten. Jeder Wert läuft einzeln durch das ganze Band.
# So passt auch eine Datei durch den Speicher, die größer ist als er.
#
# ```mermaid
# flowchart LR
#   accTitle: Ein Text wird geprüft, in eine Zahl verwandelt und zur Summe addiert
#   texts[/"raw: Texte"/] -->|"'1842'"| numbers_only -->|1842| running_total -->|"Summe bisher"| list[("Liste")]
#   numbers_only -. "keine Zahl" .-> nowhere(( ))
# ```

# %% [markdown] lang="en" tags=["slide"]
# ## An assembly line
#
# You can connect generators one after another. Every value runs through the whole line on its own.
# This is how a file fits through memory that is larger than it.
#
# ```mermaid
# flowchart LR
#   accTitle: A text is checked, turned into a number and added to the total
#   texts[/"raw: texts"/] -->|"'1842'"| numbers_only -->|1842| running_total -->|"total so far"| list[("list")]
#   numbers_only -. "no number" .-> nowhere(( ))
# ```

# %% tags=["keep"]
raw = ["1842", "", "2015", "fault", "1977"]

# %%
def numbers_only(texts):
    for text in texts:
        if text.isdigit():
            yield int(text)


# %%
def running_total(counts):
    total = 0
    for count in counts:
        total += count
        yield total


# %%
list(running_total(numbers_only(raw)))

# %% [markdown] lang="de" tags=["notes"]
# 10 Minuten. Einen Papierstapel durch die Reihen geben: Jeder Tisch bearbeitet ein Blatt und reicht es
# weiter. Niemand wartet auf den ganzen Stapel.

# %% [markdown] lang="en" tags=["notes"]
# 10 minutes. Pass a pile of paper through the rows: every table works on one sheet and hands it on.
# Nobody waits for the whole pile.

# %% [markdown] lang="de" tags=["subslide"]
# ## Kurzform
#
# Runde statt eckiger Klammern, und aus der Liste wird ein Generator. Hier entsteht nie eine Liste
# mit einer Million Zahlen:
#
# > [!TIP]
# > Steht der Ausdruck allein als Argument, so genügen die Klammern des Aufrufs: `sum(n for n in …)`.

# %% [markdown] lang="en" tags=["subslide"]
# ## Short form
#
# Round brackets instead of square ones, and the list becomes a generator. Here no list of
# a million numbers ever comes into being:
#
# > [!TIP]
# > Where the expression is the only argument, the brackets of the call are enough: `sum(n for n in …)`.

# %%
sum(number * number for number in range(1, 1_000_001))

# %% [markdown] lang="de"
# Zur Probe: $\sum_{k=1}^{n} k^2 = \frac{n(n+1)(2n+1)}{6}$

# %% [markdown] lang="en"
# As a check: $\sum_{k=1}^{n} k^2 = \frac{n(n+1)(2n+1)}{6}$

# %%
n = 1_000_000
n * (n + 1) * (2 * n + 1) // 6

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: gleitendes Mittel
#
# Schreiben Sie einen Generator, der zu jedem Wert ab dem dritten das Mittel der letzten drei liefert.
#
# {{ minutes(15) }}, {{ difficulty(3) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: moving average
#
# Write a generator that gives, for every value from the third on, the mean of the last three.
#
# {{ minutes(15) }}, {{ difficulty(3) }}

# %% tags=["keep"]
from collections import deque

# %% tags=["start"]
def moving_average(values, size=3):
    window = deque(maxlen=size)  # forgets the oldest value by itself
    for value in values:
        ...


# %% tags=["alt"]
def moving_average(values, size=3):
    window = deque(maxlen=size)  # forgets the oldest value by itself
    for value in values:
        window.append(value)
        if len(window) == size:
            yield sum(window) / size


# %%
list(moving_average([1842, 2015, 1977, 640, 1890]))
