//! Whether all went well in a town: our books beside the truth of the outside.

use std::collections::BTreeSet;

use windlass_jobs::effect::{EffectKind, Repeat};
use windlass_jobs::orders::{OrderView, Violation, invariants};
use windlass_sandbox::TruthKeys;

use crate::town::Town;

impl Town {
    /// The effects of every kind but the messages: those that we know to have happened, and those that did. Waits
    /// until we are in doubt of none.
    async fn assert_effects_agree(&self) {
        let mut open = Vec::new();
        let ours = self
            .look(async || {
                let effects = self.effects().await;
                open = effects.iter().filter(|effect| !effect.2).cloned().collect();
                open.is_empty().then_some(effects)
            })
            .await;
        let Some(ours) = ours else { panic!("in doubt: {open:?}\n{}", self.dead().await) };
        let (_, keys) = self.truth().await;
        for kind in EffectKind::ALL.into_iter().filter(|kind| kind.repeat() != Repeat::Never) {
            let done = ours.iter().filter(|(name, _, done)| name == kind.name() && *done);
            let ours: BTreeSet<_> = done.map(|(_, of, _)| of.clone()).collect();
            let theirs = keys.effects.get(kind.name());
            let theirs: BTreeSet<_> = theirs.into_iter().flat_map(|had| had.keys().cloned()).collect();
            assert_eq!(ours, theirs, "{}", kind.name());
        }
    }

    /// Kind, what it was done to, and whether it is known to be done; neither messages nor what was refused.
    async fn effects(&self) -> Vec<(String, String, bool)> {
        let ledger = self.house().shop.ledger.clone();
        let read = async move {
            sqlx::query_as("SELECT kind, key, state FROM effects WHERE state <> 'refused'")
                .fetch_all(ledger.reads())
                .await
                .expect("read")
        };
        let rows: Vec<(String, String, String)> = self.house().on_runtime(read).await;
        let is_message =
            |kind: &str| EffectKind::parse(kind).is_some_and(|kind| kind.repeat() == Repeat::Never);
        rows.into_iter()
            .filter(|(kind, ..)| !is_message(kind))
            .map(|(kind, key, state)| {
                let of = key.strip_prefix(&format!("{kind}:")).expect("the kind's name is in the key");
                // A cancel that is asked for anew is told apart here only.
                let of = of.split_once('#').map_or(of, |(of, _)| of).to_owned();
                (kind, of, state == "done")
            })
            .collect()
    }

    /// No effect was had twice or is in doubt, no money is wrong, and no job is dead.
    pub async fn assert_books_agree(&self) {
        self.assert_effects_agree().await;
        let (truth, keys) = self.truth().await;
        for effect in &truth.effects {
            assert_eq!(effect.doubled, 0, "{}: {:?}", effect.effect, keys.effects.get(&effect.effect));
        }
        let tally = self.tally().await;
        assert_eq!(tally.paid_fen, truth.payments.paid_fen, "money that came in");
        assert_eq!(tally.refunded_fen, truth.payments.refunded_fen, "money that went back");
        let dead = self.dead().await;
        assert!(dead.is_empty(), "{dead}");
        assert_eq!(self.violations().await, []);
    }

    /// What the books hold and must never.
    pub async fn violations(&self) -> Vec<Violation> {
        let ledger = self.house().shop.ledger.clone();
        self.house().on_runtime(async move { invariants(&ledger).await.expect("read") }).await
    }

    /// The worth of an order's goods that the outside has back.
    pub fn worth_back(view: &OrderView, truth: &TruthKeys) -> i64 {
        let Some(there) = truth.orders.get(&format!("{}-1", view.order.order_no)) else { return 0 };
        let price = |code: &str| {
            let line = view.lines.iter().find(|line| line.product_code == code).expect("a line of the order");
            line.unit_price_fen - line.discount_fen
        };
        let back = there
            .lines
            .iter()
            .map(|line| i64::from(line.returned + line.rejected) * price(&line.product_code));
        back.sum()
    }
}
