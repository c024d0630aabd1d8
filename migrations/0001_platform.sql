-- The platform's half of the ledger. SQLite and PostgreSQL run this same text: TEXT and BIGINT only, instants in
-- microseconds ending in _at, JSON as text, states as text with a CHECK.

-- Jobs that were accepted and are not over. A row is both the promise that the job will run and the transactional
-- way in: another program that shares the database inserts (id, kind, queue, envelope) in its own transaction.
CREATE TABLE outbox (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority TEXT NOT NULL DEFAULT 'normal',
    run_at BIGINT,
    unique_key TEXT,
    unique_window_us BIGINT,
    deadline_at BIGINT,
    envelope TEXT NOT NULL,
    -- The order of hand-over.
    position BIGINT NOT NULL DEFAULT 0,
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
    CONSTRAINT outbox_pk PRIMARY KEY (id),
    CONSTRAINT outbox_state_known CHECK (state IN ('live', 'dead', 'refused'))
);
CREATE UNIQUE INDEX outbox_unique ON outbox (kind, unique_key) WHERE unique_key IS NOT NULL AND state = 'live';
CREATE INDEX outbox_waiting ON outbox (position, id) WHERE handed_at IS NULL AND state = 'live';
CREATE INDEX outbox_handed ON outbox (look_at, id) WHERE handed_at IS NOT NULL;
CREATE INDEX outbox_ended ON outbox (ended_at, id) WHERE ended_at IS NOT NULL;

-- What was done to the outside world, or may have been.
CREATE TABLE effects (
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    about TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Counts the calls that were begun: the fence between two attempts at once.
    tells BIGINT NOT NULL,
    -- Wall time at which the newest call began; NULL: nothing of ours can have reached the outside.
    told_at BIGINT,
    -- Which process began the newest call.
    teller TEXT NOT NULL,
    answer TEXT,
    code TEXT,
    reason TEXT,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    doubted_at BIGINT,
    settled_at BIGINT,
    CONSTRAINT effects_pk PRIMARY KEY (key),
    CONSTRAINT effects_state_known CHECK (state IN ('intended', 'done', 'refused', 'in_doubt'))
);
CREATE INDEX effects_about ON effects (about, created_at);
CREATE INDEX effects_open ON effects (created_at, key) WHERE settled_at IS NULL;

-- The timeline of each order.
CREATE TABLE order_events (
    id TEXT NOT NULL,
    order_no TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    job_id TEXT,
    data TEXT,
    CONSTRAINT order_events_pk PRIMARY KEY (id)
);
CREATE INDEX order_events_order ON order_events (order_no, at, id);

-- Callbacks as they came, before anybody judges what they mean.
CREATE TABLE callbacks (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    body_form TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT,
    -- How often the same content came.
    times BIGINT NOT NULL DEFAULT 1,
    handled_at BIGINT,
    CONSTRAINT callbacks_pk PRIMARY KEY (id),
    CONSTRAINT callbacks_verdict_known CHECK (verdict IN ('accepted', 'refused')),
    CONSTRAINT callbacks_body_form_known CHECK (body_form IN ('text', 'base64'))
);
CREATE INDEX callbacks_waiting ON callbacks (received_at, id) WHERE handled_at IS NULL AND verdict = 'accepted';

-- Access tokens of the outside systems, one holder at a time, shared by all processes.
CREATE TABLE tokens (
    name TEXT NOT NULL,
    value TEXT,
    token_type TEXT,
    issued_at BIGINT,
    expires_at BIGINT,
    holder TEXT,
    held_until BIGINT,
    CONSTRAINT tokens_pk PRIMARY KEY (name)
);

-- Who did what by hand.
CREATE TABLE audit_log (
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    about TEXT NOT NULL,
    detail TEXT,
    CONSTRAINT audit_log_pk PRIMARY KEY (id)
);
CREATE INDEX audit_log_at ON audit_log (at, id);
