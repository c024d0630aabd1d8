//! One comparison from its beginning to its report. Killed at any point and begun again it comes to the same: every
//! case, carry and tie is written under a key of its own, and what an earlier try wrote and this one does not find is
//! taken back at the end.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use windlass_engine::Timestamp;

use super::bill_side;
use super::book::{self, Asked, Begun, KeptBill, ReconciliationState, Running};
use super::carry::{Carried, Carries, CarryCounts, raise_due};
use super::day::Day;
use super::found::{Bounds, Difference, Found};
use super::funds::FundsLeg;
use super::ledger_side;
use super::payments::PaymentsLeg;
use super::refunds::RefundsLeg;
use super::report::{Changed, Leg, Open, Report, Side, UsedBill};
use super::view::Reconciliation;
use crate::findings::FindingType;
use crate::ledger::{Ledger, LedgerError};
use crate::settings::Settings;

/// One in so many rows of the bill may be healed, where that is more than the setting's number.
const HEALS_ONE_IN_ROWS: usize = 100;

/// What is to be compared, and within which bounds.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub mchid: &'a str,
    pub day: Day,
    /// Also where the same files were compared before.
    pub again: bool,
    /// Who asks: the same asks once, however often it is tried.
    pub job_id: &'a str,
    pub findings_max: usize,
    pub heals_max: usize,
    pub heals_late_pay: bool,
    /// Where runs are sorted that do not fit into memory.
    pub folder: PathBuf,
}

impl<'a> Wanted<'a> {
    pub fn new(mchid: &'a str, day: Day, job_id: &'a str, settings: &Settings) -> Self {
        Self {
            mchid,
            day,
            again: false,
            job_id,
            findings_max: settings.reconcile_findings_max,
            heals_max: settings.reconcile_heals_max,
            heals_late_pay: settings.reconcile_heals_late_pay,
            folder: if settings.scratch_folder.is_empty() {
                std::env::temp_dir()
            } else {
                PathBuf::from(&settings.scratch_folder)
            },
        }
    }
}

/// How it ended.
#[derive(Debug)]
pub enum Compared {
    Done(Box<Report>),
    /// Nothing was compared: the file contradicts itself.
    Refused(String),
    /// There was no trade, and none in our books.
    NoTrade,
    /// These very files were compared before.
    Before(Box<Reconciliation>),
    /// WeChat was not heard of that day yet.
    NoBill,
    /// Another try has taken over.
    TakenOver,
}

/// Compares a day.
///
/// # Errors
/// When the ledger is away, a file cannot be read, or the disk is full: another try goes on.
pub async fn compare(ledger: &Ledger, wanted: &Wanted<'_>) -> anyhow::Result<Compared> {
    let Some(trade) = book::kept_bill(ledger, wanted.mchid, wanted.day, "trade").await? else {
        return Ok(Compared::NoBill);
    };
    let fund = book::kept_bill(ledger, wanted.mchid, wanted.day, "fund").await?.filter(|fund| fund.is_ready);
    let asked = Asked {
        mchid: wanted.mchid,
        day: wanted.day,
        trade: &trade,
        fund: fund.as_ref(),
        job_id: wanted.job_id,
        again: wanted.again,
    };
    let run = match book::begin(ledger, &asked).await? {
        Begun::Before(before) => return Ok(Compared::Before(before)),
        Begun::Run(run) => run,
    };
    let compared = if !trade.is_ready {
        no_statement(ledger, &run, wanted).await?
    } else if trade.adds_up {
        match_up(ledger, &run, wanted, &trade, fund.as_ref()).await?
    } else {
        refuse(ledger, &run, wanted, &trade).await?
    };
    let outcome = match &compared {
        Compared::Done(_) => "done",
        Compared::Refused(_) => "refused",
        Compared::NoTrade => "no_statement",
        Compared::Before(_) | Compared::NoBill | Compared::TakenOver => return Ok(compared),
    };
    metrics::counter!("windlass_reconciliations_total", "outcome" => outcome).increment(1);
    Ok(compared)
}

fn bounds(wanted: &Wanted<'_>, rows: i64) -> Bounds {
    let share = usize::try_from(rows).unwrap_or(0) / HEALS_ONE_IN_ROWS;
    Bounds { findings_max: wanted.findings_max, heals_max: wanted.heals_max.max(share) }
}

/// The three legs.
async fn match_up(
    ledger: &Ledger,
    run: &Running,
    wanted: &Wanted<'_>,
    trade: &KeptBill,
    fund: Option<&KeptBill>,
) -> anyhow::Result<Compared> {
    let began = ledger.clock().wall();
    let (day, folder, token) = (run.day, wanted.folder.as_path(), run.token());
    let mut found = Found::new(ledger, run, bounds(wanted, trade.rows));
    let fund = match fund {
        Some(fund) if !fund.adds_up => {
            found.add(summary_mismatch(run, "fund", fund)).await?;
            None
        }
        fund => fund,
    };
    let theirs = bill_side::trade(&mut found, folder, &trade.id, fund.is_some()).await?;

    let ours = ledger_side::payments(ledger, folder, day).await?;
    let mut carries = Carries::new(ledger, Carried::Payment, day, &token);
    let leg = PaymentsLeg::new(&mut found, &mut carries, wanted.heals_late_pay);
    let payments = leg.merge(ours, theirs.payments).await?;
    let payments = settled(payments, &mut carries).await?;

    let ours = ledger_side::refunds(ledger, folder, day).await?;
    let mut carries = Carries::new(ledger, Carried::Refund, day, &token);
    let refunds = RefundsLeg::new(&mut found, &mut carries).merge(ours, theirs.refunds).await?;
    let refunds = settled(refunds, &mut carries).await?;

    let mut funds = None;
    if let (Some(fund), Some(rows)) = (fund, theirs.wanted) {
        let incomes = bill_side::incomes(&mut found, folder, &fund.id).await?;
        let mut carries = Carries::new(ledger, Carried::Fund, day, &token);
        let leg = FundsLeg::new(&mut found, &mut carries).merge(rows, incomes).await?;
        funds = Some(settled(leg, &mut carries).await?);
    }

    found.flush().await?;
    raise_what_is_due(&mut found, fund.is_some()).await?;
    let counts = found.into_counts();
    let superseded = book::supersede(ledger, run).await?;
    let rows = payments.theirs.count + refunds.theirs.count;
    let report = Report {
        mchid: run.mchid.clone(),
        day: day.to_string(),
        version: run.version,
        trade: Some(used(trade)),
        fund: fund.map(used),
        payments,
        refunds,
        funds,
        revoked: theirs.revoked,
        findings: counts.by_type.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
        findings_not_raised: counts.not_raised,
        heals_sent: counts.heals_sent,
        heals_held: counts.heals_held,
        changed: changed(ledger, run, superseded).await?,
        open: open(ledger).await?,
        seconds: ledger.clock().wall().since(began).as_secs_f64(),
    };
    metrics::counter!("windlass_reconciled_rows_total").increment(rows);
    if !book::finish(ledger, run, ReconciliationState::Done, "", &report).await? {
        return Ok(Compared::TakenOver);
    }
    Ok(Compared::Done(Box::new(report)))
}

/// Writes the carries of a leg, and their counts into it.
async fn settled(mut leg: Leg, carries: &mut Carries<'_>) -> Result<Leg, LedgerError> {
    carries.settle().await?;
    let CarryCounts { waiting, waiting_fen, elsewhere, elsewhere_fen } = carries.counts();
    leg.carried = Side { count: waiting, sum_fen: waiting_fen };
    leg.elsewhere = Side { count: elsewhere, sum_fen: elsewhere_fen };
    Ok(leg)
}

async fn raise_what_is_due(found: &mut Found<'_>, with_funds: bool) -> Result<(), LedgerError> {
    let (ledger, run) = (found.ledger(), found.run());
    let mut days = book::compared_days(ledger, run, false).await?;
    days.push(run.day);
    raise_due(found, Carried::Payment, &days).await?;
    raise_due(found, Carried::Refund, &days).await?;
    let mut days = book::compared_days(ledger, run, true).await?;
    if with_funds {
        days.push(run.day);
    }
    raise_due(found, Carried::Fund, &days).await
}

/// A trade bill that does not add up: nothing of it is believed.
async fn refuse(
    ledger: &Ledger,
    run: &Running,
    wanted: &Wanted<'_>,
    trade: &KeptBill,
) -> anyhow::Result<Compared> {
    let difference = summary_mismatch(run, "trade", trade);
    let reason = difference.text.clone();
    let mut found = Found::new(ledger, run, bounds(wanted, 0));
    found.add(difference).await?;
    found.flush().await?;
    let findings = [(FindingType::SummaryMismatch.as_str().to_owned(), 1)].into();
    let report = Report { trade: Some(used(trade)), findings, ..empty(ledger, run).await? };
    if !book::finish(ledger, run, ReconciliationState::Refused, &reason, &report).await? {
        return Ok(Compared::TakenOver);
    }
    Ok(Compared::Refused(reason))
}

/// WeChat says that there was no trade. With trade in our books that is a case; whoever fetched the bill raised it
/// already where it was so then.
async fn no_statement(ledger: &Ledger, run: &Running, wanted: &Wanted<'_>) -> anyhow::Result<Compared> {
    let mut found = Found::new(ledger, run, bounds(wanted, 0));
    let trades = ledger_side::trades_on(ledger, run.day).await?;
    if trades {
        let key = format!("{}:{}:trade", run.mchid, run.day);
        let text = format!(
            "WeChat says that there was no trade on {}, and our books have some. Ask for the bill again, and compare \
             with the merchant platform.",
            run.day
        );
        let evidence = json!({ "day": run.day.to_string() });
        let kind = FindingType::NoStatement;
        let difference =
            Difference { kind, key, order_no: None, amount_fen: None, text, evidence, may_heal: false };
        found.add(difference).await?;
        found.flush().await?;
    }
    raise_what_is_due(&mut found, true).await?;
    let counts = found.into_counts();
    let findings = counts.by_type.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    let report = Report { findings, ..empty(ledger, run).await? };
    let reason = if trades { "there is no bill, and our books have trade" } else { "" };
    if !book::finish(ledger, run, ReconciliationState::NoStatement, reason, &report).await? {
        return Ok(Compared::TakenOver);
    }
    Ok(Compared::NoTrade)
}

async fn empty(ledger: &Ledger, run: &Running) -> Result<Report, LedgerError> {
    Ok(Report {
        mchid: run.mchid.clone(),
        day: run.day.to_string(),
        version: run.version,
        open: open(ledger).await?,
        ..Report::default()
    })
}

fn used(bill: &KeptBill) -> UsedBill {
    UsedBill {
        id: bill.id.clone(),
        version: bill.version,
        sha1: bill.sha1.clone(),
        rows: bill.rows,
        bad_rows: bill.bad_rows,
    }
}

/// Says which figures of the summary line disagree.
fn summary_mismatch(run: &Running, file: &str, bill: &KeptBill) -> Difference {
    let figures = bill.totals["figures"].as_array().cloned().unwrap_or_default();
    let wrong: Vec<String> = figures
        .iter()
        .filter(|figure| figure["agrees"] == json!(false))
        .map(|figure| {
            let word = |name: &str| figure[name].as_str().unwrap_or_default().to_owned();
            format!("{} is printed as {} and comes to {}", word("name"), word("printed"), word("summed"))
        })
        .collect();
    let said = if wrong.is_empty() { "it has no summary line".to_owned() } else { wrong.join("; ") };
    Difference {
        kind: FindingType::SummaryMismatch,
        key: format!("{}:{}:{file}", run.mchid, run.day),
        order_no: None,
        amount_fen: None,
        text: format!(
            "The {file} bill of {} does not add up: {said}. Nothing of it was compared; fetch it again.",
            run.day
        ),
        evidence: json!({ "bill": bill.id, "sha1": bill.sha1, "figures": figures }),
        may_heal: false,
    }
}

async fn changed(ledger: &Ledger, run: &Running, superseded: u64) -> Result<Option<Changed>, LedgerError> {
    if run.version == 1 {
        return Ok(None);
    }
    let (now, both, before) = book::overlap(ledger, run).await?;
    let since_version = run.version - 1;
    Ok(Some(Changed { since_version, new: now - both, still: both, gone: before - both, superseded }))
}

async fn open(ledger: &Ledger) -> Result<Open, LedgerError> {
    let (count, oldest): (i64, Option<i64>) = sqlx::query_as(
        "SELECT COUNT(*) AS open_n, CAST(MIN(raised_at) AS BIGINT) AS oldest FROM findings \
         WHERE settled_at IS NULL AND type IN ('long', 'short', 'amount', 'status', 'duplicate_pay', 'late_pay', \
         'missing_refund', 'extra_refund', 'fee', 'summary_mismatch', 'hash_mismatch', 'fund_mismatch', 'bad_row', \
         'duplicate_row', 'no_statement', 'foreign_merchant')",
    )
    .fetch_one(ledger.reads())
    .await?;
    Ok(Open { count, oldest_raised_at: oldest.map(|at| Timestamp::from_micros(at).to_rfc3339()) })
}

/// A comparison of a million rows takes seconds; a hundred times that is a disk that stands still.
pub const COMPARE_TIME_MAX: Duration = Duration::from_secs(30 * 60);
