CREATE TABLE calls (
  parent_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  occurrence INTEGER NOT NULL,
  type TEXT,
  job_id INTEGER,
  value TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (parent_id, name, occurrence),
  CONSTRAINT call_or_value CHECK ((type IS NULL) = (value IS NOT NULL)),
  CONSTRAINT call_value CHECK (value IS NULL OR job_id IS NULL),
  FOREIGN KEY(parent_id) REFERENCES jobs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX calls_job ON calls (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE wants (
  job_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (job_id, name),
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE TABLE routines (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  module TEXT NOT NULL,
  source TEXT NOT NULL,
  signature TEXT NOT NULL,
  doc TEXT NOT NULL,
  job TEXT NOT NULL,
  after_id TEXT,
  after_on TEXT,
  parameter TEXT,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT routine_after_on CHECK (after_on IS NULL OR after_on IN ('success', 'failure', 'always')),
  CONSTRAINT routine_after CHECK ((after_id IS NULL) = (after_on IS NULL))
)
 WITHOUT ROWID;

CREATE INDEX routines_after ON routines (after_id) WHERE after_id IS NOT NULL;
