# j2 from 'macros.j2' import header
# {{ header("Erste Schritte", "First Steps") }}

# %% [markdown] lang="de" tags=["slide"]
#
# ## Ein Wert und ein Name
#
# Mit `=` bekommt ein Wert einen Namen.

# %% [markdown] lang="en" tags=["slide"]
#
# ## A Value and a Name
#
# With `=` a value gets a name.

# %% tags=["keep"]
seconds_per_hour = 60 * 60

# %%
seconds_per_hour * 24

# %% [markdown] lang="de" tags=["slide"]
#
# ## Ein Diagramm
#
# <img src="img/first_picture.png" alt="Eine Zelle wird ausgeführt">
#
# *Frage:* Was geschieht, wenn der Name vor dem Wert benutzt wird?

# %% [markdown] lang="en" tags=["slide"]
#
# ## A Diagram
#
# <img src="img/first_picture.png" alt="A cell is run">
#
# *Question:* What happens when the name is used before it has a value?

# %% [markdown] lang="de" tags=["answer"]
# Python meldet einen `NameError`.

# %% [markdown] lang="en" tags=["answer"]
# Python reports a `NameError`.

# %% [markdown] lang="de" tags=["notes"]
# Das steht nur auf den Seiten für die Lehrperson.

# %% [markdown] lang="en" tags=["notes"]
# Only the speaker's pages show this.
