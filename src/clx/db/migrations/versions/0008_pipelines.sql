CREATE TABLE pipeline_configs (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  owner TEXT NOT NULL,
  yaml TEXT NOT NULL,
  definition TEXT NOT NULL,
  deployments TEXT DEFAULT '[]' NOT NULL,
  schedule TEXT,
  lives INTEGER,
  spawned INTEGER DEFAULT 0 NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT pipeline_config_spawned CHECK (spawned >= 0),
  CONSTRAINT pipeline_config_schedule CHECK ((schedule IS NULL) = (lives IS NULL))
);

CREATE INDEX pipeline_configs_name ON pipeline_configs (name, id);

CREATE TABLE pipelines (
  id TEXT NOT NULL,
  config_id TEXT NOT NULL,
  matrix TEXT NOT NULL,
  status TEXT DEFAULT 'running' NOT NULL,
  stage INTEGER,
  reason TEXT,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (id),
  CONSTRAINT pipeline_status CHECK (status = 'running' OR status = 'paused' OR status = 'success' OR status = 'failure' OR status = 'cancelled'),
  CONSTRAINT pipeline_ended CHECK ((status = 'running' OR status = 'paused') = (ended_at IS NULL)),
  FOREIGN KEY(config_id) REFERENCES pipeline_configs (id) ON DELETE CASCADE
);

CREATE INDEX pipelines_config ON pipelines (config_id, id);

CREATE INDEX pipelines_live ON pipelines (id) WHERE ended_at IS NULL;

CREATE TABLE pipeline_steps (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  pipeline_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  stage INTEGER,
  status TEXT DEFAULT 'created' NOT NULL,
  reason TEXT,
  works INTEGER DEFAULT 0 NOT NULL,
  definition TEXT NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  CONSTRAINT pipeline_step_status CHECK (status = 'created' OR status = 'running' OR status = 'success' OR status = 'failure' OR status = 'cancelled'),
  CONSTRAINT pipeline_step_ended CHECK ((status = 'created' OR status = 'running') = (ended_at IS NULL)),
  FOREIGN KEY(pipeline_id) REFERENCES pipelines (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX pipeline_steps_pipeline ON pipeline_steps (pipeline_id, position);

CREATE INDEX pipeline_steps_running ON pipeline_steps (pipeline_id) WHERE status = 'running';

ALTER TABLE works ADD COLUMN step_id INTEGER;

CREATE INDEX works_step ON works (step_id, status) WHERE step_id IS NOT NULL;
