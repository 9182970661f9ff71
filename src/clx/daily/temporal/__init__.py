"""Days on a user's Temporal cluster; needs ``clx-build[temporal]``.

* One workflow interprets every flow (:mod:`.interpreter`): it is given a plan (:mod:`.plan`), imports no flow, and runs
  :class:`clx.daily.day.Day`, as the engine of CLX does.
* Steps are activities by name (:mod:`.worker`), on a task queue for each pool. What goes by Temporal is canonical JSON
  with artifacts by their digests; data are in the store.
"""
