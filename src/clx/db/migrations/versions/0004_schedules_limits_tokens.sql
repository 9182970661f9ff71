ALTER TABLE jobs ADD COLUMN expires_at INTEGER;

ALTER TABLE jobs ADD COLUMN limit_name TEXT;

ALTER TABLE jobs ADD COLUMN held INTEGER DEFAULT 0 NOT NULL;

CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE state = 'queued' AND expires_at IS NOT NULL;

CREATE INDEX jobs_limited ON jobs (limit_name, held, claim_rank, deadline, id) WHERE limit_name IS NOT NULL AND finished_at IS NULL;

CREATE TABLE limits (
  name TEXT NOT NULL,
  concurrency INTEGER,
  rate INTEGER,
  period INTEGER,
  window_at INTEGER DEFAULT 0 NOT NULL,
  used INTEGER DEFAULT 0 NOT NULL,
  PRIMARY KEY (name),
  CONSTRAINT limit_concurrency CHECK (concurrency IS NULL OR concurrency >= 1),
  CONSTRAINT limit_rate CHECK ((rate IS NULL) = (period IS NULL) AND (rate IS NULL OR (rate >= 1 AND period >= 1)))
)
 WITHOUT ROWID;

CREATE TABLE paused (
  type TEXT NOT NULL,
  pool TEXT NOT NULL,
  paused_at INTEGER NOT NULL,
  PRIMARY KEY (type, pool)
)
 WITHOUT ROWID;

CREATE TABLE recent_keys (
  "key" TEXT NOT NULL,
  type TEXT NOT NULL,
  pool TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  unique_until INTEGER NOT NULL,
  PRIMARY KEY ("key", type, pool)
)
 WITHOUT ROWID;

CREATE TABLE schedules (
  name TEXT NOT NULL,
  cron TEXT NOT NULL,
  zone TEXT NOT NULL,
  job TEXT NOT NULL,
  overlap TEXT DEFAULT 'skip' NOT NULL,
  catch_up TEXT DEFAULT 'last' NOT NULL,
  catch_up_window INTEGER NOT NULL,
  ends_at INTEGER,
  paused INTEGER DEFAULT 0 NOT NULL,
  next_at INTEGER,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (name),
  CONSTRAINT schedule_overlap CHECK (overlap IN ('skip', 'queue', 'cancel')),
  CONSTRAINT schedule_catch_up CHECK (catch_up IN ('none', 'last', 'all')),
  CONSTRAINT schedule_paused CHECK (paused IN (0, 1))
)
 WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (next_at) WHERE paused = 0 AND next_at IS NOT NULL;

CREATE TABLE tokens (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER,
  expires_at INTEGER,
  revoked_at INTEGER,
  CONSTRAINT token_role CHECK (role IN ('read', 'work', 'admin'))
);

CREATE UNIQUE INDEX tokens_digest ON tokens (digest);

CREATE TABLE fires (
  schedule TEXT NOT NULL,
  fire_at INTEGER NOT NULL,
  fired_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  job_id INTEGER,
  PRIMARY KEY (schedule, fire_at),
  CONSTRAINT fire_outcome CHECK (outcome IN ('queued', 'skipped', 'missed')),
  CONSTRAINT fire_job CHECK ((outcome = 'queued') = (job_id IS NOT NULL)),
  FOREIGN KEY(schedule) REFERENCES schedules (name) ON DELETE CASCADE
)
 WITHOUT ROWID;
