//! Reconciliation of a day: a trade bill of so many rows and a flow of funds of twice as many, against as many
//! payments in the ledger, on SQLite and on PostgreSQL, at two sizes.
//!
//! `nice cargo run --release -p windlass-benches --bin reconcile [-- ROWS ...]`
//!
//! Books and files are made by this process; what is measured runs in a process of its own for each size and engine,
//! so that its peak of memory is its own: the files are read piece by piece as from a socket, hashed, kept in the
//! ledger, parsed, checked, sorted, matched; the findings are stored, the report is written and told as JSON, CSV and
//! HTML. A known number of differences is planted, and exactly these must be found.

mod measured;
mod planted;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use windlass_engine::Clock;
use windlass_jobs::ledger::Ledger;
use windlass_servers::Postgres;

use self::measured::Figures;
use self::planted::Plan;

const ROWS: [usize; 2] = [100_000, 1_000_000];
/// Says that this process is the one that is measured.
const MEASURE: &str = "--measure";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let [first, url, folder, rows] = arguments.as_slice()
        && first == MEASURE
    {
        let figures = runtime.block_on(measured::run(url, Path::new(folder), rows.parse()?))?;
        println!("{}", serde_json::to_string(&figures)?);
        return Ok(());
    }
    let sizes: Vec<usize> = arguments.iter().map(|rows| rows.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { ROWS.to_vec() } else { sizes };
    println!("{}", Figures::HEADER);
    for engine in ["SQLite", "PostgreSQL"] {
        for rows in &sizes {
            let figures = runtime.block_on(one(engine, *rows))?;
            println!("{}", figures.row(engine, *rows));
        }
    }
    Ok(())
}

async fn one(engine: &str, rows: usize) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let database = (engine == "PostgreSQL").then(Postgres::fresh_database);
    let url =
        database.clone().unwrap_or_else(|| format!("sqlite:{}", folder.path().join("ledger.db").display()));
    let plan = Plan::of(rows);
    let ledger = Ledger::open(&url, &Clock::system()).await?;
    plan.fill(&ledger).await?;
    ledger.close().await;
    plan.write_files(folder.path())?;
    let figures = measure(&url, folder.path(), rows);
    if let Some(url) = database {
        Postgres::drop_database(&url);
    }
    figures
}

fn measure(url: &str, folder: &Path, rows: usize) -> anyhow::Result<Figures> {
    let child = Command::new(std::env::current_exe()?)
        .args([MEASURE, url])
        .arg(folder)
        .arg(rows.to_string())
        .stderr(Stdio::inherit())
        .output()
        .context("the measured process cannot be started")?;
    anyhow::ensure!(child.status.success(), "the measured process failed: {}", child.status);
    serde_json::from_slice(&child.stdout).context("the measured process told no figures")
}
