//! What is compared, as it is sorted: a few fields of each row, in a binary form of our own that lives as long as one
//! comparison.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::sorter::Record;
use crate::payments::{PaymentState, RefundState};
use crate::stored::parsed;

/// A payment of the trade bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradePayment {
    pub out_trade_no: String,
    pub transaction_id: String,
    pub line: i64,
    /// When it succeeded, in microseconds.
    pub at: i64,
    pub gross_fen: i64,
}

/// A refund of the trade bill, or a payment that the till took back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradeRefund {
    pub out_refund_no: String,
    pub transaction_id: String,
    pub refund_id: String,
    pub out_trade_no: String,
    pub line: i64,
    pub gross_fen: i64,
}

/// A payment of the trade bill that wants its income in the flow of funds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedIncome {
    pub transaction_id: String,
    pub out_trade_no: String,
    pub line: i64,
    pub at: i64,
    pub gross_fen: i64,
    /// Net of coupons.
    pub settled_fen: i64,
}

/// An income of the flow of funds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Income {
    pub transaction_id: String,
    pub line: i64,
    pub at: i64,
    pub amount_fen: i64,
}

/// A payment of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurPayment {
    pub out_trade_no: String,
    pub order_no: String,
    pub state: PaymentState,
    /// The order's.
    pub amount_fen: i64,
    /// What WeChat said was paid.
    pub paid_fen: i64,
    /// Empty: not known.
    pub transaction_id: String,
    /// 0: not paid.
    pub paid_at: i64,
}

/// A refund of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurRefund {
    pub refund_no: String,
    pub order_no: String,
    pub state: RefundState,
    pub amount_fen: i64,
    /// Empty: not known.
    pub refund_id: String,
    pub requested_at: i64,
}

impl OurPayment {
    /// From a row of `payments` with the columns of these names.
    pub fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            out_trade_no: row.try_get("out_trade_no")?,
            order_no: row.try_get("order_no")?,
            state: parsed(row, "state")?,
            amount_fen: row.try_get("amount_fen")?,
            paid_fen: row.try_get("paid_fen")?,
            transaction_id: row.try_get::<Option<String>, _>("transaction_id")?.unwrap_or_default(),
            paid_at: row.try_get::<Option<i64>, _>("paid_at")?.unwrap_or_default(),
        })
    }
}

impl OurRefund {
    /// From a row of `refunds` with the columns of these names.
    pub fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            refund_no: row.try_get("refund_no")?,
            order_no: row.try_get("order_no")?,
            state: parsed(row, "state")?,
            amount_fen: row.try_get("amount_fen")?,
            refund_id: row.try_get("refund_id")?,
            requested_at: row.try_get("requested_at")?,
        })
    }
}

/// Two texts as one key: those of the first come together, in the order of the second.
fn key_of(first: &str, second: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(first.as_bytes());
    into.push(0);
    into.extend_from_slice(second.as_bytes());
}

impl Record for TradePayment {
    fn key(&self, into: &mut Vec<u8>) {
        key_of(&self.out_trade_no, &self.transaction_id, into);
    }

    fn encode(&self, into: &mut Vec<u8>) {
        numbers(&[self.line, self.at, self.gross_fen], into);
        texts(&[&self.out_trade_no, &self.transaction_id], into);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder(bytes);
        let (line, at, gross_fen) = (from.number()?, from.number()?, from.number()?);
        Some(Self { line, at, gross_fen, out_trade_no: from.text()?, transaction_id: from.text()? })
    }
}

impl Record for TradeRefund {
    fn key(&self, into: &mut Vec<u8>) {
        key_of(&self.out_refund_no, &self.transaction_id, into);
    }

    fn encode(&self, into: &mut Vec<u8>) {
        numbers(&[self.line, self.gross_fen], into);
        texts(&[&self.out_refund_no, &self.transaction_id, &self.refund_id, &self.out_trade_no], into);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder(bytes);
        let (line, gross_fen) = (from.number()?, from.number()?);
        let (out_refund_no, transaction_id) = (from.text()?, from.text()?);
        let (refund_id, out_trade_no) = (from.text()?, from.text()?);
        Some(Self { out_refund_no, transaction_id, refund_id, out_trade_no, line, gross_fen })
    }
}

impl Record for WantedIncome {
    fn key(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.transaction_id.as_bytes());
    }

    fn encode(&self, into: &mut Vec<u8>) {
        numbers(&[self.line, self.at, self.gross_fen, self.settled_fen], into);
        texts(&[&self.transaction_id, &self.out_trade_no], into);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder(bytes);
        let (line, at, gross_fen, settled_fen) =
            (from.number()?, from.number()?, from.number()?, from.number()?);
        let (transaction_id, out_trade_no) = (from.text()?, from.text()?);
        Some(Self { transaction_id, out_trade_no, line, at, gross_fen, settled_fen })
    }
}

impl Record for Income {
    fn key(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.transaction_id.as_bytes());
    }

    fn encode(&self, into: &mut Vec<u8>) {
        numbers(&[self.line, self.at, self.amount_fen], into);
        texts(&[&self.transaction_id], into);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder(bytes);
        let (line, at, amount_fen) = (from.number()?, from.number()?, from.number()?);
        Some(Self { transaction_id: from.text()?, line, at, amount_fen })
    }
}

impl Record for OurPayment {
    fn key(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.out_trade_no.as_bytes());
    }

    fn encode(&self, into: &mut Vec<u8>) {
        numbers(&[self.amount_fen, self.paid_fen, self.paid_at], into);
        texts(&[&self.out_trade_no, &self.order_no, self.state.as_str(), &self.transaction_id], into);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder(bytes);
        let (amount_fen, paid_fen, paid_at) = (from.number()?, from.number()?, from.number()?);
        let (out_trade_no, order_no) = (from.text()?, from.text()?);
        let (state, transaction_id) = (from.text()?.parse().ok()?, from.text()?);
        Some(Self { out_trade_no, order_no, state, amount_fen, paid_fen, transaction_id, paid_at })
    }
}

impl Record for OurRefund {
    fn key(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.refund_no.as_bytes());
    }

    fn encode(&self, into: &mut Vec<u8>) {
        numbers(&[self.amount_fen, self.requested_at], into);
        texts(&[&self.refund_no, &self.order_no, self.state.as_str(), &self.refund_id], into);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder(bytes);
        let (amount_fen, requested_at) = (from.number()?, from.number()?);
        let (refund_no, order_no) = (from.text()?, from.text()?);
        let (state, refund_id) = (from.text()?.parse().ok()?, from.text()?);
        Some(Self { refund_no, order_no, state, amount_fen, refund_id, requested_at })
    }
}

fn numbers(all: &[i64], into: &mut Vec<u8>) {
    for number in all {
        into.extend_from_slice(&number.to_le_bytes());
    }
}

fn texts(all: &[&str], into: &mut Vec<u8>) {
    for text in all {
        // A text of the ledger or of a bill's line is far shorter.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        into.extend_from_slice(&length.to_le_bytes());
        into.extend_from_slice(text.as_bytes());
    }
}

struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn number(&mut self) -> Option<i64> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_le_bytes(*head))
    }

    fn text(&mut self) -> Option<String> {
        let (head, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*head) as usize)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(R::decode(&bytes).as_ref(), Some(record));
        for cut in 0..bytes.len() {
            assert!(R::decode(&bytes[..cut]).is_none(), "{cut} bytes of {}", bytes.len());
        }
    }

    #[test]
    fn what_is_sorted_comes_back_whole() {
        let text = |text: &str| text.to_owned();
        comes_back(&TradePayment {
            out_trade_no: text("SO-1"),
            transaction_id: text("4200订"),
            line: 7,
            at: -1,
            gross_fen: i64::MAX,
        });
        comes_back(&TradeRefund {
            out_refund_no: text("SO-1-R1"),
            transaction_id: String::new(),
            refund_id: text("503"),
            out_trade_no: text("SO-1"),
            line: 8,
            gross_fen: 1,
        });
        comes_back(&WantedIncome {
            transaction_id: text("4200"),
            out_trade_no: text("SO-1"),
            line: 7,
            at: 1,
            gross_fen: 2,
            settled_fen: 3,
        });
        comes_back(&Income { transaction_id: text("4200"), line: 1, at: 2, amount_fen: 3 });
        comes_back(&OurPayment {
            out_trade_no: text("SO-1"),
            order_no: text("SO-1"),
            state: PaymentState::Late,
            amount_fen: 1,
            paid_fen: 2,
            transaction_id: text("4200"),
            paid_at: 3,
        });
        comes_back(&OurRefund {
            refund_no: text("SO-1-R1"),
            order_no: text("SO-1"),
            state: RefundState::Abnormal,
            amount_fen: 1,
            refund_id: String::new(),
            requested_at: 3,
        });
    }
}
