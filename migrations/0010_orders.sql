-- The business half of the ledger: one order and everything that hangs on it.
-- TEXT and BIGINT only; instants (_at) are microseconds since 1970-01-01 UTC; money is integer fen.
--
-- orders.version is the lock of the whole order: every change to any row that hangs on an order first takes it
-- up by one. `touched_at` is when that last happened, or when the sweep
-- last looked at the row.

CREATE TABLE orders (
    order_no TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL CONSTRAINT orders_state CHECK (state IN ('pending', 'paid', 'checked', 'placed',
        'confirmed', 'shipped', 'delivered', 'completed', 'cancelling', 'cancelled', 'refusing', 'refused')),
    -- Where a cancelling or refusing order goes back to when the supplier does not let go of it.
    resume_state TEXT NOT NULL DEFAULT '',
    -- Why it is being (or was) cancelled or refused.
    reason TEXT NOT NULL DEFAULT '',
    -- SHA-256 of the order as it was handed in: tells a repeat from another order under the same number.
    fingerprint TEXT NOT NULL,
    openid TEXT NOT NULL,
    customer_name TEXT NOT NULL,
    mobile TEXT NOT NULL,
    email TEXT NOT NULL DEFAULT '',
    province TEXT NOT NULL,
    city TEXT NOT NULL,
    area TEXT NOT NULL,
    town TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL,
    county_code TEXT NOT NULL,
    total_fen BIGINT NOT NULL CONSTRAINT orders_total CHECK (total_fen > 0),
    remark TEXT NOT NULL DEFAULT '',
    placed_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    state_at BIGINT NOT NULL,
    -- When its parcels are to be looked for next.
    track_at BIGINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL,
    touched_at BIGINT NOT NULL
);
CREATE INDEX orders_by_state ON orders (state, touched_at);
CREATE INDEX orders_by_track ON orders (state, track_at);
CREATE INDEX orders_by_expiry ON orders (state, expires_at);

CREATE TABLE order_lines (
    order_no TEXT NOT NULL,
    line_no BIGINT NOT NULL,
    product_code TEXT NOT NULL,
    name TEXT NOT NULL,
    quantity BIGINT NOT NULL CONSTRAINT order_lines_quantity CHECK (quantity > 0),
    unit_price_fen BIGINT NOT NULL,
    -- For each unit.
    discount_fen BIGINT NOT NULL,
    PRIMARY KEY (order_no, line_no)
);

CREATE TABLE payments (
    out_trade_no TEXT NOT NULL PRIMARY KEY,
    order_no TEXT NOT NULL CONSTRAINT payments_order UNIQUE,
    -- late: money that came when the order no longer wanted it; disputed: another amount than ours, for a person.
    state TEXT NOT NULL CONSTRAINT payments_state
        CHECK (state IN ('paying', 'succeeded', 'closed', 'late', 'disputed')),
    amount_fen BIGINT NOT NULL,
    paid_fen BIGINT NOT NULL DEFAULT 0,
    transaction_id TEXT,
    paid_at BIGINT,
    -- How we came to know: query or callback.
    known_by TEXT NOT NULL DEFAULT '',
    touched_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX payments_transaction ON payments (transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TABLE refunds (
    refund_no TEXT NOT NULL PRIMARY KEY,
    order_no TEXT NOT NULL,
    seq BIGINT NOT NULL,
    amount_fen BIGINT NOT NULL CONSTRAINT refunds_amount CHECK (amount_fen > 0),
    reason TEXT NOT NULL,
    -- requested: reserved here, not yet accepted there. abnormal and closed wait for a person.
    state TEXT NOT NULL CONSTRAINT refunds_state
        CHECK (state IN ('requested', 'accepted', 'succeeded', 'closed', 'abnormal', 'refused')),
    refund_id TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    requested_at BIGINT NOT NULL,
    settled_at BIGINT,
    touched_at BIGINT NOT NULL,
    CONSTRAINT refunds_seq UNIQUE (order_no, seq)
);
CREATE INDEX refunds_by_state ON refunds (state, touched_at);

CREATE TABLE supplier_orders (
    so_id TEXT NOT NULL PRIMARY KEY,
    order_no TEXT NOT NULL CONSTRAINT supplier_orders_order UNIQUE,
    state TEXT NOT NULL CONSTRAINT supplier_orders_state CHECK (state IN ('sending', 'accepted', 'confirmed',
        'out_of_stock', 'rejected', 'cancelled', 'withdrawn')),
    -- SO number of Haier, once known; '' before.
    haier_no TEXT NOT NULL DEFAULT '',
    -- '': nobody asked; asked: waits for the supplier's answer; failed: it did not let go.
    cancel TEXT NOT NULL DEFAULT '' CONSTRAINT supplier_orders_cancel
        CHECK (cancel IN ('', 'wanted', 'asked', 'failed', 'done')),
    note TEXT NOT NULL DEFAULT '',
    sent_at BIGINT NOT NULL,
    accepted_at BIGINT,
    confirmed_at BIGINT,
    cancel_asked_at BIGINT,
    -- How often a cancel was wanted: each time is an effect of its own.
    cancels BIGINT NOT NULL DEFAULT 0,
    -- When somebody was told that an answer is overdue.
    alerted_at BIGINT,
    touched_at BIGINT NOT NULL
);
CREATE INDEX supplier_orders_by_state ON supplier_orders (state, touched_at);
CREATE INDEX supplier_orders_by_haier_no ON supplier_orders (haier_no);

-- What the supplier says became of each product: totals of the order, never increments (facts: ylh.md 10).
CREATE TABLE supplier_quantities (
    so_id TEXT NOT NULL,
    product_code TEXT NOT NULL,
    total_qty BIGINT NOT NULL,
    received_qty BIGINT NOT NULL,
    returned_qty BIGINT NOT NULL,
    rejected_qty BIGINT NOT NULL,
    -- The supplier's own time stamp of the newest callback.
    said_at BIGINT NOT NULL,
    PRIMARY KEY (so_id, product_code)
);

CREATE TABLE parcels (
    order_no TEXT NOT NULL,
    tracking_no TEXT NOT NULL,
    carrier TEXT NOT NULL,
    carrier_name TEXT NOT NULL DEFAULT '',
    -- JSON list of the serial numbers inside.
    serials TEXT NOT NULL DEFAULT '[]',
    last_state TEXT NOT NULL DEFAULT '',
    seen_at BIGINT NOT NULL,
    delivered_at BIGINT,
    PRIMARY KEY (order_no, tracking_no)
);

CREATE TABLE shipping_uploads (
    order_no TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL CONSTRAINT shipping_uploads_state
        CHECK (state IN ('wanted', 'uploaded', 'needs_person', 'not_needed')),
    note TEXT NOT NULL DEFAULT '',
    touched_at BIGINT NOT NULL
);
CREATE INDEX shipping_uploads_by_state ON shipping_uploads (state, touched_at);

CREATE TABLE notifications (
    order_no TEXT NOT NULL,
    template TEXT NOT NULL,
    -- What happened, where one template may be due more than once for an order (a refund's number).
    event TEXT NOT NULL,
    channel TEXT NOT NULL CONSTRAINT notifications_channel CHECK (channel IN ('subscribe', 'mail')),
    state TEXT NOT NULL CONSTRAINT notifications_state
        CHECK (state IN ('queued', 'sent', 'refused', 'failed', 'skipped', 'in_doubt')),
    note TEXT NOT NULL DEFAULT '',
    queued_at BIGINT NOT NULL,
    settled_at BIGINT,
    touched_at BIGINT NOT NULL,
    PRIMARY KEY (order_no, template, event, channel)
);
CREATE INDEX notifications_by_state ON notifications (state, touched_at);

-- The last good word of Haier on a product, with its time: a figure young enough is not asked for again.
CREATE TABLE supply (
    product_code TEXT NOT NULL PRIMARY KEY,
    -- '': can be bought; otherwise why it cannot.
    refusal TEXT NOT NULL,
    invoice_price_fen BIGINT NOT NULL,
    asked_at BIGINT NOT NULL
);

CREATE TABLE stock (
    product_code TEXT NOT NULL,
    county_code TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    PRIMARY KEY (product_code, county_code)
);
