# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Dateien und CSV", "Files and CSV") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Vom Sensor zum Bericht
#
# <img src="img/data_flow.png" alt="Datenfluss: Sensor, CSV-Datei, prüfen, auswerten, Bericht" style="width: 90%">
#
# In diesem Abschnitt gehen wir den ganzen Weg einmal durch. Heute: die Datei.

# %% [markdown] lang="en" tags=["slide"]
# ## From the sensor to the report
#
# <img src="img/data_flow-2.png" alt="Data flow: sensor, CSV file, check, analyse, report" style="width: 90%">
#
# In this section we walk the whole way once. Today: the file.

# %% [markdown] lang="de" tags=["slide"]
# ## Pfade
#
# `Path` kennt Ordner, Namen und Endungen und setzt sie auf jedem Betriebssystem richtig zusammen.

# %% [markdown] lang="en" tags=["slide"]
# ## Paths
#
# `Path` knows folders, names and suffixes and joins them correctly on every operating system.

# %% tags=["keep"]
from pathlib import Path

# %%
path = Path("data") / "counts.csv"
path.name, path.suffix, path.exists()

# %% [markdown] lang="de" tags=["notes"]
# Die Datei liegt neben den Notebooks. Wer `False` sieht, hat das Notebook allein heruntergeladen
# und braucht noch den Ordner `data`.

# %% [markdown] lang="en" tags=["notes"]
# The file lies beside the notebooks. If you see `False`, you have downloaded the notebook only
# and still need the folder `data`.

# %% tags=["del"]
# How data/counts.csv was made. The numbers are invented; run this cell again only to change them.
import csv
import math
import random
from datetime import date, timedelta

dice = random.Random(2025)
HOLIDAYS = {(1, 1), (1, 6), (4, 18), (4, 21), (5, 1), (5, 29), (6, 9), (6, 19), (8, 15), (10, 3), (11, 1), (12, 25), (12, 26)}
rows = []
for index in range(365):
    day = date(2025, 1, 1) + timedelta(days=index)
    season = -math.cos(2 * math.pi * (index - 20) / 365)
    temperature = round(9.5 + 10 * season + dice.gauss(0, 3), 1)
    rain = round(dice.expovariate(1 / 5.5), 1) if dice.random() < 0.36 else 0.0
    for station, base in [("Isarbrücke", 1650), ("Ringstraße", 1150)]:
        busy = base * (0.5 + 0.033 * max(temperature, -4)) * math.exp(-rain / 28) * dice.gauss(1, 0.06)
        if day.weekday() >= 5 or (day.month, day.day) in HOLIDAYS:
            busy *= 0.92 if station == "Isarbrücke" else 0.48
        down = station == "Isarbrücke" and date(2025, 3, 3) <= day <= date(2025, 3, 7) or dice.random() < 0.006
        rows.append([day.isoformat(), station, "" if down else max(round(busy), 40), temperature, rain])
with Path("data/counts.csv").open("w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["date", "station", "cyclists", "temperature_c", "rain_mm"])
    writer.writerows(rows)

# %% [markdown] lang="de" tags=["slide"]
# ## Öffnen, lesen, schließen
#
# `with` schließt die Datei am Ende des Blocks, auch wenn dazwischen ein Fehler auftritt.
# Die Angabe `encoding="utf-8"` gehört dazu, sonst wird aus `Isarbrücke` auf manchem Rechner `IsarbrÃ¼cke`.

# %% [markdown] lang="en" tags=["slide"]
# ## Open, read, close
#
# `with` closes the file at the end of the block, even if an error occurs on the way.
# `encoding="utf-8"` is part of it, otherwise `Isarbrücke` becomes `IsarbrÃ¼cke` on some computers.

# %%
with path.open(encoding="utf-8") as file:
    for _ in range(4):
        print(next(file).rstrip())

# %% [markdown] lang="de" tags=["slide"]
# ## CSV: eine Tabelle als Text
#
# Jede Zeile ein Datensatz, Kommas dazwischen. Klingt nach `split(",")`, bis jemand ein Komma in einen
# Namen schreibt. Das Modul `csv` kennt alle Sonderfälle.

# %% [markdown] lang="en" tags=["slide"]
# ## CSV: a table as text
#
# One record per line, commas in between. That sounds like `split(",")`, until somebody puts a comma
# into a name. The module `csv` knows all the special cases.

# %%
import csv

with path.open(encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file))

# %%
len(rows)

# %%
rows[0]

# %% [markdown] lang="de"
# *Frage:* Alle Werte stehen in Anführungszeichen. Warum, und was folgt daraus?

# %% [markdown] lang="en"
# *Question:* All values are in quotes. Why, and what follows from it?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Eine CSV-Datei kennt nur Text. Wir müssen selbst festlegen, welche Spalte eine Zahl und welche ein
# Datum ist, und was mit leeren Feldern geschieht.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# A CSV file knows only text. We have to decide ourselves which column is a number and which one is
# a date, and what happens to empty fields.

# %% [markdown] lang="de" tags=["slide"]
# ## Erst prüfen, dann rechnen

# %% [markdown] lang="en" tags=["slide"]
# ## Check first, calculate later

# %%
gaps = [row for row in rows if not row["cyclists"]]
len(gaps)

# %%
[row["date"] for row in gaps][:5]

# %% [markdown] lang="de"
# Eine Woche im März ohne Werte: Da wurde die Messschleife erneuert. Eine `0` wäre hier eine Lüge.

# %% [markdown] lang="en"
# A week in March without values: the induction loop was being replaced. A `0` would be a lie here.

# %% [markdown] lang="de" tags=["slide"]
# ## Aus der Zelle ins Modul
#
# Was in mehreren Notebooks gebraucht wird, gehört in eine eigene Datei. Hier ist es `counting.py`,
# direkt neben diesem Notebook.

# %% [markdown] lang="en" tags=["slide"]
# ## From the cell into the module
#
# What several notebooks need belongs into a file of its own. Here it is `counting.py`,
# right beside this notebook.

# %% tags=["keep"]
from counting import read_counts

# %%
readings, problems = read_counts(path)
len(readings), len(problems)

# %%
readings[0]

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: der Tag mit den meisten Fahrrädern
#
# Finden Sie den Messwert mit den meisten Fahrrädern an der Station {{ station }}.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: the day with the most bicycles
#
# Find the reading with the most bicycles at the station {{ station }}.
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% tags=["start"]
at_the_bridge = [reading for reading in readings if ...]
max(at_the_bridge, key=...)

# %% tags=["alt"]
at_the_bridge = [reading for reading in readings if reading.station == "{{ station }}"]
max(at_the_bridge, key=lambda reading: reading.cyclists)

# %% [markdown] lang="de" tags=["alt"]
# Warm und trocken, wie zu erwarten. Ob das Wetter wirklich den Ausschlag gibt, sehen wir mit Tabellen
# und Bildern genauer.

# %% [markdown] lang="en" tags=["alt"]
# Warm and dry, as expected. Whether the weather really makes the difference will become clearer with
# tables and pictures.
