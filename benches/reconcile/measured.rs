//! What is measured, in a process of its own.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use serde::{Deserialize, Serialize};
use windlass_benches::process::Process;
use windlass_engine::Clock;
use windlass_jobs::Settings;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::payments::bill::{BillKey, BillType, BillWriter};
use windlass_jobs::reconciliation::{
    Compared, Day, RECONCILIATION_ROWS_MAX, Report, Wanted, compare, csv, findings_of, html, reconciliation,
};

use crate::planted::{DAY, MCHID, Plan, fund_path, trade_path};

/// Bytes that come at once, as from a socket.
const PIECE_BYTES: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
pub struct Figures {
    bill_rows: u64,
    keep_trade_s: f64,
    keep_fund_s: f64,
    compare_s: f64,
    tell_s: f64,
    peak_rss_mib: f64,
}

impl Figures {
    pub const HEADER: &str = "| payments | engine | trade bill kept, s | flow of funds kept, s | compared, s | told, s | all, s | bill rows/s | peak RSS, MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |";

    pub fn row(&self, engine: &str, rows: usize) -> String {
        let all_s = self.keep_trade_s + self.keep_fund_s + self.compare_s + self.tell_s;
        format!(
            "| {rows} | {engine} | {:.1} | {:.1} | {:.1} | {:.2} | **{all_s:.1}** | {:.0} | {:.0} |",
            self.keep_trade_s,
            self.keep_fund_s,
            self.compare_s,
            self.tell_s,
            self.bill_rows as f64 / all_s,
            self.peak_rss_mib
        )
    }
}

/// Keeps both bills, compares, tells; fails unless exactly what was planted is found.
pub async fn run(url: &str, folder: &Path, rows: usize) -> anyhow::Result<Figures> {
    let ledger = Ledger::open(url, &Clock::system()).await?;
    let keep_trade_s = keep(&ledger, BillType::Trade, &trade_path(folder)).await?;
    let keep_fund_s = keep(&ledger, BillType::Fund, &fund_path(folder)).await?;
    let day: Day = DAY.parse()?;
    let settings = Settings { scratch_folder: folder.to_string_lossy().into_owned(), ..Settings::default() };
    let began = Instant::now();
    let Compared::Done(report) = compare(&ledger, &Wanted::new(MCHID, day, "bench", &settings)).await? else {
        anyhow::bail!("the day was not compared");
    };
    let compare_s = began.elapsed().as_secs_f64();
    let tell_s = tell(&ledger, day).await?.as_secs_f64();
    check(&report, rows)?;
    let peak_rss_mib = Process::this().peak_rss_mib()?;
    let bill_rows = report.trade.map_or(0, |bill| bill.rows) + report.fund.map_or(0, |bill| bill.rows);
    Ok(Figures {
        bill_rows: bill_rows.unsigned_abs(),
        keep_trade_s,
        keep_fund_s,
        compare_s,
        tell_s,
        peak_rss_mib,
    })
}

async fn keep(ledger: &Ledger, kind: BillType, path: &Path) -> anyhow::Result<f64> {
    let began = Instant::now();
    let key = BillKey { mchid: MCHID.to_owned(), day: DAY.parse::<Day>()?.date(), kind };
    let (mut writer, mut sha1) =
        (BillWriter::begin(ledger, &key).await?, digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY));
    let (mut file, mut piece) = (std::fs::File::open(path)?, vec![0; PIECE_BYTES]);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        sha1.update(&piece[..read]);
        writer.write(&piece[..read]).await?;
    }
    let sealed = writer.seal().await?;
    let totals = sealed.totals.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    anyhow::ensure!(totals.adds_up(), "the bill does not add up: {:?}", totals.compare());
    let sha1: String = sha1.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut tx = ledger.begin().await?;
    sealed.make_ready(&mut tx, &key, &sha1, totals).await?;
    tx.commit().await?;
    Ok(began.elapsed().as_secs_f64())
}

async fn tell(ledger: &Ledger, day: Day) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let of = reconciliation(ledger, day, None).await?.context("there is no report")?;
    let (mut file, mut after) = (csv(&[], true), String::new());
    loop {
        let page = findings_of(ledger, &of.id, RECONCILIATION_ROWS_MAX, &after).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        file.push_str(&csv(&page, false));
    }
    let page = html(&of, &findings_of(ledger, &of.id, RECONCILIATION_ROWS_MAX, "").await?, false);
    anyhow::ensure!(file.len() > 100 && page.len() > 100, "nothing was told");
    Ok(began.elapsed())
}

fn check(report: &Report, rows: usize) -> anyhow::Result<()> {
    let (expected, carried) = Plan::of(rows).expected();
    anyhow::ensure!(report.findings == expected, "found {:?}, planted {expected:?}", report.findings);
    let found = report.payments.carried.count + report.refunds.carried.count;
    anyhow::ensure!(found == carried, "{found} rows are carried, {carried} were to be");
    anyhow::ensure!(report.findings_not_raised == 0, "not all was raised");
    Ok(())
}
