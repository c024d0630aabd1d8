-- What a person must look at: one case for each type and key, for ever.
-- TEXT and BIGINT only; instants (_at) are microseconds since 1970-01-01 UTC; money is integer fen.
CREATE TABLE findings (
    -- Derived from type and key.
    id TEXT NOT NULL PRIMARY KEY,
    -- A name of FindingType; no CHECK, so that a new type needs no migration.
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    -- superseded: a newer look at the same thing no longer finds it.
    state TEXT NOT NULL CONSTRAINT findings_state
        CHECK (state IN ('open', 'assigned', 'resolved', 'superseded')),
    owner TEXT,
    order_no TEXT,
    -- What is at stake.
    amount_fen BIGINT,
    -- What is wrong and what to do.
    text TEXT NOT NULL,
    -- JSON: what it was found by.
    evidence TEXT NOT NULL,
    -- Why it is over, who said so, and what was booked to make good for it.
    reason TEXT,
    settled_by TEXT,
    adjustment_fen BIGINT,
    raised_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    -- NULL: somebody must still look.
    settled_at BIGINT,
    CONSTRAINT findings_once UNIQUE (type, key)
);
CREATE INDEX findings_by_time ON findings (raised_at, id);
CREATE INDEX findings_unsettled ON findings (type, raised_at) WHERE settled_at IS NULL;
CREATE INDEX findings_by_order ON findings (order_no) WHERE order_no IS NOT NULL;
