"""What the benchmark of days measures, a part a module."""
