-- What became of comparing a day's bills with our books.
-- TEXT and BIGINT only; instants (_at) are microseconds since 1970-01-01 UTC; money is integer fen; days are
-- yyyy-MM-dd on Beijing's calendar.

CREATE TABLE reconciliations (
    -- mchid:day:vN
    id TEXT NOT NULL CONSTRAINT reconciliations_pk PRIMARY KEY,
    mchid TEXT NOT NULL,
    day TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- abandoned: begun, and other files came before it ended.
    state TEXT NOT NULL CONSTRAINT reconciliations_state
        CHECK (state IN ('running', 'done', 'refused', 'no_statement', 'abandoned')),
    -- What was compared; '' where there was none.
    trade_bill TEXT NOT NULL,
    trade_sha1 TEXT NOT NULL,
    fund_bill TEXT NOT NULL,
    fund_sha1 TEXT NOT NULL,
    -- Counts the tries: the fence between two at once.
    attempt BIGINT NOT NULL,
    -- Who began it.
    job_id TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    -- JSON; '' until it has ended.
    report TEXT NOT NULL DEFAULT '',
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    CONSTRAINT reconciliations_version UNIQUE (mchid, day, version)
);
CREATE INDEX reconciliations_by_day ON reconciliations (day, version);

-- Which cases a comparison found: what a newer one no longer finds is superseded.
CREATE TABLE reconciliation_findings (
    reconciliation_id TEXT NOT NULL,
    finding_id TEXT NOT NULL,
    -- The try that found it last.
    attempt BIGINT NOT NULL,
    -- 1: the end of a carry from an earlier day, which no other version of this day takes back.
    carried BIGINT NOT NULL,
    CONSTRAINT reconciliation_findings_pk PRIMARY KEY (reconciliation_id, finding_id)
);
CREATE INDEX reconciliation_findings_by_finding ON reconciliation_findings (finding_id);

-- Rows of one side that the other side's file of the same day does not have.
CREATE TABLE carries (
    -- payment, refund: ours, that no bill has yet. fund: a payment of a bill that no flow of funds has yet.
    kind TEXT NOT NULL CONSTRAINT carries_kind CHECK (kind IN ('payment', 'refund', 'fund')),
    key TEXT NOT NULL,
    -- The row's own day.
    day TEXT NOT NULL,
    -- From when its three days are counted.
    since_day TEXT NOT NULL,
    amount_fen BIGINT NOT NULL,
    order_no TEXT NOT NULL,
    -- dropped: it is owed by nobody any more.
    state TEXT NOT NULL CONSTRAINT carries_state CHECK (state IN ('waiting', 'matched', 'raised', 'dropped')),
    -- The day of the bill that has it; '' while none has.
    matched_day TEXT NOT NULL,
    -- The try of a comparison that saw it last.
    seen TEXT NOT NULL,
    CONSTRAINT carries_pk PRIMARY KEY (kind, key)
);
CREATE INDEX carries_waiting ON carries (kind, since_day, key) WHERE state = 'waiting';
CREATE INDEX carries_by_day ON carries (day, key);
CREATE INDEX carries_by_matched_day ON carries (matched_day, key) WHERE matched_day <> '';

-- A day of ours is read in the order of its instants.
CREATE INDEX payments_by_paid_at ON payments (paid_at, out_trade_no);
CREATE INDEX refunds_by_requested_at ON refunds (requested_at, refund_no);
