"""Workers: processes that register themselves, claim jobs, run converters and report."""
