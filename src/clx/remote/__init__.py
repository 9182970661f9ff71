"""The job table of another machine, by the server there: the verbs of ``Queue`` over HTTP."""
