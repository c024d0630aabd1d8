//! What must be true of the books at every moment, whatever failed (facts: commerce-states.md 7): money, goods and
//! effects of each order agree. Reads only; what it finds is a fault of ours, not of the outside.

use serde::{Deserialize, Serialize};

use crate::ledger::{Ledger, LedgerError};

/// Violations of one rule that are told.
pub const VIOLATIONS_MAX: i64 = 100;
/// An effect that can be asked for or told again has ended by then, or a person was told (shop's time).
const DOUBT_MAX: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);

/// Something in the books that must never be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub rule: String,
    /// An order's number, or the key of an effect.
    pub about: String,
}

/// Name of a rule, and what breaks it.
const RULES: [(&str, &str); 9] = [
    (
        "no more goes back than was paid",
        "SELECT p.order_no FROM payments AS p JOIN (SELECT order_no, CAST(SUM(amount_fen) AS BIGINT) AS back_fen \
         FROM refunds WHERE state NOT IN ('closed', 'refused') GROUP BY order_no) AS r ON r.order_no = p.order_no \
         WHERE r.back_fen > p.paid_fen ORDER BY p.order_no LIMIT $1",
    ),
    (
        "money of an order that was given up is on its way back, or a person was told",
        "SELECT o.order_no FROM orders AS o JOIN payments AS p ON p.order_no = o.order_no \
         WHERE o.state IN ('cancelled', 'refused') AND p.state IN ('succeeded', 'late') AND p.paid_fen > \
         (SELECT CAST(COALESCE(SUM(r.amount_fen), 0) AS BIGINT) FROM refunds AS r WHERE r.order_no = o.order_no \
         AND (r.state IN ('requested', 'accepted', 'succeeded', 'abnormal') OR \
         (r.state IN ('closed', 'refused') AND r.replaced_by = ''))) ORDER BY o.order_no LIMIT $1",
    ),
    (
        "a payment that was made moves its order",
        "SELECT o.order_no FROM orders AS o JOIN payments AS p ON p.order_no = o.order_no \
         WHERE o.state = 'pending' AND p.state IN ('succeeded', 'late') ORDER BY o.order_no LIMIT $1",
    ),
    (
        "an order that goes on was paid",
        "SELECT o.order_no FROM orders AS o JOIN payments AS p ON p.order_no = o.order_no \
         WHERE o.state NOT IN ('pending', 'cancelling', 'cancelled', 'refusing', 'refused') \
         AND p.state NOT IN ('succeeded', 'late') ORDER BY o.order_no LIMIT $1",
    ),
    (
        "one transaction pays one order",
        "SELECT transaction_id FROM payments WHERE transaction_id IS NOT NULL \
         GROUP BY transaction_id HAVING COUNT(*) > 1 ORDER BY transaction_id LIMIT $1",
    ),
    (
        "an order that was given up is not left with the supplier, or a person was told",
        "SELECT o.order_no FROM orders AS o JOIN supplier_orders AS s ON s.order_no = o.order_no \
         WHERE o.state IN ('cancelled', 'refused') AND s.state IN ('accepted', 'confirmed', 'out_of_stock') \
         AND s.cancel = '' ORDER BY o.order_no LIMIT $1",
    ),
    (
        "goods are paid back once",
        "SELECT l.order_no FROM (SELECT rl.order_no, rl.product_code, CAST(SUM(rl.units) AS BIGINT) AS units \
         FROM refund_lines AS rl JOIN refunds AS r ON r.refund_no = rl.refund_no WHERE r.replaced_by = '' \
         GROUP BY rl.order_no, rl.product_code) AS l WHERE l.units > \
         (SELECT CAST(COALESCE(SUM(ol.quantity), 0) AS BIGINT) FROM order_lines AS ol \
         WHERE ol.order_no = l.order_no AND ol.product_code = l.product_code) ORDER BY l.order_no LIMIT $1",
    ),
    (
        "a refund that came to nothing is a finding",
        "SELECT r.order_no FROM refunds AS r WHERE r.replaced_by = '' \
         AND r.state IN ('closed', 'abnormal', 'refused') AND NOT EXISTS (SELECT 1 FROM findings AS f \
         WHERE f.key = r.refund_no AND f.type IN ('refund_closed', 'refund_abnormal', 'refund_refused')) \
         ORDER BY r.order_no LIMIT $1",
    ),
    (
        "a payment in dispute is a finding",
        "SELECT p.order_no FROM payments AS p WHERE p.state = 'disputed' AND NOT EXISTS (SELECT 1 FROM findings AS f \
         WHERE f.key = p.order_no AND f.type = 'payment_disputed') ORDER BY p.order_no LIMIT $1",
    ),
];

const DOUBT_RULE: &str = "nothing stays in doubt that can be asked or told again";

/// Everything that is wrong, at most [`VIOLATIONS_MAX`] of each rule; empty: the books are in order.
pub async fn invariants(ledger: &Ledger) -> Result<Vec<Violation>, LedgerError> {
    let mut conn = ledger.snapshot().await?;
    let mut violations = Vec::new();
    let told = |rule: &str, about: String| Violation { rule: rule.to_owned(), about };
    for (rule, sql) in RULES {
        let rows: Vec<(String,)> = sqlx::query_as(sql).bind(VIOLATIONS_MAX).fetch_all(&mut *conn).await?;
        violations.extend(rows.into_iter().map(|(about,)| told(rule, about)));
    }
    // Messages can neither be asked for nor told twice: they stay as they are.
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT key FROM effects WHERE settled_at IS NULL AND created_at < $1 \
         AND kind IN ('ylh.create', 'ylh.cancel', 'wechat.close', 'wechat.refund', 'mini.upload_shipping') \
         AND NOT EXISTS (SELECT 1 FROM findings AS f WHERE f.order_no = effects.about AND f.settled_at IS NULL) \
         ORDER BY created_at, key LIMIT $2",
    )
    .bind((ledger.clock().now() - DOUBT_MAX).micros())
    .bind(VIOLATIONS_MAX)
    .fetch_all(&mut *conn)
    .await?;
    violations.extend(rows.into_iter().map(|(key,)| told(DOUBT_RULE, key)));
    Ok(violations)
}
