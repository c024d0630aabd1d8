//! Both sides' books at one moment: what the shop says over its front door, and the sandbox at its control port.
//!
//! The same for a platform in this process and for one that runs elsewhere. Which of the figures are the demo's own
//! follows from what they were when it began.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_jobs::orders::{Tally, Violation};
use windlass_jobs::outbox::OutboxCounts;
use windlass_sandbox::Truth;

use super::differences::Found;
use crate::cli::api::Api;

/// Findings on one page.
const FINDINGS_A_PAGE: &str = "200";

/// Where the books are asked for.
pub struct Desks {
    pub shop: Api,
    pub sandbox: Api,
    /// The endpoint of the other system that is told of orders; None: there is none.
    pub crm: Option<String>,
}

/// The books, or what they grew by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub tally: Tally,
    pub outbox: OutboxCounts,
    pub truth: Truth,
}

/// The queues' own figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queues {
    pub dead: u64,
    /// Jobs that were completed, whether or not they are still kept.
    pub run: u64,
}

impl Desks {
    /// # Errors
    /// When either side does not answer.
    pub async fn standing(&self) -> anyhow::Result<Standing> {
        let totals = self.shop.get("/v1/totals", &[]).await?;
        let truth = self.sandbox.get("/truth", &[]).await.context("the sandbox does not tell its truth")?;
        Ok(Standing {
            tally: part(&totals, "/business")?,
            outbox: part(&totals, "/outbox")?,
            truth: part(&truth, "")?,
        })
    }

    /// # Errors
    /// When the front door does not answer.
    pub async fn queues(&self) -> anyhow::Result<Queues> {
        let stats = self.shop.get("/v1/stats", &[]).await?;
        let jobs = |state: &str| part::<u64>(&stats, &format!("/jobs/{state}"));
        Ok(Queues { dead: jobs("dead")?, run: jobs("completed")? + jobs("pruned")? })
    }

    /// Every finding, the oldest first.
    ///
    /// # Errors
    /// When the front door does not answer.
    pub async fn findings(&self) -> anyhow::Result<Vec<Found>> {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("limit", FINDINGS_A_PAGE)];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = self.shop.get("/v1/findings", &query).await?;
            found.extend(part::<Vec<Found>>(&page, "/findings")?);
            cursor = part(&page, "/cursor")?;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// What the audits of carrier and business find, in words; empty: nothing.
    ///
    /// # Errors
    /// When the front door does not answer.
    pub async fn unbalanced(&self) -> anyhow::Result<Vec<String>> {
        let audit = self.shop.get("/v1/audit", &[]).await?;
        let queues: Vec<Value> = part(&audit, "/queues")?;
        let out = queues.iter().filter(|queue| queue["balanced"] != true);
        let violations: Vec<Violation> = part(&audit, "/violations")?;
        let unbalanced = out.map(|queue| format!("the books of a queue do not balance: {queue}"));
        let broken = violations.iter().map(|Violation { rule, about }| format!("{about} breaks: {rule}"));
        Ok(unbalanced.chain(broken).collect())
    }
}

impl Standing {
    /// Jobs of the outbox that are not over.
    pub fn live(&self) -> i64 {
        self.outbox.waiting + self.outbox.handed_over
    }

    /// Callbacks that the outside still owes the shop.
    pub fn owed(&self) -> u64 {
        let callbacks = &self.truth.callbacks;
        callbacks.owed.saturating_sub(callbacks.taken + callbacks.given_up)
    }

    /// What came about since `then`.
    pub fn since(&self, then: &Self) -> Self {
        Self {
            tally: tally_since(&self.tally, &then.tally),
            outbox: self.outbox,
            truth: truth_since(&self.truth, &then.truth),
        }
    }
}

impl Queues {
    pub fn since(self, then: Self) -> Self {
        Self { dead: self.dead.saturating_sub(then.dead), run: self.run.saturating_sub(then.run) }
    }
}

fn tally_since(now: &Tally, then: &Tally) -> Tally {
    let effects = now.effects.iter().map(|(kind, states)| {
        let before = then.effects.get(kind);
        (kind.clone(), before.map_or_else(|| states.clone(), |before| counts_since(states, before)))
    });
    Tally {
        orders: counts_since(&now.orders, &then.orders),
        refused: counts_since(&now.refused, &then.refused),
        payments: counts_since(&now.payments, &then.payments),
        refunds: counts_since(&now.refunds, &then.refunds),
        paid_fen: now.paid_fen - then.paid_fen,
        refunded_fen: now.refunded_fen - then.refunded_fen,
        uploads: counts_since(&now.uploads, &then.uploads),
        notifications: counts_since(&now.notifications, &then.notifications),
        effects: effects.collect(),
        effects_in_doubt: now.effects_in_doubt - then.effects_in_doubt,
        needs_person: now.needs_person - then.needs_person,
    }
}

/// A state that lost some, as orders that were open before went on, counts less than nothing.
fn counts_since(now: &BTreeMap<String, i64>, then: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut counts = now.clone();
    for (name, before) in then {
        *counts.entry(name.clone()).or_default() -= before;
    }
    counts
}

fn truth_since(now: &Truth, then: &Truth) -> Truth {
    let mut truth = now.clone();
    for effect in &mut truth.effects {
        if let Some(before) = then.effects.iter().find(|before| before.effect == effect.effect) {
            effect.keys = effect.keys.saturating_sub(before.keys);
            effect.doubled = effect.doubled.saturating_sub(before.doubled);
        }
    }
    truth.plants = now.plants.iter().skip(then.plants.len()).cloned().collect();
    truth.payments.paid_fen -= then.payments.paid_fen;
    truth.payments.refunded_fen -= then.payments.refunded_fen;
    truth
}

fn part<T: DeserializeOwned>(document: &Value, pointer: &str) -> anyhow::Result<T> {
    let part = document.pointer(pointer).cloned().unwrap_or_default();
    serde_json::from_value(part).with_context(|| {
        format!(
            "{} is not what this build knows: is the server another version?",
            if pointer.is_empty() { "the answer" } else { pointer }
        )
    })
}

#[cfg(test)]
mod tests {
    use windlass_sandbox::EffectTruth;

    use super::*;

    #[test]
    fn only_what_came_since_then_is_the_demos_own() {
        let counts = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let books = |completed, open, paid_fen, keys| Standing {
            tally: Tally {
                orders: counts(&[("completed", completed), ("paid", open)]),
                paid_fen,
                ..Tally::default()
            },
            truth: Truth {
                effects: vec![EffectTruth { effect: "ylh.create".into(), keys, doubled: 0 }],
                ..Truth::default()
            },
            ..Standing::default()
        };
        let grown = books(15, 0, 700, 9).since(&books(4, 1, 500, 3));
        assert_eq!(grown.tally.orders, counts(&[("completed", 11), ("paid", -1)]));
        assert_eq!((grown.tally.paid_fen, grown.truth.effects[0].keys), (200, 6));
        assert_eq!(books(1, 0, 1, 1).since(&Standing::default()), books(1, 0, 1, 1));
    }
}
