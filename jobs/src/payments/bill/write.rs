//! Puts a bill's file into the ledger while it comes in: compressed, in pieces, a small transaction each.
//!
//! Until somebody marks it ready nobody can read it. A try that died leaves a row in the state `fetching`; the next
//! try takes it over, and its pieces go away.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDate;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{BillError, BillKey, BillTotals, BillType, Expected, Fund, NotABill, Parser, Trade};
use crate::ledger::{Ledger, LedgerError};

/// Bytes of one piece, before base64.
const PIECE_BYTES: usize = 96 * 1024;
/// Pieces that one transaction deletes.
const PIECES_DELETED_AT_ONCE: i64 = 50;

/// A file on its way in.
pub struct BillWriter {
    ledger: Ledger,
    id: String,
    encoder: GzEncoder<Vec<u8>>,
    pieces: i64,
    bytes: u64,
    reading: Result<Reading, NotABill>,
}

/// A file that is wholly in, and not yet ready.
pub struct Sealed {
    pub id: String,
    /// Uncompressed.
    pub bytes: u64,
    /// The error says why the file is no bill.
    pub totals: Result<BillTotals, NotABill>,
}

enum Reading {
    Trade(Parser<Trade>),
    Fund(Parser<Fund>),
}

impl BillWriter {
    /// Begins a file, and takes over from tries at the same bill that did not end.
    pub async fn begin(ledger: &Ledger, key: &BillKey) -> Result<Self, BillError> {
        let expected = Expected { mchid: key.mchid.clone(), day: key.day };
        let reading = match key.kind {
            BillType::Trade => Reading::Trade(Parser::new(expected)),
            BillType::Fund => Reading::Fund(Parser::new(expected)),
        };
        let now = ledger.clock().now().micros();
        let id = windlass_engine::JobId::new(ledger.clock().now()).as_str().to_owned();
        let mut tx = ledger.begin().await?;
        sqlx::query(
            "UPDATE bills SET state = 'abandoned' \
             WHERE mchid = $1 AND day = $2 AND type = $3 AND state = 'fetching'",
        )
        .bind(&key.mchid)
        .bind(key.day_text())
        .bind(key.kind.as_str())
        .execute(tx.conn())
        .await?;
        sqlx::query(
            "INSERT INTO bills (id, mchid, day, type, state, fetched_at, asked_at) \
             VALUES ($1, $2, $3, $4, 'fetching', $5, $5)",
        )
        .bind(&id)
        .bind(&key.mchid)
        .bind(key.day_text())
        .bind(key.kind.as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        clear_abandoned(ledger).await?;
        let encoder = GzEncoder::new(Vec::with_capacity(2 * PIECE_BYTES), Compression::fast());
        Ok(Self { ledger: ledger.clone(), id, encoder, pieces: 0, bytes: 0, reading: Ok(reading) })
    }

    /// Takes the next bytes of the uncompressed file.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BillError> {
        self.bytes += bytes.len() as u64;
        // What is no bill is read on: whether these are WeChat's own bytes only the hash tells, at the end.
        if let Ok(reading) = &mut self.reading
            && let Err(error) = reading.push(bytes)
        {
            self.reading = Err(error);
        }
        self.encoder.write_all(bytes).map_err(|error| self.broken(&error))?;
        self.put_pieces(PIECE_BYTES).await
    }

    /// Puts the rest.
    pub async fn seal(mut self) -> Result<Sealed, BillError> {
        self.encoder.try_finish().map_err(|error| self.broken(&error))?;
        self.put_pieces(1).await?;
        let totals = self.reading.and_then(Reading::finish);
        Ok(Sealed { id: self.id, bytes: self.bytes, totals })
    }

    /// Gives the file up and clears it away.
    pub async fn abandon(self) -> Result<(), BillError> {
        abandon(&self.ledger, &self.id).await
    }

    /// Puts pieces for as long as at least `bytes_min` wait.
    async fn put_pieces(&mut self, bytes_min: usize) -> Result<(), BillError> {
        while self.encoder.get_ref().len() >= bytes_min.max(1) {
            let waiting = self.encoder.get_mut();
            let rest = waiting.split_off(waiting.len().min(PIECE_BYTES));
            let piece = std::mem::replace(waiting, rest);
            self.put(&piece).await?;
        }
        Ok(())
    }

    async fn put(&mut self, piece: &[u8]) -> Result<(), BillError> {
        let mut tx = self.ledger.begin().await?;
        let ours = sqlx::query("UPDATE bills SET bytes = $2 WHERE id = $1 AND state = 'fetching'")
            .bind(&self.id)
            .bind(i64::try_from(self.bytes).unwrap_or(i64::MAX))
            .execute(tx.conn())
            .await?;
        if ours.rows_affected() != 1 {
            return Err(BillError::TakenOver(self.id.clone()));
        }
        sqlx::query("INSERT INTO bill_files (bill_id, seq, data) VALUES ($1, $2, $3)")
            .bind(&self.id)
            .bind(self.pieces)
            .bind(STANDARD.encode(piece))
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
        self.pieces += 1;
        Ok(())
    }

    fn broken(&self, error: &std::io::Error) -> BillError {
        BillError::Broken { id: self.id.clone(), reason: error.to_string() }
    }
}

impl Reading {
    fn push(&mut self, bytes: &[u8]) -> Result<(), NotABill> {
        // The rows themselves are read again by whoever compares them.
        match self {
            Self::Trade(parser) => parser.push(bytes, &mut Vec::new()),
            Self::Fund(parser) => parser.push(bytes, &mut Vec::new()),
        }
    }

    fn finish(self) -> Result<BillTotals, NotABill> {
        match self {
            Self::Trade(parser) => parser.finish(&mut Vec::new()),
            Self::Fund(parser) => parser.finish(&mut Vec::new()),
        }
    }
}

/// Gives up a file that is not ready, and clears it away.
pub(crate) async fn abandon(ledger: &Ledger, id: &str) -> Result<(), BillError> {
    let mut tx = ledger.begin().await?;
    sqlx::query("UPDATE bills SET state = 'abandoned' WHERE id = $1 AND state = 'fetching'")
        .bind(id)
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    clear_abandoned(ledger).await?;
    Ok(())
}

/// Lets go of the files of bills from before `day`, at most `bills_max` of them; their rows stay. How many it were.
pub(crate) async fn expire_files(
    ledger: &Ledger,
    day: NaiveDate,
    bills_max: u32,
) -> Result<usize, LedgerError> {
    let old: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM bills WHERE state = 'ready' AND day < $1 ORDER BY day, id LIMIT $2")
            .bind(super::day_text(day))
            .bind(i64::from(bills_max))
            .fetch_all(ledger.reads())
            .await?;
    for (id,) in &old {
        // The pieces first: whoever dies in between does it again.
        delete_pieces(ledger, id).await?;
        let mut tx = ledger.begin().await?;
        sqlx::query("UPDATE bills SET state = 'expired' WHERE id = $1 AND state = 'ready'")
            .bind(id)
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
    }
    Ok(old.len())
}

/// Deletes the pieces of abandoned files, a bounded number a transaction, and then their rows.
pub(crate) async fn clear_abandoned(ledger: &Ledger) -> Result<(), LedgerError> {
    let abandoned: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM bills WHERE state = 'abandoned' ORDER BY id LIMIT 100")
            .fetch_all(ledger.reads())
            .await?;
    for (id,) in abandoned {
        delete_pieces(ledger, &id).await?;
        let mut tx = ledger.begin().await?;
        sqlx::query("DELETE FROM bills WHERE id = $1 AND state = 'abandoned'")
            .bind(&id)
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn delete_pieces(ledger: &Ledger, id: &str) -> Result<(), LedgerError> {
    loop {
        let mut tx = ledger.begin().await?;
        let gone = sqlx::query(
            "DELETE FROM bill_files WHERE bill_id = $1 AND seq IN \
             (SELECT seq FROM bill_files WHERE bill_id = $1 ORDER BY seq LIMIT $2)",
        )
        .bind(id)
        .bind(PIECES_DELETED_AT_ONCE)
        .execute(tx.conn())
        .await?;
        tx.commit().await?;
        if gone.rows_affected() == 0 {
            return Ok(());
        }
    }
}
