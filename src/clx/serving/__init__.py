"""Serving: models answer inside a deadline, or refuse at once."""
