"""Kinds of work: a registry, and one room for each kind."""
