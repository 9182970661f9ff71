"""Workers in containers of a Docker engine.

Whatever asks the engine raises an :class:`~clx.errors.EngineError` where it does not answer, hangs or refuses.
"""
