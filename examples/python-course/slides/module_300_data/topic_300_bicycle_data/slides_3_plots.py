# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Daten zeichnen", "Plotting Data") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Ein Bild beantwortet eine Frage
#
# Vor jedem Bild steht die Frage. Sie entscheidet über die Form:
#
# | Frage | Form |
# |---|---|
# | Wie entwickelt es sich? | Linie |
# | Was ist größer? | Balken |
# | Hängen zwei Größen zusammen? | Punktwolke |
# | Wie verteilen sich die Werte? | Histogramm |

# %% [markdown] lang="en" tags=["slide"]
# ## A picture answers a question
#
# Before each picture there is a question. It decides the form:
#
# | Question | Form |
# |---|---|
# | How does it develop? | line |
# | Which is larger? | bars |
# | Are two quantities related? | scatter plot |
# | How are the values distributed? | histogram |

# %% tags=["keep"]
import matplotlib.pyplot as plt
import numpy as np

from counting import MONTHS, read_counts

plt.rcParams.update({"figure.figsize": (7, 3.2), "axes.spines.top": False, "axes.spines.right": False})
readings, problems = read_counts("data/counts.csv")
bridge = [reading for reading in readings if reading.station == "{{ station }}"]

# %% [markdown] lang="de" tags=["slide"]
# ## Wie entwickelt sich das Jahr?

# %% [markdown] lang="en" tags=["slide"]
# ## How does the year develop?

# %%
days = [reading.day for reading in bridge]
cyclists = np.array([reading.cyclists for reading in bridge])

# %%
fig, ax = plt.subplots()
ax.plot(days, cyclists, color="#9DB8CC", linewidth=0.8)
smooth = np.convolve(cyclists, np.ones(28) / 28, mode="valid")
ax.plot(days[14 : 14 + len(smooth)], smooth, color="#33658A", linewidth=2.5)
ax.set_ylim(bottom=0)
plt.show()

# %% [markdown] lang="de"
# Die dünne Linie zeigt jeden Tag, die dicke das Mittel über vier Wochen.
#
# *Frage:* Was fehlt diesem Bild noch?

# %% [markdown] lang="en"
# The thin line shows each day, the thick one the mean of four weeks.
#
# *Question:* What does this picture still lack?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Beschriftungen: Was zeigt die senkrechte Achse, und woher kommen die Daten? Ein Bild wandert oft ohne
# den Text weiter, der es erklärt.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# Labels: what does the vertical axis show, and where do the data come from? A picture often travels
# without the text that explains it.

# %% [markdown] lang="de" tags=["slide"]
# ## Welche Monate sind stark?

# %% [markdown] lang="en" tags=["slide"]
# ## Which months are strong?

# %%
monthly = [np.mean([r.cyclists for r in bridge if r.day.month == month]) for month in range(1, 13)]

# %% lang="de"
fig, ax = plt.subplots()
bars = ax.bar("Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez".split(), monthly, color="#9DB8CC")
bars[int(np.argmax(monthly))].set_color("#F6AE2D")
ax.set_ylabel("Fahrräder pro Tag")
ax.set_title("{{ station }} 2025: der stärkste Monat", loc="left", fontweight="bold")
plt.show()

# %% lang="en"
fig, ax = plt.subplots()
bars = ax.bar(MONTHS, monthly, color="#9DB8CC")
bars[int(np.argmax(monthly))].set_color("#F6AE2D")
ax.set_ylabel("bicycles per day")
ax.set_title("{{ station }} 2025: the strongest month", loc="left", fontweight="bold")
plt.show()

# %% [markdown] lang="de" tags=["notes"]
# 5 Minuten. Nur *ein* Balken ist farbig. Fragen, wohin der Blick zuerst gegangen ist, und warum.

# %% [markdown] lang="en" tags=["notes"]
# 5 minutes. Only *one* bar is coloured. Ask where they looked first, and why.

# %% [markdown] lang="de" tags=["slide"]
# ## Fährt man bei Wärme mehr?
#
# Die Gerade durch die Punkte minimiert die Summe der quadrierten Abstände:
#
# $$\min_{a,\,b} \sum_{i=1}^{n} \bigl(y_i - (a\,x_i + b)\bigr)^2$$

# %% [markdown] lang="en" tags=["slide"]
# ## Do people ride more when it is warm?
#
# The line through the points minimises the sum of the squared distances:
#
# $$\min_{a,\,b} \sum_{i=1}^{n} \bigl(y_i - (a\,x_i + b)\bigr)^2$$

# %%
temperature = np.array([reading.temperature for reading in bridge])
rainy = np.array([reading.rain >= 0.1 for reading in bridge])
slope, intercept = np.polyfit(temperature, cyclists, 1)
round(slope)

# %%
fig, ax = plt.subplots()
ax.scatter(temperature[~rainy], cyclists[~rainy], s=12, color="#F6AE2D", label="dry")
ax.scatter(temperature[rainy], cyclists[rainy], s=12, color="#33658A", label="rain")
span = np.array([temperature.min(), temperature.max()])
ax.plot(span, slope * span + intercept, color="#555555", linewidth=1.5)
ax.set_xlabel("°C")
ax.legend(frameon=False)
plt.show()

# %% [markdown] lang="de"
# Jedes Grad bringt im Mittel rund 50 Fahrräder mehr auf die Brücke. Regen nimmt einen Teil davon wieder weg.

# %% [markdown] lang="en"
# On average every degree brings about 50 more bicycles to the bridge. Rain takes some of them away again.

# %% [markdown] lang="de" tags=["subslide"]
# `plotly` zeichnet Bilder, die antworten: Zeigen Sie auf einen Punkt, und er nennt seinen Tag. Ziehen Sie einen
# Ausschnitt auf, und er füllt das Bild.

# %% [markdown] lang="en" tags=["subslide"]
# `plotly` draws pictures that answer: point at a dot, and it tells its day. Drag a frame, and it fills the picture.

# %% tags=["keep"]
import plotly.graph_objects as go

# %%
figure = go.Figure(layout={"height": 320, "xaxis_title": "°C"})
figure.add_scatter(x=temperature, y=cyclists, text=[f"{day:%d.%m.}" for day in days], mode="markers", name="{{ station }}")
figure.show()

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: Verteilung
#
# Zeichnen Sie ein Histogramm der täglichen Fahrräder. Vergleichen Sie trockene Tage und Regentage.
#
# {{ minutes(15) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: distribution
#
# Draw a histogram of the daily bicycles. Compare dry and rainy days.
#
# {{ minutes(15) }}, {{ difficulty(2) }}

# %% tags=["start"]
fig, ax = plt.subplots()
ax.hist(...)
plt.show()

# %% tags=["alt"]
fig, ax = plt.subplots()
edges = np.arange(0, 3000, 150)
ax.hist(cyclists[~rainy], bins=edges, color="#F6AE2D", alpha=0.8, label="dry")
ax.hist(cyclists[rainy], bins=edges, color="#33658A", alpha=0.7, label="rain")
ax.legend(frameon=False)
plt.show()

# %% [markdown] lang="de" tags=["alt"]
# Dieselben `edges` für beide: Sonst vergleicht man die Breite der Balken statt der Zahl der Tage.

# %% [markdown] lang="en" tags=["alt"]
# The same `edges` for both: otherwise you compare the width of the bars instead of the number of days.
