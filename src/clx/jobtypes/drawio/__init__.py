"""Turns draw.io files into pictures, one per page."""
