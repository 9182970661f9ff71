"""Pipelines: which works follow which, and how far each has come.

Nobody watches over a pipeline. Whoever ends the last work of a stage, a runner or whoever finds that one has died, puts
the works of the next stage in with the same transaction; so nothing is put in twice, and nothing is forgotten.
"""
