CREATE TABLE calls (
  parent_id BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  occurrence BIGINT NOT NULL,
  type TEXT COLLATE "C",
  job_id BIGINT,
  value TEXT COLLATE "C",
  created_at BIGINT NOT NULL,
  PRIMARY KEY (parent_id, name, occurrence),
  CONSTRAINT call_or_value CHECK ((type IS NULL) = (value IS NOT NULL)),
  CONSTRAINT call_value CHECK (value IS NULL OR job_id IS NULL),
  FOREIGN KEY(parent_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE INDEX calls_job ON calls (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE wants (
  job_id BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (job_id, name),
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE TABLE routines (
  id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  module TEXT COLLATE "C" NOT NULL,
  source TEXT COLLATE "C" NOT NULL,
  signature TEXT COLLATE "C" NOT NULL,
  doc TEXT COLLATE "C" NOT NULL,
  job TEXT COLLATE "C" NOT NULL,
  after_id TEXT COLLATE "C",
  after_on TEXT COLLATE "C",
  parameter TEXT COLLATE "C",
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT routine_after_on CHECK (after_on IS NULL OR after_on IN ('success', 'failure', 'always')),
  CONSTRAINT routine_after CHECK ((after_id IS NULL) = (after_on IS NULL))
);

CREATE INDEX routines_after ON routines (after_id) WHERE after_id IS NOT NULL;
