//! The leg of refunds: the trade bill beside ours, merged by our number of the refund. What the bill says of a
//! refund's state is how it stood when the bill was made: only presence and amount are compared (facts: wechat-pay.md
//! 10).

use serde_json::json;
use windlass_engine::Timestamp;

use super::carry::{Carries, Lone};
use super::day::Day;
use super::found::{Difference, Found};
use super::ledger_side::{SortedSide, owes_a_row};
use super::lookup::{self, LOOKUP_KEYS};
use super::records::{OurRefund, TradeRefund};
use super::report::{Leg, Side};
use crate::findings::FindingType;
use crate::payments::RefundState;

/// One comparison of refunds.
pub struct RefundsLeg<'a, 'b> {
    found: &'a mut Found<'b>,
    carries: &'a mut Carries<'b>,
    leg: Leg,
    unknown: Vec<TradeRefund>,
}

impl<'a, 'b> RefundsLeg<'a, 'b> {
    pub fn new(found: &'a mut Found<'b>, carries: &'a mut Carries<'b>) -> Self {
        Self { found, carries, leg: Leg::default(), unknown: Vec::new() }
    }

    /// Merges both sides. What is carried is written when the carries are settled.
    pub async fn merge(
        mut self,
        mut ours: SortedSide<OurRefund>,
        mut theirs: SortedSide<TradeRefund>,
    ) -> anyhow::Result<Leg> {
        self.leg.ours = Side { count: ours.count, sum_fen: ours.sum_fen };
        self.leg.theirs = Side { count: theirs.count, sum_fen: theirs.sum_fen };
        let mut our = ours.rows.next()?;
        let mut before: Option<TradeRefund> = None;
        while let Some(row) = theirs.rows.next()? {
            if let Some(first) = before.as_ref().filter(|before| is_again(before, &row)) {
                self.found.add(duplicate_row(self.found.run().day, first, &row)).await?;
                continue;
            }
            while let Some(lone) = our.take_if(|our| our.refund_no < row.out_refund_no) {
                self.lacks(lone).await?;
                our = ours.rows.next()?;
            }
            match our.take_if(|our| our.refund_no == row.out_refund_no) {
                Some(mine) => {
                    self.both(&mine, &row, false).await?;
                    our = ours.rows.next()?;
                }
                None => self.is_unknown(row.clone()).await?,
            }
            before = Some(row);
        }
        while let Some(lone) = our.take() {
            self.lacks(lone).await?;
            our = ours.rows.next()?;
        }
        self.look_up().await?;
        Ok(self.leg)
    }

    async fn both(&mut self, mine: &OurRefund, row: &TradeRefund, of_other_day: bool) -> anyhow::Result<()> {
        if of_other_day {
            self.leg.of_other_days.add(row.gross_fen);
        }
        let other_id = !mine.refund_id.is_empty() && mine.refund_id != row.refund_id;
        if other_id {
            return Ok(self.found.add(extra_refund(row, Some(mine))).await?);
        }
        if mine.amount_fen != row.gross_fen {
            return Ok(self.found.add(other_amount(mine, row)).await?);
        }
        self.leg.matched.add(row.gross_fen);
        if matches!(mine.state, RefundState::Requested | RefundState::Refused) {
            self.found.add(other_state(mine, row)).await?;
        }
        Ok(())
    }

    async fn lacks(&mut self, mine: OurRefund) -> anyhow::Result<()> {
        // What was not taken yet may be taken later; what never will be owes no row.
        if !owes_a_row(mine.state) && mine.state != RefundState::Requested {
            return Ok(());
        }
        let lone = Lone {
            key: mine.refund_no,
            day: self.found.run().day,
            amount_fen: mine.amount_fen,
            order_no: mine.order_no,
        };
        Ok(self.carries.lacks(lone).await?)
    }

    async fn is_unknown(&mut self, row: TradeRefund) -> anyhow::Result<()> {
        self.unknown.push(row);
        if self.unknown.len() >= LOOKUP_KEYS { self.look_up().await } else { Ok(()) }
    }

    /// Looks for ours of any day.
    async fn look_up(&mut self) -> anyhow::Result<()> {
        let unknown = std::mem::take(&mut self.unknown);
        if unknown.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = unknown.iter().map(|row| row.out_refund_no.as_str()).collect();
        let known = lookup::refunds(self.found.ledger(), &keys).await?;
        for row in &unknown {
            let Some(mine) = known.get(&row.out_refund_no) else {
                self.found.add(extra_refund(row, None)).await?;
                continue;
            };
            self.both(mine, row, true).await?;
            let lone = Lone {
                key: mine.refund_no.clone(),
                day: Day::of(Timestamp::from_micros(mine.requested_at)),
                amount_fen: mine.amount_fen,
                order_no: mine.order_no.clone(),
            };
            self.carries.has(lone).await?;
        }
        Ok(())
    }
}

/// No two rows of a bill have the same transaction and number (facts: wechat-pay.md 11).
fn is_again(before: &TradeRefund, row: &TradeRefund) -> bool {
    before.out_refund_no == row.out_refund_no && before.transaction_id == row.transaction_id
}

/// A payment that the till took back has no number of a refund.
fn key(row: &TradeRefund) -> &str {
    if row.out_refund_no.is_empty() { &row.transaction_id } else { &row.out_refund_no }
}

fn of_row(kind: FindingType, row: &TradeRefund, text: String) -> Difference {
    Difference {
        kind,
        key: key(row).to_owned(),
        order_no: Some(row.out_trade_no.clone()),
        amount_fen: Some(row.gross_fen),
        text,
        evidence: json!({
            "line": row.line, "out_refund_no": row.out_refund_no, "refund_id": row.refund_id,
            "transaction_id": row.transaction_id, "out_trade_no": row.out_trade_no, "amount_fen": row.gross_fen,
        }),
        may_heal: false,
    }
}

fn extra_refund(row: &TradeRefund, mine: Option<&OurRefund>) -> Difference {
    let text = match mine {
        Some(mine) => format!(
            "The bill has refund {} under a number whose refund is {} in our books. Compare both in the merchant \
             platform.",
            row.refund_id, mine.refund_id
        ),
        None => "The bill has a refund that we did not ask for: made in the merchant platform, or by somebody who \
                 should not. Find out who made it, and book it."
            .to_owned(),
    };
    of_row(FindingType::ExtraRefund, row, text)
}

fn other_amount(mine: &OurRefund, row: &TradeRefund) -> Difference {
    let text = format!(
        "The bill says that {} fen were given back, our books say {} fen. Compare with the merchant platform, and \
         book the difference.",
        row.gross_fen, mine.amount_fen
    );
    let mut difference = of_row(FindingType::Amount, row, text);
    difference.amount_fen = Some(row.gross_fen.saturating_sub(mine.amount_fen));
    difference.evidence["our_amount_fen"] = json!(mine.amount_fen);
    difference
}

fn other_state(mine: &OurRefund, row: &TradeRefund) -> Difference {
    let text = format!(
        "The bill has a refund that is {} in our books. A fresh query decides; if it does not, compare with the \
         merchant platform.",
        mine.state.as_str()
    );
    let mut difference = of_row(FindingType::Status, row, text);
    // What was refused is final here: a person decides.
    difference.may_heal = mine.state == RefundState::Requested;
    difference.evidence["our_state"] = json!(mine.state);
    difference
}

fn duplicate_row(day: Day, first: &TradeRefund, again: &TradeRefund) -> Difference {
    let text = format!(
        "The bill of {day} has refund {} twice, in lines {} and {}. It was counted once; compare with the merchant \
         platform.",
        key(again),
        first.line,
        again.line
    );
    let mut difference = of_row(FindingType::DuplicateRow, again, text);
    difference.key = format!("{day}:{}:{}", again.transaction_id, again.out_refund_no);
    difference.evidence["first_line"] = json!(first.line);
    difference
}
