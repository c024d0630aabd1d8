//! What the benchmarks share beside the parts that `windlass bench` is made of (`windlass::bench`).
//!
//! A machine is never quiet: each figure is the median of several runs, and stands beside a ceiling that was
//! measured in turns with it.

pub mod filled;
pub mod process;

use std::io::Write;
use std::time::Duration;

pub use windlass::bench::figures::{Runs, per_second, percentile};

pub fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1_000.0
}

/// A line of the table: what was measured, its runs, and the ceiling's runs where there is one.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: String,
    pub ours: Runs,
    pub ceiling: Option<Runs>,
}

/// Prints rates as a table.
pub fn print_rates(title: &str, rows: &[Row]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{title}\n{:<58} {:>10} {:>21} {:>10} {:>6}",
        "", "median /s", "range", "ceiling", "ratio"
    )?;
    for Row { what, ours, ceiling } in rows {
        let (least, most) = ours.range();
        write!(out, "{what:<58} {:>10.0} {:>10.0}-{:<10.0}", ours.median(), least, most)?;
        match ceiling.as_ref().map(Runs::median) {
            Some(ceiling) => writeln!(out, " {ceiling:>10.0} {:>6.2}", ours.median() / ceiling)?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}
