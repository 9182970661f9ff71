CREATE TABLE serving_figures (
  model TEXT COLLATE "C" NOT NULL,
  version TEXT COLLATE "C" NOT NULL,
  server BIGINT NOT NULL,
  told_at BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  success BIGINT NOT NULL,
  refused BIGINT NOT NULL,
  missed BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  withdrawn BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  p50_ns BIGINT NOT NULL,
  p99_ns BIGINT NOT NULL,
  p999_ns BIGINT NOT NULL,
  detail TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
  PRIMARY KEY (model, version),
  CONSTRAINT serving_figure_numbers CHECK (success >= 0 AND refused >= 0 AND missed >= 0 AND failed >= 0 AND withdrawn >= 0 AND bytes >= 0)
);
