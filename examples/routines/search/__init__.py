"""A model search: see routines.py."""
