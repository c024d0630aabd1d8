//! What the system knows of this process, under the names that Prometheus clients agree on. Elsewhere than on
//! Linux only the start is told.

use metrics::{counter, gauge};
use windlass_engine::Timestamp;

/// `USER_HZ`: the unit of `/proc/self/stat`, a constant of the Linux interface.
const TICKS_PER_S: u64 = 100;

pub(super) fn tell(started_at: Timestamp) {
    gauge!("process_start_time_seconds").set(started_at.micros() as f64 / 1e6);
    if let Some(kib) = resident_kib() {
        gauge!("process_resident_memory_bytes").set(kib as f64 * 1_024.0);
    }
    if let Some(ticks) = cpu_ticks() {
        counter!("process_cpu_seconds_total").absolute(ticks / TICKS_PER_S);
    }
    if let Ok(fds) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(fds.count() as f64);
    }
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Time on the processor, for the program and in the kernel.
fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name stands in parentheses and may hold anything; utime and stime are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}
