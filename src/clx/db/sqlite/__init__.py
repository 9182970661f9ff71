"""Everything that knows SQLite: the driver, connections, the journal, the file system, copies."""
