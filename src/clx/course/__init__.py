"""Courses: what a course repository says, which jobs it needs, and how their results become an output tree."""
