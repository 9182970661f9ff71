"""What `benchmarks.queue_peers` is made of: one program per queue, a PostgreSQL of its own, the two measurements."""
