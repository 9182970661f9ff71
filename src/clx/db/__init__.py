"""The facts: one SQLite file that holds jobs, workers, batches, results and what was published.

Only this room knows SQL. :class:`Database` opens the file; :class:`~clx.db.jobs.Queue`,
:class:`~clx.db.workers.WorkerTable`, :class:`~clx.db.batches.BatchTable` and
:class:`~clx.db.ledger.Ledger` are its faces.
"""
