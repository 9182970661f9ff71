"""Running tasks: a worker that keeps leases, and a child of it that runs functions and may be killed at any time."""
