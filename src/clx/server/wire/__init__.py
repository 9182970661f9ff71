"""What the clients of CHIME/FRB Workflow speak: buckets and results below ``/workflow``, of the works of the table.

* ``exchange`` takes requests apart and puts answers together, for a table of calls.
* ``buckets`` and ``results`` are these tables; ``pipelines`` is the place of a third one.
* ``mongo`` makes searches of the queries that those clients send, ``dialects`` documents that each of them can read.
* ``ports`` are those that these clients call when nobody tells them another.
"""
