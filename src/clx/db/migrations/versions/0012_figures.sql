CREATE TABLE serving_figures (
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  server INTEGER NOT NULL,
  told_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  success INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  missed INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  withdrawn INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  p50_ns INTEGER NOT NULL,
  p99_ns INTEGER NOT NULL,
  p999_ns INTEGER NOT NULL,
  detail TEXT DEFAULT '{}' NOT NULL,
  PRIMARY KEY (model, version),
  CONSTRAINT serving_figure_numbers CHECK (success >= 0 AND refused >= 0 AND missed >= 0 AND failed >= 0 AND withdrawn >= 0 AND bytes >= 0)
)
 WITHOUT ROWID;
