"""The bytes: a content-addressed store beside the database. See :class:`clx.artifacts.store.ArtifactStore`."""
