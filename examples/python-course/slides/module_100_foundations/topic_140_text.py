# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Texte gestalten", "Formatting Text") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Werte in Texte einsetzen
#
# Ein *f-String* ist ein Text mit Löchern. In jedes Loch kommt der Wert eines Ausdrucks.

# %% [markdown] lang="en" tags=["slide"]
# ## Put values into texts
#
# An *f-string* is a text with holes. Each hole takes the value of an expression.

# %% tags=["keep"]
station = "{{ station }}"
cyclists = 1842
celsius = 14.5

# %%
f"{station}: {cyclists} cyclists at {celsius} °C"

# %% [markdown] lang="de" tags=["slide"]
# ## Hinter dem Doppelpunkt steht die Form
#
# | Form | Bedeutung | Beispiel |
# |---|---|---|
# | `:,` | Tausender trennen | `1,842` |
# | `:.1f` | eine Stelle nach dem Komma | `14.5` |
# | `:>8` | rechtsbündig auf 8 Zeichen | `    1842` |
# | `:.0%` | als Prozentzahl | `42%` |

# %% [markdown] lang="en" tags=["slide"]
# ## The form comes after the colon
#
# | Form | Meaning | Example |
# |---|---|---|
# | `:,` | separate the thousands | `1,842` |
# | `:.1f` | one digit after the point | `14.5` |
# | `:>8` | right-aligned in 8 characters | `    1842` |
# | `:.0%` | as a percentage | `42%` |

# %%
print(f"|{cyclists:,}|{celsius:.2f}|{station:>12}|{0.4187:.0%}|")

# %% [markdown] lang="de" tags=["subslide"]
# ## Nachsehen, was drinsteckt
#
# Ein `=` am Ende zeigt Ausdruck und Wert. Das ist der schnellste Weg, einem Programm zuzusehen.

# %% [markdown] lang="en" tags=["subslide"]
# ## Look inside
#
# An `=` at the end shows the expression and its value. It is the quickest way to watch a program.

# %%
print(f"{cyclists / 24 = :.1f}")

# %% [markdown] lang="de" tags=["notes"]
# 5 Minuten, eher zum Ausprobieren als zum Auswendiglernen. Die vollständige Liste der Formen steht in
# der Python-Dokumentation unter „Format Specification Mini-Language“.

# %% [markdown] lang="en" tags=["notes"]
# 5 minutes, to try out rather than to learn by heart. The complete list of forms is in the Python
# documentation under "Format Specification Mini-Language".

# %% [markdown] lang="de" tags=["slide"]
# ## Texte zerlegen und zusammensetzen

# %% [markdown] lang="en" tags=["slide"]
# ## Take texts apart and put them together

# %%
line = "2024-05-13;Isarbrücke;1842"
line.split(";")

# %%
" | ".join(["Mo", "Tu", "We"])

# %%
"  Isarbrücke\n".strip()

# %% [markdown] lang="de"
# *Frage:* Was ist `"1842" + "1"`, und was ist `int("1842") + 1`?

# %% [markdown] lang="en"
# *Question:* What is `"1842" + "1"`, and what is `int("1842") + 1`?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Der erste Ausdruck hängt Texte aneinander und ergibt `"18421"`, der zweite rechnet und ergibt `1843`.
# Was aus einer Datei kommt, ist zunächst immer Text.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# The first expression joins texts and gives `"18421"`, the second one calculates and gives `1843`.
# Whatever comes from a file is text at first.

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: eine kleine Tabelle
#
# Geben Sie die Zählwerte als Tabelle aus: links der Tag, rechts, rechtsbündig, die Zahl mit
# Tausendertrennung.
#
# {{ minutes(5) }}, {{ difficulty(1) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: a small table
#
# Print the counts as a table: the day on the left and, right-aligned, the number with its
# thousands separated.
#
# {{ minutes(5) }}, {{ difficulty(1) }}

# %% tags=["keep"]
counts = {"Monday": 1842, "Tuesday": 2015, "Saturday": 640}

# %%
for day, count in counts.items():
    print(f"{day:<10}{count:>7,}")
