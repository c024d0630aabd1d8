//! Backups, as whoever takes them reports: which there are, and whether the newest is good enough.
//!
//! The contract with a backup script is one report for each backup that is complete and lies where it stays
//! (`POST /v1/backups`, `windlass backups record`). Repeating a report changes nothing; a later one of the same
//! backup with `verified_at` adds that it was restored and looked at.

use std::time::Duration;

use serde::Serialize;
use windlass_engine::Timestamp;

use crate::findings::FindingType;
use crate::ledger::{Ledger, LedgerError, Tx};
use crate::settings::Settings;

/// Kinds of backup that there may be: each is a label of a metric.
pub const BACKUP_KINDS_MAX: i64 = 16;
/// Characters of a kind.
pub const BACKUP_KIND_CHARS_MAX: usize = 32;
/// Bytes of the place where a backup lies.
pub const BACKUP_LOCATION_BYTES_MAX: usize = 500;
/// Rows of one list.
pub const BACKUP_ROWS_MAX: u32 = 500;
/// How far ahead of ours the clock of whoever reports may be.
const AHEAD_MAX: Duration = Duration::from_secs(300);
/// Backups before the newest that say how large one usually is.
const USUAL_OF: usize = 5;

/// A backup that was taken.
#[derive(Clone, Debug)]
pub struct NewBackup {
    /// What was backed up: 1 to [`BACKUP_KIND_CHARS_MAX`] of `a-z 0-9 _`.
    pub kind: String,
    /// The moment that it shows.
    pub taken_at: Timestamp,
    pub bytes: i64,
    /// Of the file: 64 hexadecimal digits.
    pub sha256: String,
    /// Where it lies, without credentials.
    pub location: String,
    /// When it was restored somewhere and looked at.
    pub verified_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backup {
    pub id: String,
    pub kind: String,
    pub taken_at: Timestamp,
    pub bytes: i64,
    pub sha256: String,
    pub location: String,
    pub verified_at: Option<Timestamp>,
    pub reported_at: Timestamp,
    pub reported_by: String,
}

/// What the backups of one kind are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Good,
    /// There is none.
    Never,
    TooOld {
        age: Duration,
    },
    /// Far smaller than the ones before it: half a file, or an empty database.
    TooSmall {
        bytes: i64,
        usual: i64,
    },
}

/// Stores the report; true: the backup was not known. Ends the cases that a good one settles.
///
/// # Errors
/// [`LedgerError::Invalid`] when a field is over its bound, the backup comes from the future, another file is known
/// under its kind and time, or there are [`BACKUP_KINDS_MAX`] kinds.
pub async fn record_backup(
    ledger: &Ledger,
    settings: &Settings,
    backup: &NewBackup,
    who: &str,
) -> Result<(Backup, bool), LedgerError> {
    let now = ledger.clock().now();
    check(backup, now)?;
    let mut tx = ledger.begin().await?;
    let id = format!("{}@{}", backup.kind, backup.taken_at.to_rfc3339());
    let (others,): (i64,) =
        sqlx::query_as("SELECT COUNT(DISTINCT kind) AS kinds FROM backups WHERE kind <> $1")
            .bind(backup.kind.clone())
            .fetch_one(tx.conn())
            .await?;
    if others >= BACKUP_KINDS_MAX {
        return Err(LedgerError::Invalid(format!(
            "there are {BACKUP_KINDS_MAX} kinds of backup: as many as may be"
        )));
    }
    let made = sqlx::query(
        "INSERT INTO backups (id, kind, taken_at, bytes, sha256, location, verified_at, reported_at, reported_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
    )
    .bind(id.clone())
    .bind(backup.kind.clone())
    .bind(backup.taken_at.micros())
    .bind(backup.bytes)
    .bind(backup.sha256.to_ascii_lowercase())
    .bind(backup.location.clone())
    .bind(backup.verified_at.map(Timestamp::micros))
    .bind(now.micros())
    .bind(who.to_owned())
    .execute(tx.conn())
    .await?;
    let is_new = made.rows_affected() > 0;
    if !is_new {
        again(&mut tx, &id, backup).await?;
    }
    let newest = newest_in(&mut tx, &backup.kind).await?;
    if judge(&newest, now, settings) == Judgement::Good {
        settle(&mut tx, &backup.kind, who).await?;
    }
    tx.audit(who, "backup.record", &id, &format!("{} bytes at {}", backup.bytes, backup.location)).await?;
    tx.commit().await?;
    let stored =
        list(ledger, Some(&backup.kind), BACKUP_ROWS_MAX).await?.into_iter().find(|known| known.id == id);
    let stored = stored.ok_or_else(|| LedgerError::Unreadable(format!("the backup {id} is not there")))?;
    Ok((stored, is_new))
}

/// A report of a backup that is known: of another file it is refused.
async fn again(tx: &mut Tx, id: &str, backup: &NewBackup) -> Result<(), LedgerError> {
    let same = sqlx::query(
        "UPDATE backups SET verified_at = COALESCE($3, verified_at) WHERE id = $1 AND sha256 = $2",
    )
    .bind(id.to_owned())
    .bind(backup.sha256.to_ascii_lowercase())
    .bind(backup.verified_at.map(Timestamp::micros))
    .execute(tx.conn())
    .await?;
    if same.rows_affected() == 0 {
        return Err(LedgerError::Invalid(format!("{id} is known with another SHA-256: was it overwritten?")));
    }
    Ok(())
}

fn check(backup: &NewBackup, now: Timestamp) -> Result<(), LedgerError> {
    let is_word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    let wrong =
        if !(1..=BACKUP_KIND_CHARS_MAX).contains(&backup.kind.len()) || !backup.kind.bytes().all(is_word) {
            format!("kind: 1 to {BACKUP_KIND_CHARS_MAX} of a-z 0-9 _")
        } else if backup.bytes < 1 {
            "bytes: an empty file is no backup".to_owned()
        } else if backup.sha256.len() != 64 || !backup.sha256.bytes().all(|c| c.is_ascii_hexdigit()) {
            "sha256: 64 hexadecimal digits".to_owned()
        } else if backup.location.is_empty()
            || backup.location.len() > BACKUP_LOCATION_BYTES_MAX
            || backup.location.contains(char::is_control)
        {
            format!("where: 1 to {BACKUP_LOCATION_BYTES_MAX} bytes, and no control characters")
        } else if backup.taken_at > now + AHEAD_MAX {
            format!("taken_at: {} is not yet; it is {now} here", backup.taken_at)
        } else {
            return Ok(());
        };
    Err(LedgerError::Invalid(wrong))
}

/// The newest first, of one kind or of all.
///
/// # Errors
/// When the ledger does not answer.
pub async fn list(ledger: &Ledger, kind: Option<&str>, limit: u32) -> Result<Vec<Backup>, LedgerError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, kind, taken_at, bytes, sha256, location, verified_at, reported_at, reported_by FROM backups \
         WHERE ($1 IS NULL OR kind = $1) ORDER BY taken_at DESC, id LIMIT $2",
    )
    .bind(kind.map(str::to_owned))
    .bind(i64::from(limit.clamp(1, BACKUP_ROWS_MAX)))
    .fetch_all(ledger.reads())
    .await?;
    Ok(rows.into_iter().map(read).collect())
}

/// When the newest backup of each kind was taken.
///
/// # Errors
/// When the ledger does not answer.
pub async fn newest_by_kind(ledger: &Ledger) -> Result<Vec<(String, Timestamp)>, LedgerError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, MAX(taken_at) AS newest_at FROM backups GROUP BY kind ORDER BY kind")
            .fetch_all(ledger.reads())
            .await?;
    Ok(rows.into_iter().map(|(kind, at)| (kind, Timestamp::from_micros(at))).collect())
}

/// The newest first, as many as a judgement needs.
pub(super) async fn newest_in(tx: &mut Tx, kind: &str) -> Result<Vec<(Timestamp, i64)>, LedgerError> {
    let rows: Vec<(i64, i64)> =
        sqlx::query_as("SELECT taken_at, bytes FROM backups WHERE kind = $1 ORDER BY taken_at DESC LIMIT $2")
            .bind(kind.to_owned())
            .bind(USUAL_OF as i64 + 1)
            .fetch_all(tx.conn())
            .await?;
    Ok(rows.into_iter().map(|(at, bytes)| (Timestamp::from_micros(at), bytes)).collect())
}

/// Judges (taken, bytes), the newest first.
pub(super) fn judge(newest: &[(Timestamp, i64)], now: Timestamp, settings: &Settings) -> Judgement {
    let Some(((taken_at, bytes), before)) = newest.split_first() else { return Judgement::Never };
    let age = now.since(*taken_at);
    if age > Duration::from_secs(settings.backup_age_max_s) {
        return Judgement::TooOld { age };
    }
    let mut sizes: Vec<i64> = before.iter().take(USUAL_OF).map(|(_, bytes)| *bytes).collect();
    sizes.sort_unstable();
    match sizes.get(sizes.len() / 2).copied() {
        Some(usual) if bytes.saturating_mul(100) < usual.saturating_mul(settings.backup_percent_min) => {
            Judgement::TooSmall { bytes: *bytes, usual }
        }
        _ => Judgement::Good,
    }
}

/// Ends every open case of the kind. Answers how many.
pub(super) async fn settle(tx: &mut Tx, kind: &str, who: &str) -> Result<usize, LedgerError> {
    let open: Vec<(String,)> =
        sqlx::query_as("SELECT key FROM findings WHERE type = $1 AND settled_at IS NULL ORDER BY key")
            .bind(FindingType::BackupMissing.as_str())
            .fetch_all(tx.conn())
            .await?;
    let of_kind = |key: &str| key.split_once('@').is_some_and(|(name, _)| name == kind);
    let mut settled = 0;
    for (key,) in open.iter().filter(|(key,)| of_kind(key)) {
        let reason = "there is a good backup again";
        settled += usize::from(tx.resolve_finding(FindingType::BackupMissing, key, who, reason).await?);
    }
    Ok(settled)
}

type Row = (String, String, i64, i64, String, String, Option<i64>, i64, String);

fn read((id, kind, taken, bytes, sha256, location, verified, reported, reported_by): Row) -> Backup {
    Backup {
        id,
        kind,
        taken_at: Timestamp::from_micros(taken),
        bytes,
        sha256,
        location,
        verified_at: verified.map(Timestamp::from_micros),
        reported_at: Timestamp::from_micros(reported),
        reported_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_767_585_600);
    const DAY: Duration = Duration::from_secs(86_400);

    fn judged(newest: &[(u32, i64)]) -> Judgement {
        let newest: Vec<_> = newest.iter().map(|(days, bytes)| (NOW - DAY * *days, *bytes)).collect();
        judge(&newest, NOW, &Settings::default())
    }

    #[test]
    fn a_backup_is_good_when_it_is_young_and_about_as_large_as_the_ones_before() {
        assert_eq!(judged(&[]), Judgement::Never);
        assert_eq!(judged(&[(0, 10)]), Judgement::Good);
        assert_eq!(judged(&[(2, 10), (3, 10)]), Judgement::TooOld { age: DAY * 2 });
        assert_eq!(judged(&[(0, 50), (1, 100), (2, 100)]), Judgement::Good);
        assert_eq!(judged(&[(0, 49), (1, 100), (2, 100)]), Judgement::TooSmall { bytes: 49, usual: 100 });
        // One that was small before does not say what is usual.
        assert_eq!(judged(&[(0, 90), (1, 1), (2, 100), (3, 100)]), Judgement::Good);
    }
}
