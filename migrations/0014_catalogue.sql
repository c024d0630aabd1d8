-- What the supplier sells, at what price, how much of it, and what is left on the payer accounts: the last good word
-- on each with its time, and what changed. Only answers write here; a call that failed writes nothing.
--
-- `supply` of step 10 is neither read nor written from here on: `products` and `prices` say what it said. It stays for
-- builds that still run while this one is rolled out.

CREATE TABLE products (
    product_code TEXT NOT NULL PRIMARY KEY,
    model TEXT NOT NULL DEFAULT '',
    product_group TEXT NOT NULL DEFAULT '',
    brand TEXT NOT NULL DEFAULT '',
    image_url TEXT NOT NULL DEFAULT '',
    -- JSON list.
    long_image_urls TEXT NOT NULL DEFAULT '[]',
    for_sale BIGINT NOT NULL DEFAULT 0,
    -- Why it cannot be bought; '' when it can.
    refusal TEXT NOT NULL DEFAULT '',
    -- 1: its price and stock are asked for.
    active BIGINT NOT NULL DEFAULT 1,
    first_seen_at BIGINT NOT NULL,
    -- The newest answer that held it; 0: none yet.
    last_seen_at BIGINT NOT NULL DEFAULT 0,
    -- When for_sale last changed.
    sale_changed_at BIGINT NOT NULL DEFAULT 0,
    -- Since when answers leave it out: nothing is known then, least of all that it is not for sale.
    unknown_since_at BIGINT
);
CREATE INDEX products_active ON products (product_code) WHERE active = 1;

-- Amounts are of the newest answer that had any; refusal is of the newest answer.
CREATE TABLE prices (
    product_code TEXT NOT NULL PRIMARY KEY,
    supply_fen BIGINT,
    invoice_fen BIGINT,
    -- supply x (1 - rebate_rate) - rebate, by our own count.
    computed_fen BIGINT,
    -- A decimal as the supplier writes it.
    rebate_rate TEXT NOT NULL DEFAULT '0',
    rebate_fen BIGINT NOT NULL DEFAULT 0,
    rebate_policy TEXT NOT NULL DEFAULT '',
    refusal TEXT NOT NULL DEFAULT '',
    -- The key of the finding that says that the amounts do not add up; '' while they do.
    mismatch TEXT NOT NULL DEFAULT '',
    -- 0: no answer yet.
    asked_at BIGINT NOT NULL DEFAULT 0,
    -- When the amounts were last said.
    priced_at BIGINT NOT NULL DEFAULT 0,
    changed_at BIGINT NOT NULL DEFAULT 0
);

-- Append-only: each row is one move, from what to what.
CREATE TABLE price_changes (
    id TEXT NOT NULL PRIMARY KEY,
    product_code TEXT NOT NULL,
    at BIGINT NOT NULL,
    supply_fen_before BIGINT,
    supply_fen BIGINT,
    invoice_fen_before BIGINT,
    invoice_fen BIGINT,
    refusal TEXT NOT NULL
);
CREATE INDEX price_changes_product ON price_changes (product_code, at, id);
CREATE INDEX price_changes_at ON price_changes (at, id);

ALTER TABLE stock ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX stock_asked ON stock (county_code, asked_at);

-- Kept for as long as the shop's settings say.
CREATE TABLE stock_changes (
    id TEXT NOT NULL PRIMARY KEY,
    product_code TEXT NOT NULL,
    county_code TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- NULL: nothing was known.
    quantity_before BIGINT,
    quantity BIGINT NOT NULL
);
CREATE INDEX stock_changes_product ON stock_changes (product_code, at, id);
CREATE INDEX stock_changes_at ON stock_changes (at, id);

-- The story of each product.
CREATE TABLE catalogue_events (
    id TEXT NOT NULL PRIMARY KEY,
    product_code TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL CONSTRAINT catalogue_events_kind
        CHECK (kind IN ('appeared', 'left_sale', 'back_on_sale', 'described', 'price_moved', 'price_gone',
            'price_back', 'unknown', 'known_again')),
    text TEXT NOT NULL
);
CREATE INDEX catalogue_events_product ON catalogue_events (product_code, at, id);
CREATE INDEX catalogue_events_at ON catalogue_events (at, id);

-- One synchronisation: planned at once, worked off chunk by chunk.
CREATE TABLE sync_runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CONSTRAINT sync_runs_kind CHECK (kind IN ('products', 'prices', 'stock')),
    -- finished: every chunk is settled. abandoned: it took too long, and the rest was given up.
    state TEXT NOT NULL CONSTRAINT sync_runs_state CHECK (state IN ('running', 'finished', 'abandoned')),
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    -- How often its open chunks were handed to the queue.
    rounds BIGINT NOT NULL DEFAULT 1,
    chunks BIGINT NOT NULL,
    done BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    -- Codes asked for, of which an answer left out, and of which something changed.
    codes BIGINT NOT NULL,
    unknown BIGINT NOT NULL DEFAULT 0,
    changed BIGINT NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX sync_runs_open ON sync_runs (kind) WHERE state = 'running';
CREATE INDEX sync_runs_started ON sync_runs (started_at, run_id);

-- What a running run still has to ask; chunks that failed stay as long as their run.
CREATE TABLE sync_chunks (
    run_id TEXT NOT NULL,
    chunk_no BIGINT NOT NULL,
    -- JSON list of product codes.
    codes TEXT NOT NULL,
    -- Of stock only.
    county_code TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'wanted' CONSTRAINT sync_chunks_state CHECK (state IN ('wanted', 'failed')),
    error TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (run_id, chunk_no)
);

-- What is left on each payer account.
CREATE TABLE supplier_balances (
    sale_group_code TEXT NOT NULL,
    payer_account_code TEXT NOT NULL,
    sale_group_name TEXT NOT NULL DEFAULT '',
    balance_fen BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    -- The key of the finding that says that it is low; '' while it is not.
    low TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (sale_group_code, payer_account_code)
);
CREATE TABLE supplier_balance_readings (
    id TEXT NOT NULL PRIMARY KEY,
    sale_group_code TEXT NOT NULL,
    payer_account_code TEXT NOT NULL,
    at BIGINT NOT NULL,
    balance_fen BIGINT NOT NULL
);
CREATE INDEX supplier_balance_readings_at ON supplier_balance_readings (at, id);
