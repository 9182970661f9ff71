"""A telescope that sees bursts: see steps.py; picture.py writes what its plots show."""
