//! Figures: of one run, of several, and as the command shows them.

use std::time::Instant;

use serde::Serialize;

use crate::cli::table::Table;

/// What came in one go, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    pub jobs: usize,
    pub per_s: f64,
}

impl Burst {
    pub fn since(began: Instant, jobs: usize) -> Self {
        Self { jobs, per_s: per_second(jobs, began) }
    }
}

/// The runs of one measurement, in any unit.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<f64>);

impl Runs {
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// Of an even number of runs the mean of the two in the middle; 0 when there is none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match sorted.as_slice() {
            [] => 0.0,
            runs if runs.len() % 2 == 0 => f64::midpoint(runs[half - 1], runs[half]),
            runs => runs[half],
        }
    }

    /// The least and the most.
    pub fn range(&self) -> (f64, f64) {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        (least, self.0.iter().copied().fold(0.0, f64::max))
    }
}

/// Runs of ours, each beside a run of the bare thing a moment before or after it.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    pub ours: Runs,
    pub bare: Runs,
    ratios: Runs,
}

impl Pairs {
    pub fn add(&mut self, ours: f64, bare: f64) {
        self.ours.add(ours);
        self.bare.add(bare);
        self.ratios.add(ours / bare);
    }

    /// The ratio of each pair: its median says more than the ratio of two medians, because the two runs of a
    /// pair met the same machine.
    pub fn ratios(&self) -> &Runs {
        &self.ratios
    }
}

/// The figure below which the share `p` (0 to 1) of the figures lies; 0 when there is none.
pub fn percentile(figures: &[f64], p: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1) as f64 * p).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// How many of `n` came in a second, from `since` until now.
pub fn per_second(n: usize, since: Instant) -> f64 {
    n as f64 / since.elapsed().as_secs_f64()
}

/// What `windlass bench` answers. Rates are jobs a second; the figures of pairs are medians.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub store: String,
    pub enqueue_per_s: EnqueueRates,
    pub drain_per_s: f64,
    pub latency_ms: Latency,
    pub ceiling_per_s: Ceiling,
    pub ratio: Ratios,
}

#[derive(Clone, Debug, Serialize)]
pub struct EnqueueRates {
    pub single: f64,
    pub concurrent: f64,
    pub batch: f64,
    pub http: f64,
}

/// From the making of a job until its code runs.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
}

/// What the bare things did.
#[derive(Clone, Debug, Serialize)]
pub struct Ceiling {
    pub enqueue: f64,
    pub drain: f64,
    pub http: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Ratios {
    pub enqueue_batch: f64,
    pub drain: f64,
    pub http: f64,
}

impl Figures {
    pub fn of(store: &str, taken: &Taken) -> Self {
        let Taken { single, concurrent, waits_ms, batch, drain, http } = taken;
        Self {
            store: store.to_owned(),
            enqueue_per_s: EnqueueRates {
                single: round(single.per_s, 1),
                concurrent: round(concurrent.per_s, 1),
                batch: round(batch.ours.median(), 1),
                http: round(http.ours.median(), 1),
            },
            drain_per_s: round(drain.ours.median(), 1),
            latency_ms: Latency {
                p50: round(percentile(waits_ms, 0.5), 3),
                p99: round(percentile(waits_ms, 0.99), 3),
            },
            ceiling_per_s: Ceiling {
                enqueue: round(batch.bare.median(), 1),
                drain: round(drain.bare.median(), 1),
                http: round(http.bare.median(), 1),
            },
            ratio: Ratios {
                enqueue_batch: round(batch.ratios().median(), 3),
                drain: round(drain.ratios().median(), 3),
                http: round(http.ratios().median(), 3),
            },
        }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Taken {
    pub single: Burst,
    pub concurrent: Burst,
    /// Of the paced jobs, from their making to their start.
    pub waits_ms: Vec<f64>,
    pub batch: Pairs,
    pub drain: Pairs,
    pub http: Pairs,
}

impl Taken {
    /// For people: medians, the range of ours, and the ceiling where there is one.
    pub fn table(&self) -> String {
        let header = ["", "per second", "range", "ceiling", "ratio"];
        let mut table = (1..5).fold(Table::new(&header), Table::right);
        let mut row = |what: &str, ours: &Runs, pairs: Option<&Pairs>| {
            let (least, most) = ours.range();
            let bare = pairs.map(|pairs| grouped(pairs.bare.median()));
            let ratio = pairs.map(|pairs| format!("{:.2}", pairs.ratios().median()));
            let range = pairs.map(|_| format!("{}-{}", grouped(least), grouped(most)));
            let cells = [range, bare, ratio].map(Option::unwrap_or_default);
            table.row([what.to_owned(), grouped(ours.median())].into_iter().chain(cells));
        };
        row("enqueue, one caller", &Runs(vec![self.single.per_s]), None);
        row("enqueue, 64 callers", &Runs(vec![self.concurrent.per_s]), None);
        row("enqueue, batches of 1,000", &self.batch.ours, Some(&self.batch));
        row("enqueue over HTTP, 64 connections", &self.http.ours, Some(&self.http));
        row("drain of no-op jobs", &self.drain.ours, Some(&self.drain));
        let (p50, p99) = (percentile(&self.waits_ms, 0.5), percentile(&self.waits_ms, 0.99));
        format!("{table}enqueue to start at 200/s: {p50:.2} ms p50, {p99:.2} ms p99\n")
    }
}

/// A whole number with its thousands apart.
pub fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn round(figure: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (figure * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let figures: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|p| percentile(&figures, p)), [1.0, 51.0, 100.0, 101.0]);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_and_not_of_the_sides() {
        let mut pairs = Pairs::default();
        for (ours, bare) in [(10.0, 20.0), (100.0, 100.0), (30.0, 40.0)] {
            pairs.add(ours, bare);
        }
        assert_eq!((pairs.ours.median(), pairs.bare.median()), (30.0, 40.0));
        assert_eq!((pairs.ratios().median(), pairs.ratios().range()), (0.75, (0.5, 1.0)));
    }

    #[test]
    fn the_median_of_two_runs_is_neither_of_them() {
        let mut runs = Runs::default();
        assert_eq!(runs.median(), 0.0);
        runs.add(3.0);
        assert_eq!(runs.median(), 3.0);
        runs.add(1.0);
        assert_eq!(runs.median(), 2.0);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
