"""Every setting, typed, with where it came from: file and line, variable, option or default."""
