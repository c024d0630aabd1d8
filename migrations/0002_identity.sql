-- Which ledger this is, for whatever must not be mixed up with another one's: made once, by whoever opens it first.
CREATE TABLE ledger_identity (
    -- There is one row.
    one BIGINT NOT NULL,
    -- A UUID.
    id TEXT NOT NULL,
    -- Wall time.
    made_at BIGINT NOT NULL,
    CONSTRAINT ledger_identity_pk PRIMARY KEY (one),
    CONSTRAINT ledger_identity_is_one CHECK (one = 1)
);
