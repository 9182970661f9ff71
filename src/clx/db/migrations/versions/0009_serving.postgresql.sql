CREATE TABLE serving_models (
  name TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  digest TEXT COLLATE "C" NOT NULL,
  size BIGINT NOT NULL,
  callable TEXT COLLATE "C" DEFAULT '' NOT NULL,
  largest BIGINT DEFAULT 0 NOT NULL,
  default_timeout BIGINT DEFAULT 0 NOT NULL,
  chosen BIGINT DEFAULT 0 NOT NULL,
  residence TEXT COLLATE "C" DEFAULT 'loaded' NOT NULL,
  state TEXT COLLATE "C" DEFAULT 'unloaded' NOT NULL,
  reason TEXT COLLATE "C" DEFAULT '' NOT NULL,
  grown BIGINT DEFAULT 0 NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (name, version),
  CONSTRAINT serving_model_chosen CHECK (chosen IN (0, 1)),
  CONSTRAINT serving_model_source CHECK ((digest = '') <> (callable = '')),
  CONSTRAINT serving_model_residence CHECK (residence = 'unloaded' OR residence = 'loaded' OR residence = 'warm'),
  CONSTRAINT serving_model_state CHECK (state = 'unloaded' OR state = 'loading' OR state = 'ready' OR state = 'failed'),
  CONSTRAINT serving_model_numbers CHECK (size >= 0 AND largest >= 0 AND default_timeout >= 0 AND grown >= 0)
);

CREATE UNIQUE INDEX serving_models_chosen ON serving_models (name) WHERE chosen = 1;

CREATE TABLE serving_settings (
  name TEXT COLLATE "C" NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  changes BIGINT DEFAULT 0 NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE serving_requests (
  server BIGINT NOT NULL,
  number BIGINT NOT NULL,
  request TEXT COLLATE "C" NOT NULL,
  model TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  arrived_at BIGINT NOT NULL,
  arrived_ns BIGINT NOT NULL,
  began_ns BIGINT NOT NULL,
  answered_ns BIGINT NOT NULL,
  deadline_ns BIGINT NOT NULL,
  rows BIGINT NOT NULL,
  batch BIGINT NOT NULL,
  PRIMARY KEY (server, number)
);

CREATE INDEX serving_requests_arrived ON serving_requests (arrived_at);

CREATE TABLE serving_actions (
  server BIGINT NOT NULL,
  number BIGINT NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  worker BIGINT NOT NULL,
  model TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  sent_at BIGINT NOT NULL,
  sent_ns BIGINT NOT NULL,
  ended_ns BIGINT NOT NULL,
  expected_ns BIGINT NOT NULL,
  took_ns BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  rows BIGINT NOT NULL,
  PRIMARY KEY (server, number)
);

CREATE INDEX serving_actions_sent ON serving_actions (sent_at);
