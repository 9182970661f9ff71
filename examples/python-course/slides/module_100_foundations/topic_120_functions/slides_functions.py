# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Funktionen", "Functions") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Eine Rechnung bekommt einen Namen
#
# Wer dieselbe Rechnung zweimal schreibt, muss sie auch zweimal berichtigen.
# Eine *Funktion* gibt der Rechnung einen Namen, und ab dann genügt der Name.

# %% [markdown] lang="en" tags=["slide"]
# ## A calculation gets a name
#
# If you write the same calculation twice, you have to correct it twice.
# A *function* gives the calculation a name, and from then on the name is enough.

# %%
def to_fahrenheit(celsius):
    return 9 / 5 * celsius + 32


# %%
to_fahrenheit(14.5)

# %%
to_fahrenheit(-40)

# %% [markdown] lang="de" tags=["subslide", "incremental"]
# ## Parameter, Argument, Rückgabewert
#
# * **Parameter**: der Name in der Klammer der Definition (`celsius`)
# * **Argument**: der Wert beim Aufruf (`14.5`)
# * **Rückgabewert**: was hinter `return` steht und an die Stelle des Aufrufs tritt

# %% [markdown] lang="en" tags=["subslide", "incremental"]
# ## Parameter, argument, return value
#
# * **Parameter**: the name in the parentheses of the definition (`celsius`)
# * **Argument**: the value of the call (`14.5`)
# * **Return value**: what follows `return` and takes the place of the call

# %% [markdown] lang="de"
# *Frage:* Was ist das Ergebnis von `print(print(1))`, und warum?

# %% [markdown] lang="en"
# *Question:* What does `print(print(1))` show, and why?

# %%
print(print(1))

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Erst `1`, dann `None`: Der innere Aufruf zeigt die `1` an, gibt aber nichts zurück.
# *Anzeigen* und *Zurückgeben* sind zwei verschiedene Dinge.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# First `1`, then `None`: the inner call shows the `1` but returns nothing.
# *Showing* and *returning* are two different things.

# %% [markdown] lang="de" tags=["notes"]
# Der häufigste Fehler der ersten Woche: `print` statt `return`. Ruhig 3 Minuten dafür nehmen und
# fragen, was `to_fahrenheit(10) + 1` ergäbe, wenn die Funktion nur druckte.

# %% [markdown] lang="en" tags=["notes"]
# The most frequent mistake of the first week: `print` instead of `return`. Take 3 minutes for it and
# ask what `to_fahrenheit(10) + 1` would give if the function only printed.

# %% [markdown] lang="de" tags=["slide"]
# ## Vorgaben und Schlüsselwörter
#
# Ein Parameter kann einen Vorgabewert haben. Beim Aufruf macht ein Schlüsselwort klar,
# was gemeint ist. Nach dem `*` sind nur noch Schlüsselwörter erlaubt.

# %% [markdown] lang="en" tags=["slide"]
# ## Defaults and keywords
#
# A parameter can have a default value. In the call, a keyword makes clear what is meant.
# After the `*` only keywords are allowed.

# %%
def per_hour(cyclists, *, hours=24):
    return cyclists / hours


# %%
per_hour(1842)

# %%
per_hour(1842, hours=16)

# %% [markdown] lang="de" tags=["slide"]
# ## Ein Docstring sagt, was, nicht wie
#
# Die erste Zeile ist ein Satz. Er nennt das Ergebnis und, wo nötig, die Einheit.
# Typangaben sagen Lesern und Werkzeugen, welche Werte gemeint sind.

# %% [markdown] lang="en" tags=["slide"]
# ## A docstring says what, not how
#
# The first line is one sentence. It names the result and, where needed, the unit.
# Type hints tell readers and tools which values are meant.

# %%
def feels_like(celsius: float, wind_kmh: float) -> float:
    """Return the wind chill in °C for a temperature in °C and a wind speed in km/h."""
    factor = wind_kmh**0.16
    return 13.12 + 0.6215 * celsius - 11.37 * factor + 0.3965 * celsius * factor


# %%
round(feels_like(5, 20), 1)

# %% [markdown] lang="de"
# Dahinter steht die Formel der Wetterdienste für die *gefühlte* Temperatur:
#
# $$T_w = 13{,}12 + 0{,}6215\,T - 11{,}37\,v^{0{,}16} + 0{,}3965\,T\,v^{0{,}16}$$

# %% [markdown] lang="en"
# Behind it is the formula of the weather services for the temperature that we *feel*:
#
# $$T_w = 13.12 + 0.6215\,T - 11.37\,v^{0.16} + 0.3965\,T\,v^{0.16}$$

# %% [markdown] lang="de" tags=["subslide"]
# ## Funktionen sind Werte
#
# Man kann sie weitergeben wie eine Zahl, zum Beispiel als Sortierschlüssel.

# %% [markdown] lang="en" tags=["subslide"]
# ## Functions are values
#
# You can hand them on like a number, for instance as a sort key.

# %% tags=["keep"]
stations = ["Isarbrücke", "Ring", "Am Alten Markt"]

# %%
sorted(stations, key=len)

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: Ist das ein Regentag?
#
# Schreiben Sie eine Funktion, die für eine Regenmenge in Millimetern `"dry"`, `"light"` oder `"heavy"`
# zurückgibt: trocken unter 0,1 mm, starker Regen ab 10 mm.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: is this a rainy day?
#
# Write a function that returns `"dry"`, `"light"` or `"heavy"` for an amount of rain in millimetres:
# dry below 0.1 mm, heavy from 10 mm on.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# j2 include 'working_in_pairs.j2'

# %% tags=["start"]
def rain_class(millimetres: float) -> str:
    """Return "dry", "light" or "heavy" for the rain of one day in mm."""
    ...


# %% tags=["alt"]
def rain_class(millimetres: float) -> str:
    """Return "dry", "light" or "heavy" for the rain of one day in mm."""
    if millimetres < 0.1:
        return "dry"
    if millimetres < 10:
        return "light"
    return "heavy"


# %% tags=["keep"]
print(rain_class(0), rain_class(0.1), rain_class(9.9), rain_class(10))

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Zu sehen sein sollte `dry light light heavy`. Die Zahlen sind mit Absicht gewählt:
# Fehler sitzen gern genau auf der Grenze.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# You should see `dry light light heavy`. The numbers are chosen on purpose:
# mistakes like to sit right on the boundary.
