//! The leg of payments: the trade bill beside ours, merged by our number.

use serde_json::json;

use super::carry::{Carries, Lone};
use super::day::Day;
use super::found::{Difference, Found};
use super::ledger_side::SortedSide;
use super::lookup::{self, FoundPayment, LOOKUP_KEYS};
use super::records::{OurPayment, TradePayment};
use super::report::{Leg, Side};
use crate::findings::FindingType;
use crate::orders::OrderState;
use crate::payments::PaymentState;

/// One comparison of payments.
pub struct PaymentsLeg<'a, 'b> {
    found: &'a mut Found<'b>,
    carries: &'a mut Carries<'b>,
    leg: Leg,
    /// Rows of the bill that the day's own payments do not have.
    unknown: Vec<Unknown>,
    heals_late_pay: bool,
}

struct Unknown {
    row: TradePayment,
    /// Not the first transaction of its order in the file.
    second: bool,
}

impl<'a, 'b> PaymentsLeg<'a, 'b> {
    pub fn new(found: &'a mut Found<'b>, carries: &'a mut Carries<'b>, heals_late_pay: bool) -> Self {
        Self { found, carries, leg: Leg::default(), unknown: Vec::new(), heals_late_pay }
    }

    /// Merges both sides. What is carried is written when the carries are settled.
    pub async fn merge(
        mut self,
        mut ours: SortedSide<OurPayment>,
        mut theirs: SortedSide<TradePayment>,
    ) -> anyhow::Result<Leg> {
        self.leg.ours = Side { count: ours.count, sum_fen: ours.sum_fen };
        self.leg.theirs = Side { count: theirs.count, sum_fen: theirs.sum_fen };
        let (mut our, mut their) = (ours.rows.next()?, theirs.rows.next()?);
        while let Some(row) = their.take() {
            // Ours that come before it are in no row of the bill.
            while let Some(lone) = our.take_if(|our| our.out_trade_no < row.out_trade_no) {
                self.lacks(lone).await?;
                our = ours.rows.next()?;
            }
            let mine = our.take_if(|our| our.out_trade_no == row.out_trade_no);
            if mine.is_some() {
                our = ours.rows.next()?;
            }
            their = self.one_order(mine, row, &mut theirs).await?;
        }
        while let Some(lone) = our.take() {
            self.lacks(lone).await?;
            our = ours.rows.next()?;
        }
        self.look_up().await?;
        Ok(self.leg)
    }

    /// Every row of one order; gives back the first row of the next.
    async fn one_order(
        &mut self,
        mine: Option<OurPayment>,
        first: TradePayment,
        theirs: &mut SortedSide<TradePayment>,
    ) -> anyhow::Result<Option<TradePayment>> {
        let (mut row, mut second, mut matched) = (first, false, false);
        let next = loop {
            match &mine {
                Some(mine) if is_same(mine, &row) => {
                    self.both(mine, &row, false).await?;
                    matched = true;
                }
                Some(mine) => self.found.add(duplicate_pay(&row, &mine.transaction_id)).await?,
                None => self.is_unknown(Unknown { row: row.clone(), second }).await?,
            }
            second = true;
            // One transaction twice in one file counts once.
            let next = loop {
                let next = theirs.rows.next()?;
                match &next {
                    Some(again) if again.out_trade_no == row.out_trade_no => {
                        if again.transaction_id == row.transaction_id {
                            self.found.add(duplicate_row(self.found.run().day, &row, again)).await?;
                            continue;
                        }
                        break next;
                    }
                    _ => break next,
                }
            };
            match next {
                Some(next) if next.out_trade_no == row.out_trade_no => row = next,
                next => break next,
            }
        };
        if let Some(mine) = mine
            && !matched
        {
            self.lacks(mine).await?;
        }
        Ok(next)
    }

    async fn both(
        &mut self,
        mine: &OurPayment,
        row: &TradePayment,
        of_other_day: bool,
    ) -> anyhow::Result<()> {
        if of_other_day {
            self.leg.of_other_days.add(row.gross_fen);
        }
        // Money that is in the books of another order is told of where it was taken.
        let told_elsewhere = mine.state == PaymentState::Disputed && mine.transaction_id.is_empty();
        if mine.paid_fen == row.gross_fen || told_elsewhere {
            self.leg.matched.add(row.gross_fen);
            return Ok(());
        }
        Ok(self.found.add(other_amount(mine, row)).await?)
    }

    async fn lacks(&mut self, mine: OurPayment) -> anyhow::Result<()> {
        let lone = Lone {
            key: mine.out_trade_no,
            day: self.found.run().day,
            amount_fen: mine.paid_fen,
            order_no: mine.order_no,
        };
        Ok(self.carries.lacks(lone).await?)
    }

    async fn is_unknown(&mut self, unknown: Unknown) -> anyhow::Result<()> {
        self.unknown.push(unknown);
        if self.unknown.len() >= LOOKUP_KEYS { self.look_up().await } else { Ok(()) }
    }

    /// Looks for ours of any day.
    async fn look_up(&mut self) -> anyhow::Result<()> {
        let unknown = std::mem::take(&mut self.unknown);
        if unknown.is_empty() {
            return Ok(());
        }
        let keys: Vec<&str> = unknown.iter().map(|unknown| unknown.row.out_trade_no.as_str()).collect();
        let known = lookup::payments(self.found.ledger(), &keys).await?;
        for Unknown { row, second } in &unknown {
            match known.get(&row.out_trade_no) {
                Some(FoundPayment { payment, .. }) if payment.state.has_money() && is_same(payment, row) => {
                    self.both(payment, row, true).await?;
                    let lone = Lone {
                        key: payment.out_trade_no.clone(),
                        day: Day::of(windlass_engine::Timestamp::from_micros(payment.paid_at)),
                        amount_fen: payment.paid_fen,
                        order_no: payment.order_no.clone(),
                    };
                    self.carries.has(lone).await?;
                }
                Some(FoundPayment { payment, .. }) if payment.state.has_money() => {
                    self.found.add(duplicate_pay(row, &payment.transaction_id)).await?;
                }
                _ if *second => self.found.add(duplicate_pay(row, "")).await?,
                Some(known) => self.found.add(not_taken(known, row, self.heals_late_pay)).await?,
                None => self.found.add(never_heard_of(row)).await?,
            }
        }
        Ok(())
    }
}

/// A payment of ours without a transaction takes the order's first.
fn is_same(mine: &OurPayment, row: &TradePayment) -> bool {
    mine.transaction_id.is_empty() || mine.transaction_id == row.transaction_id
}

fn of_row(kind: FindingType, row: &TradePayment, text: String) -> Difference {
    Difference {
        kind,
        key: row.transaction_id.clone(),
        order_no: Some(row.out_trade_no.clone()),
        amount_fen: Some(row.gross_fen),
        text,
        evidence: json!({
            "line": row.line, "transaction_id": row.transaction_id, "out_trade_no": row.out_trade_no,
            "amount_fen": row.gross_fen, "paid_at": windlass_engine::Timestamp::from_micros(row.at).to_rfc3339(),
        }),
        may_heal: false,
    }
}

fn other_amount(mine: &OurPayment, row: &TradePayment) -> Difference {
    let text = format!(
        "The bill says that {} fen were paid, our books say {} fen. Compare with the merchant platform, and refund \
         or book the difference.",
        row.gross_fen, mine.paid_fen
    );
    let mut difference = of_row(FindingType::Amount, row, text);
    difference.amount_fen = Some(row.gross_fen.saturating_sub(mine.paid_fen));
    difference.evidence["our_paid_fen"] = json!(mine.paid_fen);
    difference
}

fn duplicate_pay(row: &TradePayment, ours: &str) -> Difference {
    let text = format!(
        "The order was paid twice: transaction {} beside {}. Refund the later one in the merchant platform once you \
         have looked at both.",
        row.transaction_id,
        if ours.is_empty() { "another of the same bill" } else { ours }
    );
    let mut difference = of_row(FindingType::DuplicatePay, row, text);
    difference.evidence["our_transaction_id"] = json!(ours);
    difference
}

fn duplicate_row(day: Day, row: &TradePayment, again: &TradePayment) -> Difference {
    let text = format!(
        "The bill of {day} has transaction {} twice, in lines {} and {}. It was counted once; compare with the \
         merchant platform.",
        row.transaction_id, row.line, again.line
    );
    let mut difference = of_row(FindingType::DuplicateRow, again, text);
    difference.key = format!("{day}:{}", row.transaction_id);
    difference.evidence["first_line"] = json!(row.line);
    difference
}

fn never_heard_of(row: &TradePayment) -> Difference {
    let text = "WeChat took a payment under a number that no order of ours has. Find out who made it, and refund it \
                in the merchant platform or record the order.";
    of_row(FindingType::Long, row, text.to_owned())
}

/// WeChat has money for an order that has none here.
fn not_taken(known: &FoundPayment, row: &TradePayment, heals_late_pay: bool) -> Difference {
    let FoundPayment { payment, order_state } = known;
    let order = order_state.parse::<OrderState>().ok();
    let given_up = order.is_some_and(|order| order.is_terminal() || order.is_winding_down());
    let same_amount = payment.amount_fen == row.gross_fen;
    let mut difference = if given_up {
        let text = "WeChat took a payment for an order that was given up here. The money goes back: by itself when a \
                    fresh query says the same, else refund it by hand.";
        of_row(FindingType::LatePay, row, text.to_owned())
    } else if payment.state == PaymentState::Closed {
        let text = "WeChat took a payment that is closed in our books, for an order that goes on. A fresh query \
                    decides; if it does not, take the money by hand.";
        of_row(FindingType::Status, row, text.to_owned())
    } else {
        let text = "WeChat took a payment that our books lack. A fresh query takes it; if it does not, look at the \
                    order.";
        of_row(FindingType::Long, row, text.to_owned())
    };
    if !same_amount {
        difference.text = format!(
            "WeChat took {} fen for an order of {} fen that is not paid in our books. Compare with the merchant \
             platform; nothing is healed where amounts differ.",
            row.gross_fen, payment.amount_fen
        );
    }
    difference.may_heal =
        order.is_some() && same_amount && (heals_late_pay || difference.kind != FindingType::LatePay);
    difference.evidence["our_state"] = json!(payment.state);
    difference.evidence["order_state"] = json!(order_state);
    difference.evidence["our_amount_fen"] = json!(payment.amount_fen);
    difference
}
