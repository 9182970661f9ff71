# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Klassen", "Classes") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Was zusammengehört
#
# Tag, Anzahl und Regen gehören zu *einem* Messwert. Drei Listen nebeneinander wissen das nicht:
# Sortiert man eine davon, passt nichts mehr zusammen.

# %% [markdown] lang="en" tags=["slide"]
# ## What belongs together
#
# Day, count and rain belong to *one* reading. Three lists side by side do not know that:
# sort one of them and nothing matches any more.

# %% [markdown] lang="de"
# Eine *Klasse* beschreibt, woraus ein Objekt besteht und was es kann.
# Für reine Daten nehmen wir eine *Dataclass*.

# %% [markdown] lang="en"
# A *class* describes what an object is made of and what it can do.
# For plain data we take a *dataclass*.

# %% tags=["keep"]
from dataclasses import dataclass, field
from datetime import date

# %%
@dataclass(frozen=True)
class Reading:
    """One day at a counting station; rain in mm."""

    day: date
    cyclists: int
    rain: float = 0.0


# %%
monday = Reading(date(2024, 5, 13), 1842, rain=0.4)
monday

# %%
monday.cyclists

# %% [markdown] lang="de"
# *Frage:* Wozu ist `frozen=True` gut?

# %% [markdown] lang="en"
# *Question:* What is `frozen=True` good for?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Ein Messwert ändert sich nicht mehr, wenn er einmal gemessen ist. `frozen=True` macht aus dieser
# Absicht eine Regel: Wer ein Attribut überschreiben will, bekommt einen Fehler.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# A reading does not change any more once it has been taken. `frozen=True` turns this intention into
# a rule: if you try to overwrite an attribute, you get an error.

# %% [markdown] lang="de" tags=["subslide"]
# ## Methoden und Properties
#
# Eine *Methode* ist eine Funktion, die zu einem Objekt gehört; `self` ist dieses Objekt.
# Eine *Property* wird gelesen wie ein Attribut, aber bei jedem Lesen berechnet.

# %% [markdown] lang="en" tags=["subslide"]
# ## Methods and properties
#
# A *method* is a function that belongs to an object; `self` is that object.
# A *property* is read like an attribute, but computed each time.

# %%
@dataclass(frozen=True)
class Reading:
    """One day at a counting station; rain in mm."""

    day: date
    cyclists: int
    rain: float = 0.0

    @property
    def is_rainy(self) -> bool:
        return self.rain >= 0.1


# %%
Reading(date(2024, 5, 13), 1842, rain=0.4).is_rainy

# %% [markdown] lang="de" tags=["slide"]
# ## Ein Objekt aus Objekten
#
# <img src="img/station_classes.png" alt="Klassendiagramm: Eine Station besteht aus beliebig vielen Messwerten" style="width: 65%">
#
# Die gefüllte Raute sagt: Die Station *besitzt* ihre Messwerte. Ohne Station gibt es sie nicht.

# %% [markdown] lang="en" tags=["slide"]
# ## An object made of objects
#
# <img src="img/station_classes.png" alt="Class diagram: a station consists of any number of readings" style="width: 65%">
#
# The filled diamond says: the station *owns* its readings. Without the station they do not exist.

# %%
@dataclass
class Station:
    """A counting station and what it has measured."""

    name: str
    readings: list[Reading] = field(default_factory=list)

    def add(self, reading: Reading) -> None:
        self.readings.append(reading)

    def total(self) -> int:
        return sum(reading.cyclists for reading in self.readings)


# %%
bridge = Station("{{ station }}")
bridge.add(Reading(date(2024, 5, 13), 1842, rain=0.4))
bridge.add(Reading(date(2024, 5, 14), 2015))
bridge.total()

# %% [markdown] lang="de" tags=["notes"]
# 15 Minuten. Wer andere Sprachen kennt, fragt nach `private`. Kurz: Der Unterstrich ist eine Verabredung,
# und sie genügt. Warum `default_factory`? Eine gemeinsame Liste für alle Stationen zeigen, wenn jemand fragt;
# die nächste Zelle führt es vor.

# %% [markdown] lang="en" tags=["notes"]
# 15 minutes. Those who know other languages will ask about `private`. In short: the underscore is an
# agreement, and it is enough. Why `default_factory`? Show the shared list of all stations if somebody asks;
# the next cell demonstrates it.

# %% tags=["private"]
class Careless:
    readings = []


north, south = Careless(), Careless()
north.readings.append(1842)
south.readings  # the same list: it belongs to the class

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: der stärkste Tag
#
# Ergänzen Sie `Station` um eine Methode `busiest`, die den Messwert mit den meisten Fahrrädern zurückgibt.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: the busiest day
#
# Add a method `busiest` to `Station` that returns the reading with the most bicycles.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# j2 include 'working_in_pairs.j2'

# %% tags=["start"]
class BusyStation(Station):
    def busiest(self) -> Reading:
        """Return the reading with the most cyclists."""
        ...


# %% tags=["alt"]
class BusyStation(Station):
    def busiest(self) -> Reading:
        """Return the reading with the most cyclists."""
        return max(self.readings, key=lambda reading: reading.cyclists)


# %% tags=["keep"]
BusyStation("{{ station }}", bridge.readings).busiest()

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Es sollte der 14. Mai mit 2015 Fahrrädern sein. Und bei einer Station ganz ohne Messwerte? Dann meldet
# `max` einen `ValueError`, und das ist gut so: Einen stärksten Tag gibt es dort nicht.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# It should be 14 May with 2015 bicycles. And for a station without any readings? Then `max` reports
# a `ValueError`, and rightly so: there is no busiest day.
