CREATE TABLE pipeline_configs (
  id TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  owner TEXT COLLATE "C" NOT NULL,
  yaml TEXT COLLATE "C" NOT NULL,
  definition TEXT COLLATE "C" NOT NULL,
  deployments TEXT COLLATE "C" DEFAULT '[]' NOT NULL,
  schedule TEXT COLLATE "C",
  lives BIGINT,
  spawned BIGINT DEFAULT 0 NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT pipeline_config_spawned CHECK (spawned >= 0),
  CONSTRAINT pipeline_config_schedule CHECK ((schedule IS NULL) = (lives IS NULL))
);

CREATE INDEX pipeline_configs_name ON pipeline_configs (name, id);

CREATE TABLE pipelines (
  id TEXT COLLATE "C" NOT NULL,
  config_id TEXT COLLATE "C" NOT NULL,
  matrix TEXT COLLATE "C" NOT NULL,
  status TEXT COLLATE "C" DEFAULT 'running' NOT NULL,
  stage BIGINT,
  reason TEXT COLLATE "C",
  created_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (id),
  CONSTRAINT pipeline_status CHECK (status = 'running' OR status = 'paused' OR status = 'success' OR status = 'failure' OR status = 'cancelled'),
  CONSTRAINT pipeline_ended CHECK ((status = 'running' OR status = 'paused') = (ended_at IS NULL)),
  FOREIGN KEY(config_id) REFERENCES pipeline_configs (id) ON DELETE CASCADE
);

CREATE INDEX pipelines_config ON pipelines (config_id, id);

CREATE INDEX pipelines_live ON pipelines (id) WHERE ended_at IS NULL;

CREATE TABLE pipeline_steps (
  id BIGSERIAL NOT NULL,
  pipeline_id TEXT COLLATE "C" NOT NULL,
  position BIGINT NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  stage BIGINT,
  status TEXT COLLATE "C" DEFAULT 'created' NOT NULL,
  reason TEXT COLLATE "C",
  works BIGINT DEFAULT 0 NOT NULL,
  definition TEXT COLLATE "C" NOT NULL,
  started_at BIGINT,
  ended_at BIGINT,
  PRIMARY KEY (id),
  CONSTRAINT pipeline_step_status CHECK (status = 'created' OR status = 'running' OR status = 'success' OR status = 'failure' OR status = 'cancelled'),
  CONSTRAINT pipeline_step_ended CHECK ((status = 'created' OR status = 'running') = (ended_at IS NULL)),
  FOREIGN KEY(pipeline_id) REFERENCES pipelines (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX pipeline_steps_pipeline ON pipeline_steps (pipeline_id, position);

CREATE INDEX pipeline_steps_running ON pipeline_steps (pipeline_id) WHERE status = 'running';

ALTER TABLE works ADD COLUMN step_id BIGINT;

CREATE INDEX works_step ON works (step_id, status) WHERE step_id IS NOT NULL;
