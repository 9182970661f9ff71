CREATE TABLE serving_models (
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  digest TEXT NOT NULL,
  size INTEGER NOT NULL,
  callable TEXT DEFAULT '' NOT NULL,
  largest INTEGER DEFAULT 0 NOT NULL,
  default_timeout INTEGER DEFAULT 0 NOT NULL,
  chosen INTEGER DEFAULT 0 NOT NULL,
  residence TEXT DEFAULT 'loaded' NOT NULL,
  state TEXT DEFAULT 'unloaded' NOT NULL,
  reason TEXT DEFAULT '' NOT NULL,
  grown INTEGER DEFAULT 0 NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (name, version),
  CONSTRAINT serving_model_chosen CHECK (chosen IN (0, 1)),
  CONSTRAINT serving_model_source CHECK ((digest = '') <> (callable = '')),
  CONSTRAINT serving_model_residence CHECK (residence = 'unloaded' OR residence = 'loaded' OR residence = 'warm'),
  CONSTRAINT serving_model_state CHECK (state = 'unloaded' OR state = 'loading' OR state = 'ready' OR state = 'failed'),
  CONSTRAINT serving_model_numbers CHECK (size >= 0 AND largest >= 0 AND default_timeout >= 0 AND grown >= 0)
)
 WITHOUT ROWID;

CREATE UNIQUE INDEX serving_models_chosen ON serving_models (name) WHERE chosen = 1;

CREATE TABLE serving_settings (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  changes INTEGER DEFAULT 0 NOT NULL,
  PRIMARY KEY (name)
)
 WITHOUT ROWID;

CREATE TABLE serving_requests (
  server INTEGER NOT NULL,
  number INTEGER NOT NULL,
  request TEXT NOT NULL,
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  outcome TEXT NOT NULL,
  arrived_at INTEGER NOT NULL,
  arrived_ns INTEGER NOT NULL,
  began_ns INTEGER NOT NULL,
  answered_ns INTEGER NOT NULL,
  deadline_ns INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  PRIMARY KEY (server, number)
)
 WITHOUT ROWID;

CREATE INDEX serving_requests_arrived ON serving_requests (arrived_at);

CREATE TABLE serving_actions (
  server INTEGER NOT NULL,
  number INTEGER NOT NULL,
  kind TEXT NOT NULL,
  worker INTEGER NOT NULL,
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  outcome TEXT NOT NULL,
  sent_at INTEGER NOT NULL,
  sent_ns INTEGER NOT NULL,
  ended_ns INTEGER NOT NULL,
  expected_ns INTEGER NOT NULL,
  took_ns INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  PRIMARY KEY (server, number)
)
 WITHOUT ROWID;

CREATE INDEX serving_actions_sent ON serving_actions (sent_at);
