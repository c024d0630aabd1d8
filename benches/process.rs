//! What this process costs the machine, as Linux counts it under `/proc/self` (proc(5)).

use std::time::Duration;

use anyhow::Context;

/// Linux tells CPU time in hundredths of a second, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// The most memory that was ever resident, in MiB.
pub fn peak_rss_mib() -> anyhow::Result<f64> {
    status_mib("VmHWM:")
}

/// The memory that is resident now, in MiB.
pub fn rss_mib() -> anyhow::Result<f64> {
    status_mib("VmRSS:")
}

fn status_mib(field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("/proc/self/status lacks it")?;
    Ok(kib.parse::<f64>()? / 1_024.0)
}

/// The CPU time that this process has used, in user and kernel, threads that ended included.
pub fn cpu_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the command in brackets and may hold anything; utime and stime are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat has no command")?;
    let ticks: Vec<u32> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum())
}
