CREATE TABLE lake_versions (
  lake TEXT COLLATE "C" NOT NULL,
  dataset TEXT COLLATE "C" NOT NULL,
  day TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  files TEXT COLLATE "C" NOT NULL,
  columns TEXT COLLATE "C" NOT NULL,
  rows BIGINT NOT NULL,
  missing TEXT COLLATE "C" DEFAULT '[]' NOT NULL,
  checks TEXT COLLATE "C" DEFAULT '[]' NOT NULL,
  flow TEXT COLLATE "C" DEFAULT '' NOT NULL,
  step TEXT COLLATE "C" DEFAULT '' NOT NULL,
  code TEXT COLLATE "C" DEFAULT '' NOT NULL,
  inputs TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
  made_of TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
  host TEXT COLLATE "C" DEFAULT '' NOT NULL,
  made_at BIGINT NOT NULL,
  PRIMARY KEY (lake, dataset, day, version),
  CONSTRAINT lake_version_numbers CHECK (version >= 1 AND rows >= 0)
);

CREATE INDEX lake_versions_days ON lake_versions (flow, day);
