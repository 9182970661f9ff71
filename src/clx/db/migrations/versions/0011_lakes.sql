CREATE TABLE lake_versions (
  lake TEXT NOT NULL,
  dataset TEXT NOT NULL,
  day TEXT NOT NULL,
  version INTEGER NOT NULL,
  files TEXT NOT NULL,
  columns TEXT NOT NULL,
  rows INTEGER NOT NULL,
  missing TEXT DEFAULT '[]' NOT NULL,
  checks TEXT DEFAULT '[]' NOT NULL,
  flow TEXT DEFAULT '' NOT NULL,
  step TEXT DEFAULT '' NOT NULL,
  code TEXT DEFAULT '' NOT NULL,
  inputs TEXT DEFAULT '{}' NOT NULL,
  made_of TEXT DEFAULT '{}' NOT NULL,
  host TEXT DEFAULT '' NOT NULL,
  made_at INTEGER NOT NULL,
  PRIMARY KEY (lake, dataset, day, version),
  CONSTRAINT lake_version_numbers CHECK (version >= 1 AND rows >= 0)
)
 WITHOUT ROWID;

CREATE INDEX lake_versions_days ON lake_versions (flow, day);
