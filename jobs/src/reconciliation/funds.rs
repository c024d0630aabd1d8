//! The leg of funds: every payment of the trade bill has its income in the flow of funds, of the same amount. Merged
//! by WeChat's number of the transaction.
//!
//! A payment shortly before midnight may be booked after it: it is carried to the next day's file.

use std::time::Duration;

use serde_json::json;
use windlass_engine::Timestamp;

use super::carry::{Carries, Lone};
use super::found::{Difference, Found};
use super::ledger_side::SortedSide;
use super::lookup::LOOKUP_KEYS;
use super::records::{Income, WantedIncome};
use super::report::{Leg, Side};
use super::sorter::Sorted;
use crate::findings::FindingType;

/// Payments of the last so many minutes of a day may be booked on the next.
const BOOKED_LATE_MAX: Duration = Duration::from_secs(10 * 60);

/// One comparison of the flow of funds.
pub struct FundsLeg<'a, 'b> {
    found: &'a mut Found<'b>,
    carries: &'a mut Carries<'b>,
    leg: Leg,
    /// Incomes that the day's payments do not want.
    unwanted: Vec<Income>,
}

impl<'a, 'b> FundsLeg<'a, 'b> {
    pub fn new(found: &'a mut Found<'b>, carries: &'a mut Carries<'b>) -> Self {
        Self { found, carries, leg: Leg::default(), unwanted: Vec::new() }
    }

    /// Merges both sides. What is carried is written when the carries are settled.
    pub async fn merge(
        mut self,
        mut wanted: Sorted<WantedIncome>,
        mut incomes: SortedSide<Income>,
    ) -> anyhow::Result<Leg> {
        self.leg.theirs = Side { count: incomes.count, sum_fen: incomes.sum_fen };
        let mut income = incomes.rows.next()?;
        let mut before = String::new();
        while let Some(row) = wanted.next()? {
            // One transaction twice in the trade bill is a finding already.
            if row.transaction_id == before {
                continue;
            }
            before.clone_from(&row.transaction_id);
            self.leg.ours.add(row.gross_fen);
            while let Some(unwanted) = income.take_if(|income| income.transaction_id < row.transaction_id) {
                self.is_unwanted(unwanted).await?;
                income = incomes.rows.next()?;
            }
            match income.take_if(|income| income.transaction_id == row.transaction_id) {
                Some(paired) => {
                    self.both(&row, &paired).await?;
                    income = incomes.rows.next()?;
                }
                None => self.lacks(row).await?,
            }
        }
        while let Some(unwanted) = income.take() {
            self.is_unwanted(unwanted).await?;
            income = incomes.rows.next()?;
        }
        self.look_up().await?;
        Ok(self.leg)
    }

    async fn both(&mut self, row: &WantedIncome, income: &Income) -> anyhow::Result<()> {
        if income.amount_fen == row.gross_fen || income.amount_fen == row.settled_fen {
            self.leg.matched.add(income.amount_fen);
            return Ok(());
        }
        let text = format!(
            "The flow of funds has an income of {} fen for a payment of {} fen. Compare with the merchant platform.",
            income.amount_fen, row.gross_fen
        );
        let mut difference = mismatch(row, text);
        difference.amount_fen = Some(income.amount_fen.saturating_sub(row.gross_fen));
        difference.evidence["fund_line"] = json!(income.line);
        difference.evidence["income_fen"] = json!(income.amount_fen);
        Ok(self.found.add(difference).await?)
    }

    async fn lacks(&mut self, row: WantedIncome) -> anyhow::Result<()> {
        let day = self.found.run().day;
        if Timestamp::from_micros(row.at) + BOOKED_LATE_MAX >= day.end() {
            let lone =
                Lone { key: row.transaction_id, day, amount_fen: row.gross_fen, order_no: row.out_trade_no };
            return Ok(self.carries.lacks(lone).await?);
        }
        let text = "The trade bill has a payment whose income is not in the flow of funds. Ask WeChat where the \
                    money went.";
        Ok(self.found.add(mismatch(&row, text.to_owned())).await?)
    }

    /// It may be the income of a payment of the day before.
    async fn is_unwanted(&mut self, income: Income) -> anyhow::Result<()> {
        if Timestamp::from_micros(income.at) >= self.found.run().day.start() + BOOKED_LATE_MAX {
            return Ok(());
        }
        self.unwanted.push(income);
        if self.unwanted.len() >= LOOKUP_KEYS { self.look_up().await } else { Ok(()) }
    }

    async fn look_up(&mut self) -> anyhow::Result<()> {
        let unwanted = std::mem::take(&mut self.unwanted);
        let keys: Vec<&str> = unwanted.iter().map(|income| income.transaction_id.as_str()).collect();
        for (_, amount_fen) in self.carries.take_waiting(&keys).await? {
            self.leg.of_other_days.add(amount_fen);
        }
        Ok(())
    }
}

fn mismatch(row: &WantedIncome, text: String) -> Difference {
    Difference {
        kind: FindingType::FundMismatch,
        key: row.transaction_id.clone(),
        order_no: Some(row.out_trade_no.clone()),
        amount_fen: Some(row.gross_fen),
        text,
        evidence: json!({
            "line": row.line, "transaction_id": row.transaction_id, "out_trade_no": row.out_trade_no,
            "amount_fen": row.gross_fen, "settled_fen": row.settled_fen,
        }),
        may_heal: false,
    }
}
