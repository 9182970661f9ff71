"""Models that are served: which there are, how they are to stand, and what became of their requests.

* A model's bytes are an artifact; its row names it, so that it stays in the store.
* Whoever changes what is to be served counts a change and rings; a running server heeds it at once.
"""
