"""Printing: pages of decks as PDF files, and those of a course as one."""
