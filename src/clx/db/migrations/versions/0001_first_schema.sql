-- The schema as revision 0001 left it. Frozen: later changes are later revisions.

CREATE TABLE batches (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  state TEXT DEFAULT 'live' NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  identity TEXT NOT NULL,
  lease_until INTEGER NOT NULL,
  callback TEXT,
  callback_job INTEGER,
  pending INTEGER DEFAULT 0 NOT NULL,
  created_at INTEGER NOT NULL,
  finished_at INTEGER,
  CONSTRAINT batch_state CHECK (state IN ('live', 'done', 'abandoned')),
  CONSTRAINT batch_pending CHECK (pending >= 0),
  CONSTRAINT batch_finished CHECK ((state = 'live') = (finished_at IS NULL))
);

CREATE INDEX batches_live ON batches (id) WHERE state = 'live';

CREATE TABLE files (
  root TEXT NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (root, path)
)
 WITHOUT ROWID;

CREATE TABLE jobs (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  type TEXT NOT NULL,
  pool TEXT DEFAULT '' NOT NULL,
  state TEXT DEFAULT 'queued' NOT NULL,
  priority INTEGER DEFAULT 3 NOT NULL,
  payload TEXT NOT NULL,
  "key" TEXT,
  run INTEGER DEFAULT 0 NOT NULL,
  released INTEGER DEFAULT 0 NOT NULL,
  kills INTEGER DEFAULT 0 NOT NULL,
  max_runs INTEGER DEFAULT 3 NOT NULL,
  ready INTEGER DEFAULT 1 NOT NULL,
  claim_rank INTEGER DEFAULT 2 NOT NULL,
  not_before INTEGER DEFAULT 0 NOT NULL,
  deadline INTEGER DEFAULT 9223372036854775807 NOT NULL,
  timeout INTEGER,
  lease_until INTEGER,
  lease INTEGER,
  worker_id INTEGER,
  waits_for INTEGER DEFAULT 0 NOT NULL,
  unbatched INTEGER DEFAULT 0 NOT NULL,
  cancel_requested INTEGER DEFAULT 0 NOT NULL,
  progress TEXT,
  result TEXT,
  error TEXT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  CONSTRAINT job_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  CONSTRAINT job_priority CHECK (priority BETWEEN 1 AND 5),
  CONSTRAINT job_ready CHECK (ready IN (0, 1) AND unbatched IN (0, 1)),
  CONSTRAINT job_waits CHECK (waits_for >= 0 AND (waits_for = 0 OR ready = 0)),
  CONSTRAINT job_runs CHECK (max_runs >= 1 AND run >= 0 AND released BETWEEN 0 AND run),
  CONSTRAINT job_lease CHECK ((state = 'running') = (lease_until IS NOT NULL)),
  CONSTRAINT job_claimed CHECK (state <> 'running' OR (worker_id IS NOT NULL AND run > 0 AND lease > 0)),
  CONSTRAINT job_finished CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  CONSTRAINT job_failed_why CHECK (state <> 'failed' OR error IS NOT NULL)
);

CREATE INDEX jobs_claim ON jobs (pool, type, claim_rank, deadline, id) WHERE state = 'queued' AND ready = 1;

CREATE INDEX jobs_delayed ON jobs (not_before) WHERE state = 'queued' AND ready = 0 AND waits_for = 0;

CREATE UNIQUE INDEX jobs_live_key ON jobs (pool, "key") WHERE key IS NOT NULL AND state IN ('queued', 'running');

CREATE INDEX jobs_running ON jobs (worker_id, lease_until) WHERE state = 'running';

CREATE TABLE outputs (
  target TEXT NOT NULL,
  path TEXT NOT NULL,
  slice TEXT NOT NULL,
  source TEXT NOT NULL,
  digest TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  PRIMARY KEY (target, path)
)
 WITHOUT ROWID;

CREATE TABLE results (
  "key" TEXT NOT NULL,
  type TEXT NOT NULL,
  result TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY ("key")
)
 WITHOUT ROWID;

CREATE TABLE sources (
  root TEXT NOT NULL,
  path TEXT NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (root, path)
)
 WITHOUT ROWID;

CREATE TABLE worker_events (
  id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  worker_id INTEGER NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE workers (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  type TEXT NOT NULL,
  pool TEXT NOT NULL,
  mode TEXT NOT NULL,
  state TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  identity TEXT NOT NULL,
  container_id TEXT,
  image TEXT,
  version TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL,
  ended_at INTEGER,
  reason TEXT,
  jobs_succeeded INTEGER DEFAULT 0 NOT NULL,
  jobs_failed INTEGER DEFAULT 0 NOT NULL,
  batch_id INTEGER,
  service TEXT,
  config_source TEXT,
  CONSTRAINT worker_mode CHECK (mode IN ('direct', 'docker')),
  CONSTRAINT worker_state CHECK (state IN ('starting', 'idle', 'busy', 'stopping', 'hung', 'dead', 'stopped')),
  CONSTRAINT worker_ended CHECK ((state IN ('dead', 'stopped')) = (ended_at IS NOT NULL))
);

CREATE INDEX workers_live ON workers (type, pool) WHERE state IN ('starting', 'idle', 'busy', 'stopping', 'hung');

CREATE TABLE batch_jobs (
  batch_id INTEGER NOT NULL,
  job_id INTEGER NOT NULL,
  PRIMARY KEY (batch_id, job_id),
  FOREIGN KEY(batch_id) REFERENCES batches (id) ON DELETE CASCADE,
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX batch_jobs_job ON batch_jobs (job_id);

CREATE TABLE dependencies (
  job_id INTEGER NOT NULL,
  needs_id INTEGER NOT NULL,
  PRIMARY KEY (job_id, needs_id),
  CONSTRAINT dependency_of_another CHECK (job_id <> needs_id),
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE,
  FOREIGN KEY(needs_id) REFERENCES jobs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX dependencies_needs ON dependencies (needs_id);

CREATE TABLE runs (
  job_id INTEGER NOT NULL,
  run INTEGER NOT NULL,
  worker_id INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT,
  cause TEXT,
  stderr TEXT,
  peak_memory INTEGER,
  PRIMARY KEY (job_id, run),
  CONSTRAINT run_outcome CHECK (outcome IN ('succeeded', 'failed', 'rescued', 'released', 'cancelled')),
  FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;

