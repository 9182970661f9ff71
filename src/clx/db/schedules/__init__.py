"""Schedules: jobs that are queued at times, exactly once each, by whoever is alive.

A row of ``schedules`` says when (cron text and time zone), what (a job), and when next. Every process that looks after
the table asks for rows that are due (:class:`~clx.db.schedules.sweep.Sweep`); one transaction queues the job, notes the
fire in ``fires``, whose key is schedule and time, and moves the next time on. :class:`Schedules` is the face of it all.
"""
