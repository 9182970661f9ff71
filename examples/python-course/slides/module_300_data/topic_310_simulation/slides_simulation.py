# j2 from 'macros.j2' import header
# j2 from 'course.j2' import minutes, difficulty with context
# {{ header("Eine kleine Simulation", "A Small Simulation") }}

# %% [markdown] lang="de" tags=["slide"]
# ## Wie viele Leihräder stehen bereit?
#
# Die Stadt betreibt 200 Leihräder. Jede Stunde kann ein Rad seinen Zustand wechseln:
#
# <img src="img/bike_states.png" alt="Zustandsdiagramm eines Leihrads: frei, unterwegs, Werkstatt" style="width: 45%">
#
# Wie viele Räder sind nach einem Tag *frei*?

# %% [markdown] lang="en" tags=["slide"]
# ## How many rental bikes are available?
#
# The city runs 200 rental bikes. Every hour a bike can change its state:
#
# <img src="img/bike_states-2.png" alt="State diagram of a rental bike: free, riding, repair" style="width: 45%">
#
# How many bikes are *free* after one day?

# %% [markdown] lang="de"
# *Frage:* Raten Sie, bevor wir rechnen. Wie viele sind es: 50, 100 oder 150?

# %% [markdown] lang="en"
# *Question:* Take a guess before we calculate. How many are there: 50, 100 or 150?

# %% [markdown] lang="de" tags=["slide"]
# ## Das Modell als Tabelle
#
# Zeile: Zustand jetzt. Spalte: Zustand in einer Stunde. Jede Zeile ergibt zusammen 1.
#
# $$P = \begin{pmatrix} 0{,}70 & 0{,}30 & 0 \\ 0{,}55 & 0{,}40 & 0{,}05 \\ 0{,}20 & 0 & 0{,}80 \end{pmatrix}$$

# %% [markdown] lang="en" tags=["slide"]
# ## The model as a table
#
# Row: the state now. Column: the state in one hour. Each row adds up to 1.
#
# $$P = \begin{pmatrix} 0.70 & 0.30 & 0 \\ 0.55 & 0.40 & 0.05 \\ 0.20 & 0 & 0.80 \end{pmatrix}$$

# %% tags=["keep"]
import matplotlib.pyplot as plt
import numpy as np

STATES = ["free", "riding", "repair"]
P = np.array([[0.70, 0.30, 0.00], [0.55, 0.40, 0.05], [0.20, 0.00, 0.80]])

# %%
P.sum(axis=1)

# %% [markdown] lang="de" tags=["slide"]
# ## Zufall, der sich wiederholen lässt
#
# Ein Zufallsgenerator mit festem *Startwert* liefert immer dieselben Zahlen. So kann jede und jeder
# das Ergebnis nachrechnen.

# %% [markdown] lang="en" tags=["slide"]
# ## Randomness that can be repeated
#
# A random generator with a fixed *seed* always yields the same numbers. This way everybody can
# reproduce the result.

# %%
dice = np.random.default_rng(seed=7)
dice.choice(STATES, size=5, p=P[0])

# %% [markdown] lang="de" tags=["slide"]
# ## Eine Stunde vergeht

# %% [markdown] lang="en" tags=["slide"]
# ## One hour passes

# %%
def next_hour(bikes, dice):
    """Return the new state of every bike."""
    return np.array([dice.choice(3, p=P[state]) for state in bikes])


# %%
bikes = np.zeros(200, dtype=int)
bikes = next_hour(bikes, dice)
np.bincount(bikes, minlength=3)

# %% [markdown] lang="de" tags=["slide"]
# ## Ein ganzer Tag

# %% [markdown] lang="en" tags=["slide"]
# ## A whole day

# %%
def simulate(hours, number=200, seed=7):
    """Return the number of bikes per state, one row per hour."""
    dice = np.random.default_rng(seed)
    bikes = np.zeros(number, dtype=int)
    history = [np.bincount(bikes, minlength=3)]
    for _ in range(hours):
        bikes = next_hour(bikes, dice)
        history.append(np.bincount(bikes, minlength=3))
    return np.array(history)


# %%
history = simulate(24)
dict(zip(STATES, history[-1].tolist()))

# %%
fig, ax = plt.subplots(figsize=(7, 3))
ax.stackplot(range(25), history.T, labels=STATES, colors=["#86BBD8", "#F6AE2D", "#B3261E"])
ax.set(xlim=(0, 24), ylim=(0, 200), xlabel="h", ylabel="bikes")
ax.legend(loc="lower left", framealpha=0.9)
plt.show()

# %% [markdown] lang="de" tags=["notes"]
# 15 Minuten bis hierher. Vor dem Bild die Schätzungen vom Anfang in Erinnerung rufen.
# Die nächste Zelle zeigt, wie sehr das Ergebnis vom Startwert abhängt.

# %% [markdown] lang="en" tags=["notes"]
# 15 minutes up to here. Before you show the picture, recall the guesses from the beginning.
# The next cell shows how much the result depends on the seed.

# %% tags=["private"]
[int(simulate(12, seed=seed)[-1][0]) for seed in range(5)]

# %% [markdown] lang="de" tags=["slide"]
# ## Und die Theorie?
#
# Auf lange Sicht stellt sich ein Gleichgewicht $\pi$ ein. Eine weitere Stunde ändert es nicht mehr:
#
# $$\pi P = \pi, \qquad \sum_i \pi_i = 1$$
#
# Man findet es, indem man sehr viele Stunden vergehen lässt: $\pi \approx \pi_0 P^{n}$ für großes $n$.

# %% [markdown] lang="en" tags=["slide"]
# ## And the theory?
#
# In the long run the shares settle in a balance $\pi$. One more hour does not change it any more:
#
# $$\pi P = \pi, \qquad \sum_i \pi_i = 1$$
#
# You find it by letting very many hours pass: $\pi \approx \pi_0 P^{n}$ for large $n$.

# %%
balance = np.linalg.matrix_power(P, 1000)[0]
(200 * balance).round(1)

# %% [markdown] lang="de"
# *Frage:* Warum stimmt die Simulation damit nicht genau überein?

# %% [markdown] lang="en"
# *Question:* Why does the simulation not agree with this exactly?

# %% [markdown] lang="de" tags=["answer", "fragment"]
# Die Theorie nennt den *Mittelwert*. Ein einzelner Tag schwankt darum, ungefähr mit
# $\sqrt{n\,p\,(1-p)} = \sqrt{200 \cdot 0{,}6 \cdot 0{,}4} \approx 7$ Rädern.

# %% [markdown] lang="en" tags=["answer", "fragment"]
# The theory gives the *mean*. A single day varies around it by about
# $\sqrt{n\,p\,(1-p)} = \sqrt{200 \cdot 0.6 \cdot 0.4} \approx 7$ bikes.

# %% [markdown] lang="de" tags=["slide"]
# ## Übung: eine zweite Werkstatt
#
# Mit einer zweiten Werkstatt steigt die Wahrscheinlichkeit für „repariert“ von 20 % auf 40 %.
# Wie viele freie Räder gewinnt die Stadt?
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% [markdown] lang="en" tags=["slide"]
# ## Exercise: a second workshop
#
# With a second workshop the probability of "repaired" rises from 20 % to 40 %.
# How many free bikes does the city gain?
#
# {{ minutes(10) }}, {{ difficulty(2) }}

# %% tags=["start"]
Q = P.copy()
Q[2] = ...

# %% tags=["alt"]
Q = P.copy()
Q[2] = [0.40, 0.00, 0.60]
better = np.linalg.matrix_power(Q, 1000)[0]
(200 * (better - balance)).round(1)

# %% [markdown] lang="de" tags=["alt"]
# Etwa fünf freie Räder mehr, ohne ein einziges zu kaufen.

# %% [markdown] lang="en" tags=["alt"]
# About five more free bikes, without buying a single one.
