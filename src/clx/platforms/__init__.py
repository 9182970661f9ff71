"""What this system is, and what it lacks."""
