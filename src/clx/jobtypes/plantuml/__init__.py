"""Turning PlantUML sources into pictures."""
