//! What is kept how long: a row for every table of the ledger that grows.
//!
//! A table that is in none of the lists below fails a test, so nobody forgets a new one. What is still needed is
//! never old: an effect in doubt, a callback that nobody handled, a case that is open, anything of an order that is
//! not over.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Years of 365.25 days.
const fn years(n: u32) -> u32 {
    n * 1_461 / 4
}

/// How long the rows of one table stay.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub table: &'static str,
    /// The columns of its primary key.
    pub key: &'static str,
    /// The instant that the age of a row `t` counts from; NULL: it has none yet.
    pub(super) since: &'static str,
    /// What must hold of it, beside its age, for it to go.
    pub(super) over: &'static str,
    /// Days that rows stay where the shop does not say.
    pub days: u32,
}

/// Nothing that the row `t`, with a column `order_no`, belongs to is under way.
macro_rules! order_is_over {
    ($column:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.order_no = t.",
            $column,
            " AND o.state NOT IN ('completed', 'cancelled', 'refused'))"
        )
    };
}

/// Every table that retention looks after. Three years is what the E-Commerce Law of China (article 31) asks of the
/// records of a trade, six months what the Cybersecurity Law (article 21) asks of logs; money is kept longer, since
/// tax offices ask for five years and more.
pub static KEEP: &[Keep] = &[
    Keep {
        table: "order_events",
        key: "id",
        since: "t.at",
        over: order_is_over!("order_no"),
        days: years(3),
    },
    Keep {
        table: "effects",
        key: "key",
        since: "t.settled_at",
        over: order_is_over!("about"),
        days: years(10),
    },
    Keep {
        table: "callbacks",
        key: "id",
        since: "t.received_at",
        over: "t.handled_at IS NOT NULL OR t.verdict = 'refused'",
        days: 183,
    },
    Keep {
        table: "notifications",
        key: "order_no, template, event, channel, recipient",
        since: "t.touched_at",
        over: concat!("t.state IN ('sent', 'refused', 'failed', 'skipped') AND ", order_is_over!("order_no")),
        days: years(1),
    },
    Keep { table: "audit_log", key: "id", since: "t.at", over: "1 = 1", days: years(10) },
    Keep { table: "findings", key: "id", since: "t.settled_at", over: "1 = 1", days: years(10) },
    // Without its notice a case would be told of again.
    Keep {
        table: "finding_notices",
        key: "finding",
        since: "t.noticed_at",
        over: "NOT EXISTS (SELECT 1 FROM findings AS f WHERE f.id = t.finding)",
        days: 183,
    },
    Keep {
        table: "reconciliation_findings",
        key: "reconciliation_id, finding_id",
        since: "(SELECT r.finished_at FROM reconciliations AS r WHERE r.id = t.reconciliation_id)",
        over: "NOT EXISTS (SELECT 1 FROM findings AS f WHERE f.id = t.finding_id)",
        days: years(10),
    },
    // Tries go before their delivery, and deliveries before their message.
    Keep {
        table: "webhook_tries",
        key: "endpoint, message, round, nth",
        since: "t.at",
        over: "NOT EXISTS (SELECT 1 FROM webhook_deliveries AS d \
               WHERE d.endpoint = t.endpoint AND d.message = t.message AND d.state = 'queued')",
        days: 183,
    },
    Keep {
        table: "webhook_deliveries",
        key: "endpoint, message",
        since: "t.settled_at",
        over: "t.state <> 'queued'",
        days: 183,
    },
    Keep {
        table: "webhook_messages",
        key: "id",
        since: "t.created_at",
        over: "NOT EXISTS (SELECT 1 FROM webhook_deliveries AS d WHERE d.message = t.id)",
        days: 183,
    },
    Keep { table: "price_changes", key: "id", since: "t.at", over: "1 = 1", days: years(3) },
    Keep { table: "catalogue_events", key: "id", since: "t.at", over: "1 = 1", days: years(3) },
    // The newest of each kind stays, however old it is: it says since when there is none.
    Keep {
        table: "backups",
        key: "id",
        since: "t.taken_at",
        over: "EXISTS (SELECT 1 FROM backups AS n WHERE n.kind = t.kind AND n.taken_at > t.taken_at)",
        days: 400,
    },
];

/// Tables that keep everything, and why.
pub static KEPT_FOR_EVER: &[(&str, &str)] = &[
    ("orders", "the shop's own books"),
    ("order_lines", "the shop's own books"),
    ("payments", "money"),
    ("refunds", "money"),
    ("refund_lines", "money"),
    ("bills", "a row for each day, type and version: what the money came to"),
    ("reconciliations", "a row for each day and version: what the money came to"),
    ("carries", "what no bill had in time: a few a day"),
    ("products", "a row for each product, overwritten"),
    ("prices", "a row for each product, overwritten"),
    ("supplier_balances", "a row for each payer account, overwritten"),
    ("webhook_endpoints", "at most 50"),
    ("supplier_orders", "what we owe and were sent"),
    ("supplier_quantities", "what we owe and were sent"),
    ("parcels", "what we owe and were sent"),
    ("shipping_uploads", "a row for each order"),
    ("supply", "a row for each product, overwritten"),
    ("stock", "a row for each product and county, overwritten"),
    ("tokens", "a row for each system outside, overwritten"),
    ("api_keys", "at most 10,000; a revoked one still explains the audit log"),
    ("ledger_identity", "one row"),
];

/// Tables that somebody else tidies up, and who.
pub static TIDIED_ELSEWHERE: &[(&str, &str)] = &[
    ("outbox", "the relay: RelaySettings::dead_age_max"),
    ("bill_files", "fetch_bill: bill_files_kept_days"),
    ("stock_changes", "sync_stock, as it writes new ones"),
    ("sync_runs", "the next synchronisation of its kind"),
    ("sync_chunks", "the next synchronisation of its kind"),
    ("supplier_balance_readings", "check_supplier_balance, as it writes new ones"),
];

/// The least that a shop may set: what repeats itself for days must still be known.
pub const KEEP_DAYS_MIN: u32 = 30;

/// Days by table, where the shop has its own; 0: for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, u32>")]
pub struct KeepDays(BTreeMap<String, u32>);

impl KeepDays {
    /// Days that rows of the table stay; None: for ever.
    pub fn of(&self, keep: &Keep) -> Option<u32> {
        let days = self.0.get(keep.table).copied().unwrap_or(keep.days);
        (days > 0).then_some(days)
    }
}

impl TryFrom<BTreeMap<String, u32>> for KeepDays {
    type Error = String;

    fn try_from(days: BTreeMap<String, u32>) -> Result<Self, String> {
        for (table, days) in &days {
            if !KEEP.iter().any(|keep| keep.table == table) {
                let known: Vec<_> = KEEP.iter().map(|keep| keep.table).collect();
                return Err(format!("keep_days names {table}, and there are {}", known.join(", ")));
            }
            if *days != 0 && *days < KEEP_DAYS_MIN {
                return Err(format!(
                    "keep_days.{table} = {days}: at least {KEEP_DAYS_MIN} days, or 0 for ever"
                ));
            }
        }
        Ok(Self(days))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::state::TABLE;

    #[test]
    fn an_order_that_is_over_is_one_that_nobody_moves_on() {
        let over: Vec<_> = TABLE.iter().filter(|line| line.moved_by.is_empty()).collect();
        for line in &over {
            let quoted = format!("'{}'", line.state.as_str());
            assert!(
                order_is_over!("order_no").contains(&quoted),
                "{quoted} is over, and its rows are kept for ever"
            );
        }
        assert_eq!(
            order_is_over!("order_no").matches('\'').count(),
            2 * over.len(),
            "a state that is not over"
        );
    }

    #[test]
    fn a_shop_sets_days_by_table_and_a_slip_is_told() {
        let read = |text: &str| serde_json::from_str::<KeepDays>(text).map_err(|e| e.to_string());
        let days = read(r#"{"callbacks": 60, "audit_log": 0}"#).unwrap();
        let of = |table: &str| days.of(KEEP.iter().find(|keep| keep.table == table).unwrap());
        assert_eq!((of("callbacks"), of("audit_log"), of("order_events")), (Some(60), None, Some(1_095)));
        assert!(read(r#"{"callback": 60}"#).unwrap_err().contains("callback, and there are order_events"));
        assert!(read(r#"{"callbacks": 7}"#).unwrap_err().contains("at least 30 days"));
    }
}
