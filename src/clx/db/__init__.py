"""The facts: one SQLite file that holds jobs, workers, batches, results and what was published.

Only this room knows SQL, and what a room keeps in tables of its own (:mod:`clx.course.build_state`). :class:`Database`
opens the file; :class:`~clx.db.jobs.Queue`, :class:`~clx.db.workers.WorkerTable` and
:class:`~clx.db.batches.BatchTable` are its faces.
"""
