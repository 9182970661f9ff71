"""``${{ … }}`` in texts, and the combinations of a matrix: pure functions that know no files and no job table."""
