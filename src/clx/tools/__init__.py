"""Finding, and where possible installing, the programs that converters need."""
