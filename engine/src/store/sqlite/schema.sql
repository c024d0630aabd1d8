-- The carrier's file, version 1. States are numbered in the order of `State::ALL`: 0 scheduled, 1 ready,
-- 2 running, 3 retrying, 4 completed, 5 dead, 6 cancelled. Instants are microseconds since 1970; run_at,
-- deadline_at, created_at and done_at in the shop's time, lease_at in wall time.
--
-- A partial index serves only a query that repeats its WHERE literally.

-- One row a queue: its books, its gate, and how many jobs it ever handed out (for the turns of priorities).
CREATE TABLE queue (
  no        INTEGER PRIMARY KEY,
  name      TEXT NOT NULL UNIQUE,
  scheduled INTEGER NOT NULL DEFAULT 0,
  ready     INTEGER NOT NULL DEFAULT 0,
  running   INTEGER NOT NULL DEFAULT 0,
  retrying  INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0,
  dead      INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  accepted  INTEGER NOT NULL DEFAULT 0,
  pruned    INTEGER NOT NULL DEFAULT 0,
  given     INTEGER NOT NULL DEFAULT 0,
  gate      TEXT NOT NULL
);

-- AUTOINCREMENT: a seq that came back after a delete would let an old token settle another job.
CREATE TABLE job (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  id          BLOB NOT NULL UNIQUE,   -- 16 bytes of a canonical UUID; any other id is TEXT, which equals no BLOB
  kind        TEXT NOT NULL,
  queue       INTEGER NOT NULL,
  priority    INTEGER NOT NULL,
  state       INTEGER NOT NULL,
  run_at      INTEGER NOT NULL,       -- when it is, or became, due
  attempt     INTEGER NOT NULL DEFAULT 0,
  crashes     INTEGER NOT NULL DEFAULT 0,
  token       INTEGER NOT NULL DEFAULT 0,
  cancelling  INTEGER NOT NULL DEFAULT 0,
  lease_at    INTEGER,
  worker      TEXT,
  deadline_at INTEGER,
  created_at  INTEGER NOT NULL,
  done_at     INTEGER,                -- of finished jobs, and only of them
  unique_key  TEXT,                   -- held while the job is not terminal
  window_key  TEXT                    -- held by unique_window; here only to be shown
);

-- Written once and read at reserve. Beside the job's row, because an UPDATE rewrites a whole row.
CREATE TABLE body (
  seq      INTEGER PRIMARY KEY,
  envelope TEXT NOT NULL
);

-- Only where there is something to tell.
CREATE TABLE outcome (
  seq    INTEGER PRIMARY KEY,
  result TEXT,
  faults TEXT,
  notes  TEXT
);

CREATE TABLE unique_window (
  kind  TEXT NOT NULL,
  key   TEXT NOT NULL,
  until INTEGER NOT NULL,
  id    BLOB NOT NULL,
  PRIMARY KEY (kind, key)
) WITHOUT ROWID;

CREATE TABLE schedule (
  name   TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL
) WITHOUT ROWID;

-- One row, written to prove that the file can be.
CREATE TABLE pulse (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  at  INTEGER NOT NULL
);

-- `state` stands at the end so that the audit can count from the index alone.
CREATE INDEX job_ready     ON job (queue, priority, run_at, seq, state) WHERE state = 1;
CREATE INDEX job_scheduled ON job (run_at, seq, queue, state)           WHERE state = 0;
CREATE INDEX job_retrying  ON job (run_at, seq, queue, state)           WHERE state = 3;
CREATE INDEX job_running   ON job (lease_at, queue, state)              WHERE state = 2;
-- By done_at, which only finished jobs have: with `state >= 4` as the condition, a query for one state must
-- repeat it, and SQLite then ranges over the states and sorts.
CREATE INDEX job_finished  ON job (queue, state, done_at)               WHERE done_at IS NOT NULL;
CREATE UNIQUE INDEX job_unique_key ON job (kind, unique_key) WHERE unique_key IS NOT NULL AND state < 4;
