//! Reads a stored bill: rows in the order of the file, then its totals. Memory is bounded by one piece.

use std::collections::VecDeque;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::GzDecoder;

use super::{BillError, BillTotals, BillType, Expected, Form, Fund, Line, Parser, Trade, parse_day};
use crate::ledger::Ledger;

/// Compressed bytes that are unpacked at once: what they may grow to is a thousand times as much.
const UNPACKED_AT_ONCE: usize = 16 * 1024;

/// Opens a trade bill that is ready.
///
/// # Errors
/// [`BillError::NoSuchBill`].
pub async fn read_trade(ledger: &Ledger, bill_id: &str) -> Result<BillReader<Trade>, BillError> {
    BillReader::open(ledger, bill_id, BillType::Trade).await
}

/// As [`read_trade`], of a fund flow bill.
///
/// # Errors
/// [`BillError::NoSuchBill`].
pub async fn read_fund(ledger: &Ledger, bill_id: &str) -> Result<BillReader<Fund>, BillError> {
    BillReader::open(ledger, bill_id, BillType::Fund).await
}

/// A stored bill, read from its beginning to its end.
pub struct BillReader<F: Form> {
    ledger: Ledger,
    id: String,
    next_seq: i64,
    decoder: Option<GzDecoder<Vec<u8>>>,
    parser: Option<Parser<F>>,
    waiting: VecDeque<Line<F::Row>>,
    totals: Option<BillTotals>,
}

impl<F: Form> BillReader<F> {
    async fn open(ledger: &Ledger, id: &str, kind: BillType) -> Result<Self, BillError> {
        let bill: Option<(String, String)> =
            sqlx::query_as("SELECT mchid, day FROM bills WHERE id = $1 AND type = $2 AND state = 'ready'")
                .bind(id)
                .bind(kind.as_str())
                .fetch_optional(ledger.reads())
                .await?;
        let (mchid, day) = bill.ok_or_else(|| BillError::NoSuchBill(id.to_owned()))?;
        let day = parse_day(&day)
            .ok_or_else(|| BillError::Broken { id: id.to_owned(), reason: format!("{day:?} is no day") })?;
        Ok(Self {
            ledger: ledger.clone(),
            id: id.to_owned(),
            next_seq: 0,
            decoder: Some(GzDecoder::new(Vec::new())),
            parser: Some(Parser::new(Expected { mchid, day })),
            waiting: VecDeque::new(),
            totals: None,
        })
    }

    /// The next line; none at the end of the file.
    ///
    /// # Errors
    /// When the ledger is away or what it holds cannot be unpacked.
    pub async fn next(&mut self) -> Result<Option<Line<F::Row>>, BillError> {
        while self.waiting.is_empty() && self.parser.is_some() {
            self.read_on().await?;
        }
        Ok(self.waiting.pop_front())
    }

    /// All lines of the next piece, some thousands of them; none at the end of the file.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_lines(&mut self) -> Result<Option<Vec<Line<F::Row>>>, BillError> {
        while self.waiting.is_empty() && self.parser.is_some() {
            self.read_on().await?;
        }
        let lines: Vec<_> = self.waiting.drain(..).collect();
        Ok((!lines.is_empty()).then_some(lines))
    }

    /// What the file came to; none before its end was read.
    pub fn totals(&self) -> Option<&BillTotals> {
        self.totals.as_ref()
    }

    async fn read_on(&mut self) -> Result<(), BillError> {
        let piece: Option<(String,)> =
            sqlx::query_as("SELECT data FROM bill_files WHERE bill_id = $1 AND seq = $2")
                .bind(&self.id)
                .bind(self.next_seq)
                .fetch_optional(self.ledger.reads())
                .await?;
        match piece {
            Some((data,)) => {
                self.next_seq += 1;
                let piece = STANDARD.decode(data).map_err(|error| self.broken(error))?;
                for part in piece.chunks(UNPACKED_AT_ONCE) {
                    self.unpack(part)?;
                }
                Ok(())
            }
            None => self.end(),
        }
    }

    fn unpack(&mut self, part: &[u8]) -> Result<(), BillError> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        if let Err(error) = decoder.write_all(part) {
            return Err(self.broken(error));
        }
        let bytes = std::mem::take(decoder.get_mut());
        self.parse(&bytes)
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<(), BillError> {
        if let Some(parser) = &mut self.parser {
            let mut lines = Vec::new();
            parser.push(bytes, &mut lines)?;
            self.waiting.extend(lines);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), BillError> {
        if let Some(decoder) = self.decoder.take() {
            let rest = decoder.finish().map_err(|error| self.broken(error))?;
            self.parse(&rest)?;
        }
        if let Some(parser) = self.parser.take() {
            let mut lines = Vec::new();
            self.totals = Some(parser.finish(&mut lines)?);
            self.waiting.extend(lines);
        }
        Ok(())
    }

    fn broken(&self, error: impl std::fmt::Display) -> BillError {
        BillError::Broken { id: self.id.clone(), reason: error.to_string() }
    }
}
