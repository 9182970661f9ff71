"""What people and programs look at: the page, the stream of events, the numbers for Prometheus."""
