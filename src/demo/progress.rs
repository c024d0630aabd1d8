//! How far the demo is: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use windlass_engine::Timestamp;
use windlass_jobs::orders::{OrderState, Tally};

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// One bar a stretch of the way.
pub struct Bars {
    all: MultiProgress,
    sent: ProgressBar,
    stretches: Vec<(ProgressBar, &'static [OrderState])>,
    sent_count: AtomicU64,
    total: u64,
    last_line: Mutex<Option<Instant>>,
}

use OrderState::{Cancelled, Checked, Completed, Confirmed, Delivered, Paid, Placed, Refused, Shipped};

/// A name, and the states of orders that have come so far.
const STRETCHES: [(&str, &[OrderState]); 4] = [
    ("paid", &[Paid, Checked, Placed, Confirmed, Shipped, Delivered, Completed, Refused]),
    ("placed", &[Placed, Confirmed, Shipped, Delivered, Completed]),
    ("shipped", &[Shipped, Delivered, Completed]),
    ("at its end", &[Completed, Cancelled, Refused]),
];

impl Bars {
    pub fn new(total: u64) -> Self {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:>12} {bar:40.cyan/blue} {pos:>7}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar =
            |name: &'static str| all.add(ProgressBar::new(total)).with_prefix(name).with_style(style.clone());
        let sent = bar("accepted");
        let stretches = STRETCHES.map(|(name, states)| (bar(name), states)).into();
        Self { all, sent, stretches, sent_count: AtomicU64::new(0), total, last_line: Mutex::new(None) }
    }

    pub fn sent(&self) {
        self.sent.set_position(self.sent_count.fetch_add(1, Ordering::Relaxed) + 1);
    }

    /// All orders were handed in.
    pub fn all_sent(&self) -> bool {
        self.sent_count.load(Ordering::Relaxed) >= self.total
    }

    pub fn show(&self, tally: &Tally, now: Timestamp) {
        for (bar, states) in &self.stretches {
            bar.set_position(count(tally, states));
        }
        self.sent.set_message(format!("the shop's time is {}", now.to_datetime().format("%F %H:%M")));
        if !std::io::stderr().is_terminal() {
            self.line(tally);
        }
    }

    pub fn clear(&self) {
        // A terminal that went away shows nothing anyway.
        let _ = self.all.clear();
    }

    fn line(&self, tally: &Tally) {
        let Ok(mut last) = self.last_line.lock() else { return };
        if last.is_some_and(|at| at.elapsed() < LINE_EVERY) {
            return;
        }
        *last = Some(Instant::now());
        let parts = STRETCHES.map(|(name, states)| format!("{name} {}", count(tally, states)));
        eprintln!(
            "accepted {} of {}, {}",
            self.sent_count.load(Ordering::Relaxed),
            self.total,
            parts.join(", ")
        );
    }
}

/// Orders in any of the states.
pub fn count(tally: &Tally, states: &[OrderState]) -> u64 {
    states.iter().filter_map(|state| tally.orders.get(state.as_str())).map(|n| (*n).max(0) as u64).sum()
}
