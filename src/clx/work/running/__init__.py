"""Works are withdrawn, performed in a process of their own, and updated: ``clx work run``."""
