"""``clx server``: the job table over HTTP, for programs, for Prometheus and for people; needs ``clx-build[server]``."""
