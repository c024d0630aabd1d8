//! `windlass backups …`: straight on the ledger, so that a backup script needs no key to the front door.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use ring::digest::{Context as Digest, SHA256};
use serde_json::json;
use windlass_engine::Timestamp;
use windlass_jobs::housekeeping::backups::{NewBackup, list, record_backup};
use windlass_jobs::ledger::Ledger;

use super::jobs::Said;
use super::table::Table;
use crate::config::Config;
use crate::front_door::backups::told;
use crate::platform::shop_settings;

#[derive(Debug, Subcommand)]
pub enum Backups {
    /// The newest first.
    List {
        #[arg(long)]
        kind: Option<String>,
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Reports a backup that is complete and lies where it stays.
    Record(Record),
}

#[derive(Debug, Args)]
pub struct Record {
    /// What was backed up, such as ledger.
    #[arg(long)]
    kind: String,
    /// The moment that it shows, RFC 3339 [default: when the file was last written, or now].
    #[arg(long)]
    taken_at: Option<String>,
    /// The file itself: its size and SHA-256 are found out.
    #[arg(long, value_name = "PATH", required_unless_present_all = ["bytes", "sha256"])]
    file: Option<PathBuf>,
    #[arg(long, conflicts_with = "file")]
    bytes: Option<i64>,
    #[arg(long, conflicts_with = "file")]
    sha256: Option<String>,
    /// Where it lies, without credentials [default: the file's path].
    #[arg(long = "where", value_name = "PLACE")]
    location: Option<String>,
    /// When it was restored somewhere and looked at, RFC 3339.
    #[arg(long)]
    verified_at: Option<String>,
}

impl Backups {
    /// # Errors
    /// When the ledger does not open, or the report cannot be.
    pub async fn run(self, config: &Config) -> anyhow::Result<Said> {
        let clock = config.clock();
        let ledger = Ledger::open(config.database.to_connect().expose(), &clock).await?;
        match self {
            Self::List { kind, limit } => {
                let backups = list(&ledger, kind.as_deref(), limit).await?;
                let mut table = Table::new(&["kind", "taken", "bytes", "verified", "where"]).right(2);
                for backup in &backups {
                    table.row([
                        backup.kind.clone(),
                        backup.taken_at.to_rfc3339(),
                        backup.bytes.to_string(),
                        backup.verified_at.map(Timestamp::to_rfc3339).unwrap_or_default(),
                        backup.location.clone(),
                    ]);
                }
                let json = json!({ "backups": backups.iter().map(told).collect::<Vec<_>>() });
                Ok(Said { json, text: table.to_string() })
            }
            Self::Record(record) => {
                let settings = shop_settings(config.shop.as_deref())?;
                let backup = record.backup(clock.now()).await?;
                let (stored, is_new) = record_backup(&ledger, &settings, &backup, "command line").await?;
                let known = if is_new { "recorded" } else { "was known" };
                Ok(Said {
                    json: told(&stored),
                    text: format!("{} {known}: {} bytes", stored.id, stored.bytes),
                })
            }
        }
    }
}

impl Record {
    async fn backup(self, now: Timestamp) -> anyhow::Result<NewBackup> {
        let instant = |name: &str, text: &str| {
            Timestamp::parse_rfc3339(text)
                .with_context(|| format!("--{name} is an instant such as 2026-11-22T08:00:00+08:00"))
        };
        let mut taken_at = self.taken_at.as_deref().map(|text| instant("taken-at", text)).transpose()?;
        let (bytes, sha256, location) = match self.file {
            Some(path) => {
                let shown = path.display().to_string();
                let written = std::fs::metadata(&path).and_then(|file| file.modified());
                let written = written.with_context(|| format!("{shown} cannot be read"))?;
                taken_at = taken_at.or_else(|| {
                    let since = written.duration_since(std::time::UNIX_EPOCH).ok()?;
                    i64::try_from(since.as_micros()).ok().map(Timestamp::from_micros)
                });
                let hashed = tokio::task::spawn_blocking(move || hash(&path)).await?;
                let (bytes, sha256) = hashed.with_context(|| format!("{shown} cannot be read"))?;
                (bytes, sha256, self.location.unwrap_or(shown))
            }
            None => (
                self.bytes.unwrap_or_default(),
                self.sha256.unwrap_or_default(),
                self.location.context("--where says where it lies")?,
            ),
        };
        let verified_at = self.verified_at.as_deref().map(|text| instant("verified-at", text)).transpose()?;
        Ok(NewBackup {
            kind: self.kind,
            taken_at: taken_at.unwrap_or(now),
            bytes,
            sha256,
            location,
            verified_at,
        })
    }
}

/// Bytes and SHA-256, a piece of the file at a time.
fn hash(path: &std::path::Path) -> std::io::Result<(i64, String)> {
    use std::io::Read;
    const PIECE_BYTES: usize = 256 * 1024;
    let (mut file, mut digest) = (std::fs::File::open(path)?, Digest::new(&SHA256));
    let (mut piece, mut bytes) = (vec![0; PIECE_BYTES], 0i64);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        digest.update(&piece[..read]);
        bytes += read as i64;
    }
    Ok((bytes, digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()))
}
