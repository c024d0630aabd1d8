-- The outbox takes jobs from other programs that know no envelope: id, kind and payload are enough. SQLite cannot
-- loosen a column, so the table is made anew.
CREATE TABLE outbox_next (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- NULL: the kind's own.
    queue TEXT,
    -- NULL: the kind's own.
    priority TEXT,
    run_at BIGINT,
    unique_key TEXT,
    unique_window_us BIGINT,
    deadline_at BIGINT,
    -- Either the whole envelope or the payload alone, as JSON.
    envelope TEXT,
    payload TEXT,
    -- The order of hand-over.
    position BIGINT NOT NULL DEFAULT 0,
    -- Shop's time; 0: until a relay has seen it.
    created_at BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'live',
    -- Shop's time; NULL: the carrier has not been given the job.
    handed_at BIGINT,
    -- Shop's time: when the carrier last held the job unfinished.
    seen_at BIGINT,
    -- Which carrier was given the job; another carrier than the present one has lost it.
    carrier BIGINT,
    -- Wall time: before it the relay leaves the row alone.
    look_at BIGINT NOT NULL DEFAULT 0,
    -- Shop's time: when the row left the state 'live'.
    ended_at BIGINT,
    reason TEXT,
    CONSTRAINT outbox_key PRIMARY KEY (id),
    CONSTRAINT outbox_state_known CHECK (state IN ('live', 'dead', 'refused')),
    CONSTRAINT outbox_one_content CHECK ((envelope IS NULL) <> (payload IS NULL))
);
INSERT INTO outbox_next (id, kind, queue, priority, run_at, unique_key, unique_window_us, deadline_at, envelope,
        position, created_at, state, handed_at, seen_at, carrier, look_at, ended_at, reason)
    SELECT id, kind, queue, priority, run_at, unique_key, unique_window_us, deadline_at, envelope,
        position, created_at, state, handed_at, seen_at, carrier, look_at, ended_at, reason FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_next RENAME TO outbox;
CREATE UNIQUE INDEX outbox_unique ON outbox (kind, unique_key) WHERE unique_key IS NOT NULL AND state = 'live';
CREATE INDEX outbox_waiting ON outbox (position, id) WHERE handed_at IS NULL AND state = 'live';
CREATE INDEX outbox_handed ON outbox (look_at, id) WHERE handed_at IS NOT NULL;
-- Finds what another carrier was given, and counts what this one has, without reading the envelopes.
CREATE INDEX outbox_carrier ON outbox (carrier) WHERE handed_at IS NOT NULL AND state = 'live';
CREATE INDEX outbox_ended ON outbox (ended_at, id) WHERE ended_at IS NOT NULL;
