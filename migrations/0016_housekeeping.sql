-- Backups that were taken, as whoever takes them reports; and what retention looks for rows by.
-- TEXT and BIGINT only; instants (_at) are microseconds since 1970-01-01 UTC.
CREATE TABLE backups (
    -- Made of kind and taken_at: a report that is repeated is one backup.
    id TEXT NOT NULL PRIMARY KEY,
    -- What was backed up, in the operator's words: ledger, queue.
    kind TEXT NOT NULL,
    taken_at BIGINT NOT NULL,
    bytes BIGINT NOT NULL CONSTRAINT backups_bytes CHECK (bytes > 0),
    -- Of the file, in hexadecimal.
    sha256 TEXT NOT NULL,
    -- Where it lies.
    location TEXT NOT NULL,
    -- When it was last restored somewhere and looked at; NULL: never.
    verified_at BIGINT,
    reported_at BIGINT NOT NULL,
    reported_by TEXT NOT NULL
);
CREATE INDEX backups_newest ON backups (kind, taken_at);

CREATE INDEX order_events_at ON order_events (at);
CREATE INDEX callbacks_received ON callbacks (received_at);
CREATE INDEX effects_settled ON effects (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX findings_settled ON findings (settled_at) WHERE settled_at IS NOT NULL;
