CREATE TABLE works (
  job_id INTEGER NOT NULL,
  id TEXT NOT NULL,
  pipeline TEXT NOT NULL,
  site TEXT NOT NULL,
  owner TEXT NOT NULL,
  creation INTEGER NOT NULL,
  start INTEGER,
  stop INTEGER,
  attempt INTEGER DEFAULT 0 NOT NULL,
  retries INTEGER NOT NULL,
  status TEXT DEFAULT 'queued' NOT NULL,
  archived INTEGER DEFAULT 0 NOT NULL,
  locked INTEGER DEFAULT 0 NOT NULL,
  in_bucket INTEGER DEFAULT 1 NOT NULL,
  in_results INTEGER DEFAULT 0 NOT NULL,
  names_artifacts INTEGER DEFAULT 0 NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (job_id),
  CONSTRAINT work_status CHECK (status = 'queued' OR status = 'running' OR status = 'success' OR status = 'failure' OR status = 'cancelled'),
  CONSTRAINT work_attempts CHECK (attempt >= 0 AND retries >= 0),
  CONSTRAINT work_flags CHECK (archived IN (0, 1) AND locked IN (0, 1) AND in_bucket IN (0, 1) AND in_results IN (0, 1) AND names_artifacts IN (0, 1)),
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE INDEX works_artifacts ON works (job_id) WHERE names_artifacts = 1;

CREATE INDEX works_bucket ON works (pipeline, status) WHERE in_bucket = 1;

CREATE INDEX works_creation ON works (creation);

CREATE UNIQUE INDEX works_id ON works (id);

CREATE INDEX works_owner ON works (owner, job_id);

CREATE INDEX works_pipeline ON works (pipeline, job_id);

CREATE TABLE work_labels (
  job_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (job_id, kind, value),
  CONSTRAINT work_label_kind CHECK (kind = 'tag' OR kind = 'group' OR kind = 'event' OR kind = 'parent'),
  FOREIGN KEY(job_id) REFERENCES works (job_id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX work_labels_value ON work_labels (kind, value, job_id);
