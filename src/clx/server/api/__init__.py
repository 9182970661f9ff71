"""``/api/v1``: its operations, what they take and give, the document that tells of them, and how they are run."""
