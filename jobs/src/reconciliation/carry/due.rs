//! What was carried for its days and is in no bill becomes a finding, if it is owed a row at all by then.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::super::day::Day;
use super::super::found::{Difference, Found};
use super::super::ledger_side::owes_a_row;
use super::super::lookup;
use super::super::records::OurRefund;
use super::{CARRY_DAYS, Carried, ROWS_AT_ONCE};
use crate::ledger::{Ledger, LedgerError};
use crate::payments::RefundState;

/// A later bill that has not come by then does not come any more.
const CARRY_DAYS_MAX: u64 = 10;

/// Raises what was carried for its days and is in no bill. How many of each: the finding's type tells.
///
/// Due are rows whose later days were all compared, or for whose later bills nobody waits any more.
pub async fn raise_due(found: &mut Found<'_>, kind: Carried, compared: &[Day]) -> Result<(), LedgerError> {
    let ledger = found.ledger();
    let (days, last) = (compared.iter().copied().collect::<HashSet<_>>(), compared.iter().copied().max());
    let waits: Vec<(String,)> = sqlx::query_as(
        "SELECT since_day FROM carries WHERE kind = $1 AND state = 'waiting' GROUP BY since_day ORDER BY since_day",
    )
    .bind(kind.as_str())
    .fetch_all(ledger.reads())
    .await?;
    let carry_days = if kind == Carried::Fund { 1 } else { CARRY_DAYS };
    for (since,) in waits {
        let Ok(day) = since.parse::<Day>() else { continue };
        let all = (1..=carry_days).all(|later| days.contains(&day.plus(later)));
        if all || last.is_some_and(|last| last >= day.plus(CARRY_DAYS_MAX)) {
            while raise_some(found, kind, day, last.unwrap_or(day)).await? {}
        }
    }
    Ok(())
}

/// `last`: the newest day that was compared; later than `since` whenever something is due.
async fn raise_some(
    found: &mut Found<'_>,
    kind: Carried,
    since: Day,
    last: Day,
) -> Result<bool, LedgerError> {
    let ledger = found.ledger();
    let mut tx = ledger.begin().await?;
    let due: Vec<(String, String, i64, String)> = sqlx::query_as(
        "SELECT key, day, amount_fen, order_no FROM carries WHERE kind = $1 AND state = 'waiting' \
         AND since_day = $2 ORDER BY key LIMIT $3",
    )
    .bind(kind.as_str())
    .bind(since.to_string())
    .bind(ROWS_AT_ONCE as i64)
    .fetch_all(tx.conn())
    .await?;
    if due.is_empty() {
        return Ok(false);
    }
    let keys: Vec<&str> = due.iter().map(|(key, ..)| key.as_str()).collect();
    let standing = Standing::of(ledger, kind, &keys).await?;
    let run = found.run();
    for (key, day, amount_fen, order_no) in &due {
        let (state, since_day) = match standing.of_key(key) {
            Owed::Yes => {
                found.add_carried(&mut tx, &difference(kind, key, day, *amount_fen, order_no)).await?;
                ("raised", since)
            }
            // Its three days begin when WeChat takes it.
            Owed::NotYet => ("waiting", last),
            Owed::No => ("dropped", since),
        };
        sqlx::query("UPDATE carries SET state = $1, since_day = $2, seen = $3 WHERE kind = $4 AND key = $5")
            .bind(state)
            .bind(since_day.to_string())
            .bind(run.token())
            .bind(kind.as_str())
            .bind(key.clone())
            .execute(tx.conn())
            .await?;
    }
    tx.commit().await?;
    // Rows that are not owed yet are due on a later day: they no longer wait since this one.
    Ok(true)
}

enum Owed {
    Yes,
    NotYet,
    No,
}

/// How rows of ours stand now, days after they were carried.
enum Standing {
    Payments(HashMap<String, lookup::FoundPayment>),
    Refunds(HashMap<String, OurRefund>),
    Fund,
}

impl Standing {
    async fn of(ledger: &Ledger, kind: Carried, keys: &[&str]) -> Result<Self, LedgerError> {
        Ok(match kind {
            Carried::Payment => Self::Payments(lookup::payments(ledger, keys).await?),
            Carried::Refund => Self::Refunds(lookup::refunds(ledger, keys).await?),
            Carried::Fund => Self::Fund,
        })
    }

    fn of_key(&self, key: &str) -> Owed {
        match self {
            Self::Payments(all) => match all.get(key) {
                Some(found) if found.payment.state.has_money() => Owed::Yes,
                _ => Owed::No,
            },
            Self::Refunds(all) => match all.get(key).map(|refund| refund.state) {
                Some(state) if owes_a_row(state) => Owed::Yes,
                Some(RefundState::Requested) => Owed::NotYet,
                _ => Owed::No,
            },
            Self::Fund => Owed::Yes,
        }
    }
}

fn difference(kind: Carried, key: &str, day: &str, amount_fen: i64, order_no: &str) -> Difference {
    let text = match kind {
        Carried::Payment => format!(
            "We have a payment of {day} that no bill of that day or the {CARRY_DAYS} after it has. Ask WeChat for \
             it in the merchant platform; send nothing more for this order until it is clear."
        ),
        Carried::Refund => format!(
            "We have a refund of {day} that no bill of that day or the {CARRY_DAYS} after it has. Look for it in \
             the merchant platform under its number; never make a second one."
        ),
        Carried::Fund => format!(
            "The bill of {day} has a payment shortly before midnight whose income is in the flow of funds of \
             neither that day nor the next. Ask WeChat where the money went."
        ),
    };
    Difference {
        kind: kind.finding(),
        key: key.to_owned(),
        order_no: Some(order_no.to_owned()).filter(|no| !no.is_empty()),
        amount_fen: Some(amount_fen),
        text,
        evidence: json!({ "day": day, "key": key, "amount_fen": amount_fen }),
        may_heal: false,
    }
}
