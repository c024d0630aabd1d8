-- Messages that are about no order, each to a recipient of its own; webhooks; which findings were told to people.
-- TEXT and BIGINT only; instants (_at) are microseconds since 1970-01-01 UTC, of the shop's time.

-- A key cannot be widened on SQLite, so the table is made anew.
CREATE TABLE notifications_next (
    -- '': about no order.
    order_no TEXT NOT NULL,
    template TEXT NOT NULL,
    -- What happened, where one template may be due more than once (a refund's number, the day of a summary).
    event TEXT NOT NULL,
    channel TEXT NOT NULL CONSTRAINT notifications_channel CHECK (channel IN ('subscribe', 'mail')),
    -- '': the order's customer.
    recipient TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL CONSTRAINT notifications_state
        CHECK (state IN ('queued', 'sent', 'refused', 'failed', 'skipped', 'in_doubt')),
    note TEXT NOT NULL DEFAULT '',
    -- JSON: what the message says, where that is not read from the order when it is sent.
    data TEXT,
    queued_at BIGINT NOT NULL,
    settled_at BIGINT,
    touched_at BIGINT NOT NULL,
    CONSTRAINT notifications_once PRIMARY KEY (order_no, template, event, channel, recipient)
);
INSERT INTO notifications_next (order_no, template, event, channel, state, note, queued_at, settled_at, touched_at)
    SELECT order_no, template, event, channel, state, note, queued_at, settled_at, touched_at FROM notifications;
DROP TABLE notifications;
ALTER TABLE notifications_next RENAME TO notifications;
CREATE INDEX notifications_by_state ON notifications (state, touched_at);

-- Who wants to be told over HTTP.
CREATE TABLE webhook_endpoints (
    id TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    -- Types of events separated by spaces, 'order.*' for all of a sort; '': every type.
    types TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL CONSTRAINT webhook_endpoints_state CHECK (state IN ('enabled', 'disabled')),
    -- Why it is disabled.
    reason TEXT NOT NULL DEFAULT '',
    -- Sealed with a key that is not in the ledger.
    secret TEXT NOT NULL,
    -- The secret before, with which messages are signed, too, until it ends.
    old_secret TEXT,
    old_secret_ends_at BIGINT,
    -- Tries in a row that failed, since when, and until when the endpoint is left in peace.
    failures BIGINT NOT NULL DEFAULT 0,
    failing_since_at BIGINT,
    rests_until_at BIGINT,
    delivered_at BIGINT,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- What there is to be told: one message for each event, whoever is told of it.
CREATE TABLE webhook_messages (
    -- The webhook-id.
    id TEXT NOT NULL PRIMARY KEY,
    type TEXT NOT NULL,
    -- '': about no order.
    order_no TEXT NOT NULL,
    -- The bytes that are signed and sent.
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX webhook_messages_by_time ON webhook_messages (created_at, id);

CREATE TABLE webhook_deliveries (
    endpoint TEXT NOT NULL,
    message TEXT NOT NULL,
    -- dropped: the endpoint was gone or disabled before it was told.
    state TEXT NOT NULL CONSTRAINT webhook_deliveries_state
        CHECK (state IN ('queued', 'delivered', 'failed', 'dropped')),
    -- How often somebody asked for it anew: each time is an effect of its own.
    round BIGINT NOT NULL DEFAULT 0,
    -- Tries of this round.
    tries BIGINT NOT NULL DEFAULT 0,
    -- HTTP; NULL: there was no answer.
    status BIGINT,
    note TEXT NOT NULL DEFAULT '',
    queued_at BIGINT NOT NULL,
    tried_at BIGINT,
    next_at BIGINT,
    settled_at BIGINT,
    PRIMARY KEY (endpoint, message)
);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (endpoint, queued_at, message);
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (queued_at) WHERE state = 'queued';
CREATE INDEX webhook_deliveries_by_message ON webhook_deliveries (message);

-- Each try of a delivery.
CREATE TABLE webhook_tries (
    endpoint TEXT NOT NULL,
    message TEXT NOT NULL,
    round BIGINT NOT NULL,
    nth BIGINT NOT NULL,
    at BIGINT NOT NULL,
    -- Wall time.
    took_ms BIGINT NOT NULL,
    status BIGINT,
    note TEXT NOT NULL,
    PRIMARY KEY (endpoint, message, round, nth)
);
CREATE INDEX webhook_tries_by_time ON webhook_tries (at);

-- Which findings people were told of.
CREATE TABLE finding_notices (
    finding TEXT NOT NULL PRIMARY KEY,
    noticed_at BIGINT NOT NULL,
    -- NULL: not yet by mail.
    mailed_at BIGINT
);
CREATE INDEX finding_notices_waiting ON finding_notices (noticed_at) WHERE mailed_at IS NULL;
