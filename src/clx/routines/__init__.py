"""Functions that run as jobs."""
