-- Refunds that say why they were made and for which goods, returns that were asked for, and uploads that are tried anew.

-- unwound: the order was given up; returned: the supplier has goods back; late: paid after the order was given up;
-- asked: somebody asked for it; replaced: takes the place of one that came to nothing. '': made before this step.
ALTER TABLE refunds ADD COLUMN origin TEXT NOT NULL DEFAULT '';
-- The id of the job that asked for it: however often the job runs, it asks once.
ALTER TABLE refunds ADD COLUMN asked_by TEXT NOT NULL DEFAULT '';
-- The refund that took its place after a person's decision.
ALTER TABLE refunds ADD COLUMN replaced_by TEXT NOT NULL DEFAULT '';
-- Not sent before: refunds of one order keep a distance.
ALTER TABLE refunds ADD COLUMN send_at BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX refunds_asked_by ON refunds (order_no, asked_by) WHERE asked_by <> '';

-- The goods that a refund pays for: what is paid for once is not paid for again, whoever speaks of it next.
CREATE TABLE refund_lines (
    refund_no TEXT NOT NULL,
    order_no TEXT NOT NULL,
    product_code TEXT NOT NULL,
    units BIGINT NOT NULL CONSTRAINT refund_lines_units CHECK (units > 0),
    PRIMARY KEY (refund_no, product_code)
);
CREATE INDEX refund_lines_by_order ON refund_lines (order_no);

-- Why the customer sends the goods back; '': nobody asked for a return.
ALTER TABLE supplier_orders ADD COLUMN return_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX supplier_orders_by_cancel ON supplier_orders (cancel, touched_at) WHERE cancel IN ('wanted', 'asked');

-- Each try after a person's decision is an effect of its own.
ALTER TABLE shipping_uploads ADD COLUMN tries BIGINT NOT NULL DEFAULT 1;
