-- Bills of WeChat Pay: what was fetched of each day, and the files.
-- TEXT and BIGINT only; instants (_at) are microseconds since 1970-01-01 UTC.

CREATE TABLE bills (
    id TEXT NOT NULL CONSTRAINT bills_pk PRIMARY KEY,
    mchid TEXT NOT NULL,
    -- yyyy-MM-dd on Beijing's calendar.
    day TEXT NOT NULL,
    type TEXT NOT NULL CONSTRAINT bills_type CHECK (type IN ('trade', 'fund')),
    -- ready: whole, and its SHA1 is right. Only then may its file be read. expired: it was ready; its file is gone.
    state TEXT NOT NULL
        CONSTRAINT bills_state
        CHECK (state IN ('fetching', 'abandoned', 'ready', 'expired', 'no_statement', 'refused')),
    -- Of the uncompressed bytes, in lower case; '' where there is no file.
    sha1 TEXT NOT NULL DEFAULT '',
    -- 1, 2, ... among the ready and expired ones of the same merchant, day and type; 0 for the others.
    version BIGINT NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    -- Uncompressed.
    bytes BIGINT NOT NULL DEFAULT 0,
    rows BIGINT NOT NULL DEFAULT 0,
    bad_rows BIGINT NOT NULL DEFAULT 0,
    -- 1: the summary line is what the lines add up to.
    adds_up BIGINT NOT NULL DEFAULT 0,
    -- Of a refusal without sha1: files in a row that were not what WeChat vouches for.
    wrong_hashes BIGINT NOT NULL DEFAULT 0,
    -- JSON: each figure, as printed and as summed.
    totals TEXT NOT NULL DEFAULT '',
    fetched_at BIGINT NOT NULL,
    -- When WeChat last said that this is how it stands.
    asked_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX bills_file ON bills (mchid, day, type, sha1) WHERE state = 'ready';
CREATE UNIQUE INDEX bills_version ON bills (mchid, day, type, version) WHERE version > 0;
CREATE UNIQUE INDEX bills_no_statement ON bills (mchid, day, type) WHERE state = 'no_statement';
CREATE UNIQUE INDEX bills_refused ON bills (mchid, day, type, sha1) WHERE state = 'refused';
CREATE INDEX bills_by_day ON bills (day, fetched_at, id);
CREATE INDEX bills_left_over ON bills (id) WHERE state = 'abandoned';
CREATE INDEX bills_ready ON bills (day, id) WHERE state = 'ready';

-- The file: gzip, cut into pieces, each in base64. No piece of a bill that is not ready is ever read.
CREATE TABLE bill_files (
    bill_id TEXT NOT NULL,
    -- From 0.
    seq BIGINT NOT NULL,
    data TEXT NOT NULL,
    CONSTRAINT bill_files_pk PRIMARY KEY (bill_id, seq)
);
