//! What the benchmarks share: how figures are taken and how they are shown.
//!
//! A machine is never quiet: each figure is the median of several runs, and stands beside a ceiling that was
//! measured in turns with it.

pub mod ceiling;
pub mod filled;
pub mod process;

use std::io::Write;
use std::time::{Duration, Instant};

/// The runs of one measurement, in any unit.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<f64>);

impl Runs {
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub fn median(&self) -> f64 {
        percentile(&self.0, 0.5)
    }

    pub fn range(&self) -> (f64, f64) {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        (least, self.0.iter().copied().fold(0.0, f64::max))
    }
}

/// The figure below which the share `p` (0 to 1) of the figures lies; 0 when there is none.
pub fn percentile(figures: &[f64], p: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len().saturating_sub(1)) as f64 * p).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// How many of `n` came in a second, from `since` until now.
pub fn per_second(n: usize, since: Instant) -> f64 {
    n as f64 / since.elapsed().as_secs_f64()
}

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
