"""One worker: claim, run, report."""
