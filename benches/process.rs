//! What a process costs the machine, as Linux counts it under `/proc` (proc(5)).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

/// Linux tells CPU time in hundredths of a second, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// A process that is looked at.
#[derive(Clone, Debug)]
pub struct Process(PathBuf);

impl Process {
    /// The process that looks.
    pub fn this() -> Self {
        Self(PathBuf::from("/proc/self"))
    }

    pub fn of(pid: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{pid}")))
    }

    /// The most memory that was ever resident, in MiB.
    pub fn peak_rss_mib(&self) -> anyhow::Result<f64> {
        self.status_mib("VmHWM:")
    }

    /// The memory that is resident now, in MiB.
    pub fn rss_mib(&self) -> anyhow::Result<f64> {
        self.status_mib("VmRSS:")
    }

    fn status_mib(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(self.0.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("its status lacks memory")?;
        Ok(kib.parse::<f64>()? / 1_024.0)
    }

    /// The CPU time that it has used, in user and kernel, threads that ended included.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(self.0.join("stat"))?;
        // The second field is the command in brackets and may hold anything; utime and stime are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')').context("its stat has no command")?;
        let ticks: Vec<u32> =
            fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(TICK * ticks.iter().sum())
    }

    /// The percentage of one core that it uses from now on for `length`.
    pub async fn cpu_percent_over(&self, length: Duration) -> anyhow::Result<f64> {
        let (before, began) = (self.cpu_time()?, Instant::now());
        tokio::time::sleep(length).await;
        Ok((self.cpu_time()? - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0)
    }
}
