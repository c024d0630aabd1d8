//! What the ledger holds, asked past every process of ours.

use std::collections::{BTreeMap, BTreeSet};

use windlass_servers::{psql, try_psql};

/// How much is not over yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub orders_ended: i64,
    /// Jobs of the outbox that are not over.
    pub outbox: i64,
    /// Refunds, uploads and messages that still wait for something.
    pub owed: i64,
    /// Effects without an end that are no messages.
    pub in_doubt: i64,
}

const OPEN: &str = "SELECT \
    (SELECT count(*) FROM orders WHERE state IN ('completed', 'cancelled', 'refused')), \
    (SELECT count(*) FROM outbox WHERE state = 'live'), \
    (SELECT count(*) FROM refunds WHERE state IN ('requested', 'accepted')) \
      + (SELECT count(*) FROM shipping_uploads WHERE state = 'wanted') \
      + (SELECT count(*) FROM notifications WHERE state = 'queued'), \
    (SELECT count(*) FROM effects WHERE state IN ('intended', 'in_doubt') \
      AND kind NOT IN ('mini.confirm_receive', 'mini.subscribe_send', 'mail.send'))";

/// None: it does not answer.
pub fn open(database: &str) -> Option<Open> {
    let output = try_psql(database, OPEN);
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let counts: Vec<i64> = text.split('|').filter_map(|count| count.parse().ok()).collect();
    match (output.status.success(), counts.as_slice()) {
        (true, &[orders_ended, outbox, owed, in_doubt]) => {
            Some(Open { orders_ended, outbox, owed, in_doubt })
        }
        _ => None,
    }
}

/// What each order became, and the money that came in and went back, in fen.
pub fn orders(database: &str) -> BTreeMap<String, (String, i64, i64)> {
    let sql = "SELECT orders.order_no, orders.state, \
               (SELECT COALESCE(sum(paid_fen), 0) FROM payments WHERE payments.order_no = orders.order_no), \
               (SELECT COALESCE(sum(amount_fen), 0) FROM refunds WHERE refunds.order_no = orders.order_no \
                  AND refunds.state = 'succeeded') FROM orders";
    rows(&psql(database, sql))
        .map(|row| {
            let fen = |nth: usize| row[nth].parse().unwrap();
            (row[0].clone(), (row[1].clone(), fen(2), fen(3)))
        })
        .collect()
}

/// Effects of a kind that we know to be done, by what they were done to.
pub fn done(database: &str, kind: &str) -> BTreeSet<String> {
    let sql = format!("SELECT key FROM effects WHERE state = 'done' AND kind = '{kind}'");
    let of = |key: &String| {
        let of = key.strip_prefix(&format!("{kind}:")).unwrap();
        // A cancel that is asked for anew is told apart here only.
        of.split_once('#').map_or(of, |(of, _)| of).to_owned()
    };
    rows(&psql(database, &sql)).map(|row| of(&row[0])).collect()
}

/// Whatever is not over, for whoever reads a failed test.
pub fn tell_open(database: &str) -> String {
    let parts = [
        (
            "orders",
            "SELECT order_no, state, reason, to_timestamp(touched_at / 1e6) FROM orders \
                    WHERE state NOT IN ('completed', 'cancelled', 'refused') LIMIT 20",
        ),
        (
            "outbox",
            "SELECT id, state, to_timestamp(created_at / 1e6), to_timestamp(handed_at / 1e6), \
                    to_timestamp(seen_at / 1e6), carrier, to_timestamp(look_at / 1e6) FROM outbox \
                    ORDER BY created_at LIMIT 20",
        ),
        (
            "refunds",
            "SELECT refund_no, state, note FROM refunds WHERE state IN ('requested', 'accepted') LIMIT 20",
        ),
        ("uploads", "SELECT order_no, state, note FROM shipping_uploads WHERE state = 'wanted' LIMIT 20"),
        (
            "messages",
            "SELECT order_no, template, event, channel, note FROM notifications \
                      WHERE state = 'queued' LIMIT 20",
        ),
        (
            "effects",
            "SELECT key, state, tells, to_timestamp(told_at / 1e6), teller, last_error FROM effects \
                     WHERE settled_at IS NULL LIMIT 20",
        ),
    ];
    let mut text = String::new();
    for (what, sql) in parts {
        let output = try_psql(database, sql);
        let told =
            String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
        if !told.trim().is_empty() {
            text.push_str(&format!("-- {what}\n{}\n", told.trim_end()));
        }
    }
    text
}

fn rows(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.lines().map(|line| line.split('|').map(str::to_owned).collect())
}
