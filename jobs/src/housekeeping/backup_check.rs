//! Looks whether there is a backup that one could go back to; where there is none a person hears of it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_engine::{Job, JobContext, JobError, Outcome, Timestamp};

use super::backups::{Judgement, judge, newest_by_kind, newest_in, settle};
use crate::findings::{FindingType, NewFinding};
use crate::ledger::{Ledger, LedgerError};
use crate::settings::Settings;
use crate::shop::Shop;

/// Looks whether the newest backups are good enough.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupCheck {}

impl Job for BackupCheck {
    const KIND: &'static str = "backup_check";
    const QUEUE: &'static str = "housekeeping";
    const ATTEMPTS_MAX: u32 = 5;
    type Context = Shop;

    async fn run(self, shop: &Shop, job: &JobContext) -> Result<Outcome, JobError> {
        let checked = check_backups(&shop.ledger, &shop.settings).await?;
        if checked.good.is_empty() && checked.bad.is_empty() {
            job.log("no backup was ever reported, and the setting backup_kinds asks for none");
        }
        Ok(Outcome::result(json!(checked)))
    }
}

/// The kinds of backup by what they are worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub good: Vec<String>,
    pub bad: Vec<String>,
}

/// Judges every backup that is expected: raises a case for each that is not good enough, and ends the cases of the
/// others.
///
/// # Errors
/// When the ledger does not answer.
pub async fn check_backups(ledger: &Ledger, settings: &Settings) -> Result<Checked, LedgerError> {
    let mut checked = Checked { good: Vec::new(), bad: Vec::new() };
    for kind in expected(ledger, settings).await? {
        let is_good = look_at(ledger, settings, &kind).await?;
        if is_good { checked.good.push(kind) } else { checked.bad.push(kind) }
    }
    Ok(checked)
}

/// What the shop asks for, and whatever was reported before: who began with backups must not end with them unseen.
async fn expected(ledger: &Ledger, settings: &Settings) -> Result<BTreeSet<String>, LedgerError> {
    let reported = newest_by_kind(ledger).await?.into_iter().map(|(kind, _)| kind);
    Ok(reported.chain(settings.backup_kinds.iter().flatten().cloned()).collect())
}

/// Raises a case or ends it. True: all is well.
async fn look_at(ledger: &Ledger, settings: &Settings, kind: &str) -> Result<bool, LedgerError> {
    let mut tx = ledger.begin().await?;
    let newest = newest_in(&mut tx, kind).await?;
    let judgement = judge(&newest, ledger.clock().now(), settings);
    let Some(text) = words(kind, &judgement, settings.backup_age_max_s) else {
        settle(&mut tx, kind, BackupCheck::KIND).await?;
        tx.commit().await?;
        return Ok(true);
    };
    let since = newest.first().map(|(at, _)| at.to_rfc3339());
    let finding = NewFinding {
        kind: FindingType::BackupMissing,
        // One case until there is another backup.
        key: &format!("{kind}@{}", since.as_deref().unwrap_or("never")),
        order_no: None,
        amount_fen: None,
        text: &text,
        evidence: json!({ "kind": kind, "newest": newest.iter().map(evidence).collect::<Vec<_>>() }),
    };
    if tx.raise(&finding).await? {
        tracing::warn!(kind, "{text}");
    }
    tx.commit().await?;
    Ok(false)
}

fn evidence((taken_at, bytes): &(Timestamp, i64)) -> serde_json::Value {
    json!({ "taken_at": taken_at.to_rfc3339(), "bytes": bytes })
}

/// What is wrong and what to do; None: nothing is.
fn words(kind: &str, judgement: &Judgement, age_max_s: u64) -> Option<String> {
    let hours = |s: u64| s / 3_600;
    Some(match judgement {
        Judgement::Good => return None,
        Judgement::Never => format!(
            "No backup of {kind} was ever reported. Set the backup up, and let it report: `windlass backups record`."
        ),
        Judgement::TooOld { age } => format!(
            "The newest backup of {kind} is {} hours old, and {} are allowed. Look why the backup does not run or does \
             not report.",
            hours(age.as_secs()),
            hours(age_max_s)
        ),
        Judgement::TooSmall { bytes, usual } => format!(
            "The newest backup of {kind} has {bytes} bytes, and {usual} are usual. Restore it somewhere before you \
             believe in it."
        ),
    })
}
