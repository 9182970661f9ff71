"""Pipelines: files of steps and stages, and what becomes of them."""
