//! The table as it grows: a line a figure, with what is asked of it.

use std::io::Write;

use windlass::bench::figures::{Pairs, grouped};
use windlass::bench::toy::PAYLOAD_BYTES;

use crate::Sizes;

pub fn title(sizes: &Sizes) -> anyhow::Result<()> {
    let Sizes { fsync, jobs, pairs, .. } = sizes;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Redis, appendfsync {}; {} jobs of {PAYLOAD_BYTES} B, {pairs} pairs",
        format!("{fsync:?}").to_lowercase(),
        grouped(*jobs as f64)
    )?;
    drop(out);
    line("", "measured", "target")
}

/// `target`: empty where none is set.
pub fn line(what: &str, figure: &str, target: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{what:<66} {figure:>16}  {target}")?;
    Ok(())
}

/// Medians and the ratios of all pairs. `other`: what ours ran in turns with.
pub fn pairs(what: &str, pairs: &Pairs, other: &str, target: &str) -> anyhow::Result<()> {
    let (least, most) = pairs.ratios().range();
    line(&format!("{what}: ratio to {other}"), &format!("{:.2}", pairs.ratios().median()), target)?;
    line("  .. its range", &format!("{least:.2}-{most:.2}"), "")?;
    let rates = [pairs.ours.median(), pairs.bare.median()].map(grouped);
    line("  .. ours, per second", &rates[0], "")?;
    line(&format!("  .. {other}, per second"), &rates[1], "")
}
