//! How far a benchmark is: a bar a phase on a terminal, a line a phase elsewhere. On stderr.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Columns of a phase's name.
const NAME_COLUMNS: usize = 36;
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// What is being measured now. Clones are the same phase.
#[derive(Clone, Debug)]
pub struct Phase {
    bar: ProgressBar,
    name: &'static str,
    told: bool,
}

impl Phase {
    /// Begins a phase of `total` steps.
    pub fn begin(name: &'static str, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:40.cyan/blue} {percent:>3} %") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{name:<NAME_COLUMNS$}"));
        if std::io::stderr().is_terminal() {
            bar.enable_steady_tick(REDRAW_EVERY);
        }
        Self { bar, name, told: true }
    }

    /// A phase that nobody is told of.
    pub fn silent() -> Self {
        Self { bar: ProgressBar::hidden(), name: "", told: false }
    }

    pub fn step(&self, n: usize) {
        self.bar.inc(n as u64);
    }

    /// Ends the phase with what it found.
    pub fn end(self, found: &str) {
        self.bar.finish_and_clear();
        if self.told {
            eprintln!("{:<NAME_COLUMNS$} {found}", self.name);
        }
    }
}
