"""Decks to notebooks, HTML pages and code files."""
