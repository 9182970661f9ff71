# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Tabellen mit pandas", "Tables with pandas") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Eine Tabelle ist ein Wert
#
# Mit `pandas` wird aus der ganzen Datei *ein* Wert: ein `DataFrame`. Spalten haben Namen und Typen,
# Rechnungen gelten für die ganze Spalte auf einmal.

# %% [markdown] lang="en" tags=["slide"]
# ## A table is a value
#
# With `pandas` the whole file becomes *one* value: a `DataFrame`. Columns have names and types,
# calculations apply to the whole column at once.

# %% tags=["keep"]
import pandas as pd

# %%
counts = pd.read_csv("data/counts.csv", parse_dates=["date"])
counts.head()

# %%
counts.isna().sum()

# %% [markdown] lang="de"
# Leere Felder heißen hier `NaN`, *not a number*. Summen und Mittelwerte lassen sie aus.
# `NaN` ist eine Kommazahl, deshalb steht oben `541.0` statt `541`.

# %% [markdown] lang="en"
# Empty fields are called `NaN` here, *not a number*. Sums and means leave them out.
# `NaN` is a decimal number, that is why it says `541.0` above instead of `541`.

# %% [markdown] lang="de" tags=["slide"]
# ## Zeilen auswählen
#
# Ein Vergleich ergibt eine Spalte aus `True` und `False`, und die wählt Zeilen aus.

# %% [markdown] lang="en" tags=["slide"]
# ## Select rows
#
# A comparison yields a column of `True` and `False`, and that column selects rows.

# %%
heavy_rain = counts[counts["rain_mm"] >= 15]
heavy_rain.sort_values("rain_mm", ascending=False).head()

# %% [markdown] lang="de" tags=["slide"]
# ## Gruppieren: teilen, rechnen, zusammenfügen
#
# `groupby` beantwortet alle Fragen der Form „… je Station“ oder „… je Monat“.

# %% [markdown] lang="en" tags=["slide"]
# ## Group: split, compute, combine
#
# `groupby` answers all questions of the form "… per station" or "… per month".

# %%
counts.groupby("station")["cyclists"].agg(["count", "mean", "max"]).round()

# %% [markdown] lang="de" tags=["subslide"]
# ## Werktag oder Wochenende?
#
# Eine neue Spalte macht die Frage einfach.

# %% [markdown] lang="en" tags=["subslide"]
# ## Working day or weekend?
#
# A new column makes the question simple.

# %%
counts["weekend"] = counts["date"].dt.day_of_week >= 5

# %%
by_day = counts.pivot_table(values="cyclists", index="station", columns="weekend").round()
by_day

# %% [markdown] lang="de"
# *Frage:* Was könnte die beiden Stationen unterscheiden?

# %% [markdown] lang="en"
# *Question:* What could be the difference between the two stations?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# An der Ringstraße ist am Wochenende nur halb so viel los: Dort wird zur Arbeit gefahren. Über die
# Isarbrücke fährt man auch sonntags ins Grüne. Das ist allerdings eine *Vermutung*; die Daten zeigen nur
# den Unterschied, nicht den Grund.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# At Ringstraße there is only half as much traffic at weekends: people ride to work there. People cross
# Isarbrücke on Sundays, too, to get into the countryside. But that is a *guess*; the data show only the
# difference, not the reason.

# %% [markdown] lang="de" tags=["notes"]
# 10 Minuten. Erst raten lassen, dann antworten. Wer den Satz „Korrelation ist nicht Kausalität“ kennt,
# darf ihn an dieser Stelle sagen. Die nächste Zelle zeigt die Feiertage; nur vorführen, wenn jemand danach fragt.

# %% [markdown] lang="en" tags=["notes"]
# 10 minutes. Let them guess first, then answer. This is the place for "correlation is not causation".
# The next cell shows the holidays; demonstrate it only if somebody asks.

# %% tags=["private"]
holidays = ["2025-05-01", "2025-10-03", "2025-12-25"]
counts[counts["date"].isin(pd.to_datetime(holidays))].pivot(index="date", columns="station", values="cyclists")

# %% [markdown] lang="de" tags=["slide"]
# ## Wie stark hängen zwei Spalten zusammen?
#
# Die *Korrelation* ist eine Zahl zwischen −1 und 1:
#
# $$r = \frac{\sum_i (x_i - \bar{x})(y_i - \bar{y})}{\sqrt{\sum_i (x_i - \bar{x})^2}\,\sqrt{\sum_i (y_i - \bar{y})^2}}$$

# %% [markdown] lang="en" tags=["slide"]
# ## How strongly are two columns related?
#
# The *correlation* is a number between −1 and 1:
#
# $$r = \frac{\sum_i (x_i - \bar{x})(y_i - \bar{y})}{\sqrt{\sum_i (x_i - \bar{x})^2}\,\sqrt{\sum_i (y_i - \bar{y})^2}}$$

# %%
counts[["cyclists", "temperature_c", "rain_mm"]].corr().round(2)

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: der beste Monat
#
# In welchem Monat fahren an welcher Station im Mittel die meisten Fahrräder?
#
# {{ minutes(15) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: the best month
#
# In which month and at which station do most bicycles ride on average?
#
# {{ minutes(15) }}, {{ difficulty(2) }}

# j2 include 'working_in_pairs.j2'

# %% tags=["start"]
counts["month"] = counts["date"].dt.month
monthly = ...
monthly

# %% tags=["alt"]
counts["month"] = counts["date"].dt.month
monthly = counts.pivot_table(values="cyclists", index="month", columns="station").round()
monthly

# %% tags=["alt"]
monthly.idxmax()
