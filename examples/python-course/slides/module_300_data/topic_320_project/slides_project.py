# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Projekt: der Wochenbericht", "Project: the Weekly Report") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Der Auftrag
#
# Jeden Montag um acht möchte das Rathaus eine Seite Text: Wie viele Fahrräder waren es, welcher Tag war
# der stärkste, und fehlte etwas? Code und Ausgabe bleiben, wie im ganzen Kurs, englisch.
#
# ```text
# Isarbrücke, 2024-05-13 to 2024-05-19
# total    9,344 bicycles on 6 days
# mean     1,557 per day
# busiest  2024-05-14
# outages  1 day
# ```

# %% [markdown] lang="en" tags=["slide"]
# ## The job
#
# Every Monday at eight the town hall wants a page of text: how many bicycles were there, which day was
# the busiest, and was anything missing?
#
# ```text
# Isarbrücke, 2024-05-13 to 2024-05-19
# total    9,344 bicycles on 6 days
# mean     1,557 per day
# busiest  2024-05-14
# outages  1 day
# ```

# %% [markdown] lang="de" tags=["slide"]
# ## Der Plan
#
# <img src="img/report_parts.png" alt="Drei Funktionen zwischen der CSV-Datei und dem Bericht" style="width: 90%">
#
# Drei Funktionen, und jede lässt sich für sich testen. Nur die erste kennt Dateien, nur die letzte
# kennt Text.

# %% [markdown] lang="en" tags=["slide"]
# ## The plan
#
# <img src="img/report_parts.png" alt="Three functions between the CSV file and the report" style="width: 90%">
#
# Three functions, and each of them can be tested on its own. Only the first one knows files, only the
# last one knows text.

# %% [markdown] lang="de" tags=["slide"]
# ## Das Herzstück
#
# `summarize` rechnet, sonst nichts. Ein Ausfall ist `None`, keine `0`.

# %% [markdown] lang="en" tags=["slide"]
# ## The heart of it
#
# `summarize` calculates and does nothing else. An outage is `None`, not `0`.

# %% tags=["keep"]
from dataclasses import dataclass

week = {
    "2024-05-13": 1842,
    "2024-05-14": 2015,
    "2024-05-15": 1977,
    "2024-05-16": 640,
    "2024-05-17": 1890,
    "2024-05-18": None,
    "2024-05-19": 980,
}

# %%
@dataclass(frozen=True)
class Summary:
    """What the report says about a number of days."""

    total: int
    days: int
    outages: int
    busiest: str

    @property
    def mean(self) -> float:
        return self.total / self.days


# %% tags=["start"]
def summarize(counts: dict[str, int | None]) -> Summary:
    """Return the summary of the days; None is a day without a count."""
    ...


# %% tags=["alt"]
def summarize(counts: dict[str, int | None]) -> Summary:
    """Return the summary of the days; None is a day without a count."""
    known = {day: count for day, count in counts.items() if count is not None}
    if not known:
        raise ValueError("no day has a count: there is nothing to report")
    return Summary(
        total=sum(known.values()),
        days=len(known),
        outages=len(counts) - len(known),
        busiest=max(known, key=known.get),
    )


# %% tags=["keep"]
summarize(week)

# %% [markdown] lang="de"
# *Frage:* Warum ist `mean` eine Property und kein Feld?

# %% [markdown] lang="en"
# *Question:* Why is `mean` a property and not a field?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Ein Feld könnte den anderen Feldern widersprechen. Was sich berechnen lässt, wird berechnet.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# A field could contradict the other fields. What can be computed is computed.

# %% [markdown] lang="de" tags=["slide"]
# ## Jetzt Sie
#
# Im Kursverzeichnis liegt der Ordner `Werkstatt/bicycle_report` mit einem Gerüst, einer Woche Daten und
# Tests, die noch alle rot sind.
#
# 1. Öffnen Sie den Ordner in Ihrem Editor.
# 2. Starten Sie `python -m unittest`. Welcher Test ist der einfachste?
# 3. Machen Sie einen Test nach dem anderen grün.
#
# {{ minutes(60) }}, {{ difficulty(3) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Your turn
#
# In the course directory you find the folder `Workshops/bicycle_report` with a skeleton, a week of data
# and tests that are all still red.
#
# 1. Open the folder in your editor.
# 2. Run `python -m unittest`. Which test is the easiest one?
# 3. Turn the tests green, one after the other.
#
# {{ minutes(60) }}, {{ difficulty(3) }}

# j2 include 'working_in_pairs.j2'

# %% [markdown] lang="de" tags=["notes"]
# 60 Minuten Arbeit, danach 15 Minuten Besprechung. Zwei Paare zeigen ihre Lösung; auf *unterschiedliche*
# Lösungen achten. Die Musterlösung liegt in `div/solutions` und wird nicht verteilt. Die nächste Zelle
# prüft, dass sie noch funktioniert.

# %% [markdown] lang="en" tags=["notes"]
# 60 minutes of work, then 15 minutes of discussion. Two pairs show their solution; look for *different*
# ones. The model solution is in `div/solutions` and is not handed out. The next cell checks that it
# still works.

# %% tags=["private"]
import sys

sys.path.insert(0, "../../../div/solutions/bicycle_report")
from report import format_report
from report import summarize as model_summarize

print(format_report("{{ station }}", model_summarize(week), sorted(week)))

# %% [markdown] lang="de" tags=["slide"]
# ## Wie es weitergeht
#
# * **Mehr Daten:** Ihre Stadt veröffentlicht vermutlich echte Zählwerte. Suchen Sie nach „Open Data Radverkehr“.
# * **Mehr Werkzeug:** `pytest` für Tests, `ruff` für Stil, `git` für die Geschichte Ihres Programms.
# * **Mehr Übung:** im Ordner `Werkstatt/word_count` wartet ein zweites kleines Projekt.

# %% [markdown] lang="en" tags=["slide"]
# ## Where to go from here
#
# * **More data:** your town probably publishes real counts. Search for "open data cycling".
# * **More tools:** `pytest` for tests, `ruff` for style, `git` for the history of your program.
# * **More practice:** a second small project waits in the folder `Workshops/word_count`.
