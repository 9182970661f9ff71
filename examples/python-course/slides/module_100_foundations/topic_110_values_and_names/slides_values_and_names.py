# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Werte und Namen", "Values and Names") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Werte haben einen Typ
#
# Ein Programm rechnet mit *Werten*. Jeder Wert hat einen *Typ*, und der Typ bestimmt,
# was man mit ihm tun kann.

# %% [markdown] lang="en" tags=["slide"]
# ## Values have a type
#
# A program calculates with *values*. Every value has a *type*, and the type decides
# what you can do with it.

# %%
type(1842)

# %%
type(14.5)

# %%
type("Isarbrücke")

# %% [markdown] lang="de"
# | Typ | Beispiel | steht für |
# |---|---|---|
# | `int` | `1842` | eine ganze Zahl, beliebig groß |
# | `float` | `14.5` | eine Kommazahl mit etwa 16 Stellen |
# | `str` | `"Isarbrücke"` | einen Text |
# | `bool` | `True` | ja oder nein |

# %% [markdown] lang="en"
# | Type | Example | stands for |
# |---|---|---|
# | `int` | `1842` | a whole number of any size |
# | `float` | `14.5` | a decimal number with about 16 digits |
# | `str` | `"Isarbrücke"` | a text |
# | `bool` | `True` | yes or no |

# %% [markdown] lang="de" tags=["slide"]
# ## Namen zeigen auf Werte
#
# Mit `=` geben wir einem Wert einen *Namen*. Gelesen wird das von rechts nach links:
# Erst entsteht der Wert, dann bekommt er den Namen.

# %% [markdown] lang="en" tags=["slide"]
# ## Names refer to values
#
# With `=` we give a *name* to a value. Read it from right to left:
# first the value comes into being, then it receives the name.

# %%
cyclists = 1842

# %%
hours = 24

# %%
cyclists / hours

# %% [markdown] lang="de" tags=["notes"]
# 10 Minuten bis hierher. Bewusst „Name“ sagen, nicht „Schachtel“: Bei den Listen zeigen später
# zwei Namen auf denselben Wert, und in Schachteln geht das nicht.

# %% [markdown] lang="en" tags=["notes"]
# 10 minutes up to here. Say "name", not "box": with lists, two names will refer to the same value,
# and that is impossible with boxes.

# %% [markdown] lang="de" tags=["subslide"]
# ## Ein Name kann wandern
#
# Ein Name darf später auf einen anderen Wert zeigen. Der alte Wert ändert sich dadurch nicht.

# %% [markdown] lang="en" tags=["subslide"]
# ## A name can move on
#
# Later on, a name may refer to another value. The old value does not change.

# %% tags=["keep"]
monday = 1842
busiest = monday
monday = 2015

# %% [markdown] lang="de"
# *Frage:* Worauf zeigt `busiest` jetzt?

# %% [markdown] lang="en"
# *Question:* What does `busiest` refer to now?

# %%
busiest

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Immer noch auf `1842`. Die dritte Zeile hat nur den Namen `monday` weitergereicht.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# Still to `1842`. The third line has only moved the name `monday` on.

# %% [markdown] lang="de" tags=["slide"]
# ## Kommazahlen sind Näherungen
#
# Der Rechner speichert `float`-Werte im Zweiersystem. Die meisten Kommazahlen passen dort nicht genau
# hinein, so wie $\frac{1}{3} = 0{,}333\ldots$ nicht genau in unser Zehnersystem passt.

# %% [markdown] lang="en" tags=["slide"]
# ## Decimal numbers are approximations
#
# The computer stores `float` values in base two. Most decimal numbers do not fit exactly,
# just as $\frac{1}{3} = 0.333\ldots$ does not fit exactly into our base ten.

# %%
0.1 + 0.2

# %%
0.1 + 0.2 == 0.3

# %% [markdown] lang="de"
# Vergleichen Sie Kommazahlen daher immer mit einer Toleranz:

# %% [markdown] lang="en"
# So always compare decimal numbers with a tolerance:

# %%
import math

math.isclose(0.1 + 0.2, 0.3)

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: Wie warm ist das?
#
# Die Zählstelle meldet die Temperatur in Grad Celsius. Rechnen Sie sie in Grad Fahrenheit um:
#
# $$F = \frac{9}{5} \cdot C + 32$$
#
# {{ minutes(5) }}, {{ difficulty(1) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: how warm is that?
#
# The station reports the temperature in degrees Celsius. Convert it to degrees Fahrenheit:
#
# $$F = \frac{9}{5} \cdot C + 32$$
#
# {{ minutes(5) }}, {{ difficulty(1) }}

# %% tags=["start"]
celsius = 14.5
fahrenheit = ...
fahrenheit

# %% tags=["alt"]
celsius = 14.5
fahrenheit = 9 / 5 * celsius + 32
fahrenheit

# %% [markdown] lang="de" tags=["alt"]
# Gute Namen ersetzen den Kommentar: `celsius` und `fahrenheit` sagen, in welcher Einheit der Wert steht.

# %% [markdown] lang="en" tags=["alt"]
# Good names replace the comment: `celsius` and `fahrenheit` tell you the unit of the value.
# j2 if is_notebook

# %% [markdown] lang="de"
# **Im Notebook:** Ändern Sie `celsius` und führen Sie die Zelle noch einmal aus. Bei welcher Temperatur
# zeigen beide Skalen dieselbe Zahl?

# %% [markdown] lang="en"
# **In the notebook:** change `celsius` and run the cell again. At which temperature do both scales
# show the same number?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Bei −40 Grad.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# At −40 degrees.
# j2 endif
