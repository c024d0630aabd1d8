-- Who may call the front door. The secret itself is nowhere: only its hash.
CREATE TABLE api_keys (
    -- The public part of the key.
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    -- Separated by spaces.
    scopes TEXT NOT NULL,
    -- Separated by spaces; NULL: every kind.
    kinds TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    -- NULL: it is good.
    revoked_at BIGINT,
    CONSTRAINT api_keys_pk PRIMARY KEY (id),
    CONSTRAINT api_keys_hash UNIQUE (hash)
);
