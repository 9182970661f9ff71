CREATE TABLE works (
  job_id BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  pipeline TEXT COLLATE "C" NOT NULL,
  site TEXT COLLATE "C" NOT NULL,
  owner TEXT COLLATE "C" NOT NULL,
  creation BIGINT NOT NULL,
  start BIGINT,
  stop BIGINT,
  attempt BIGINT DEFAULT 0 NOT NULL,
  retries BIGINT NOT NULL,
  status TEXT COLLATE "C" DEFAULT 'queued' NOT NULL,
  archived BIGINT DEFAULT 0 NOT NULL,
  locked BIGINT DEFAULT 0 NOT NULL,
  in_bucket BIGINT DEFAULT 1 NOT NULL,
  in_results BIGINT DEFAULT 0 NOT NULL,
  names_artifacts BIGINT DEFAULT 0 NOT NULL,
  document TEXT COLLATE "C" NOT NULL,
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
  job_id BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (job_id, kind, value),
  CONSTRAINT work_label_kind CHECK (kind = 'tag' OR kind = 'group' OR kind = 'event' OR kind = 'parent'),
  FOREIGN KEY(job_id) REFERENCES works (job_id) ON DELETE CASCADE
);

CREATE INDEX work_labels_value ON work_labels (kind, value, job_id);
