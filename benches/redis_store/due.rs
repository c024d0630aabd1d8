//! Many jobs due at one instant: nobody else may have to wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use windlass::bench::BATCH;
use windlass::bench::figures::grouped;
use windlass::bench::progress::Phase;
use windlass::bench::toy::Toy;
use windlass::bench::workers::Running;
use windlass_benches::{millis, percentile};

use crate::server::Server;
use crate::{Sizes, report};

/// Jobs a second that any machine can be counted on to take in before they are due.
const TAKEN_IN_PER_S: usize = 20_000;
/// And so long for everything to become quiet.
const QUIET: Duration = Duration::from_secs(2);
/// Between two PINGs of the client beside the workers.
const PING_EVERY: Duration = Duration::from_millis(1);

pub async fn measure(server: &Server, sizes: &Sizes) -> anyhow::Result<()> {
    let subject = server.subject("due").await?;
    let silent = Phase::silent();
    let mut running = Running::on(&subject, &silent);
    let lead = QUIET + Duration::from_millis((sizes.due * 1_000 / TAKEN_IN_PER_S) as u64);
    let due = subject.clock.now() + lead;
    subject
        .enqueue_batches_of(sizes.due, BATCH, &silent, |subject| {
            Toy::timed(due, subject.payload_bytes).job(&subject.clock).run_at(due)
        })
        .await?;
    anyhow::ensure!(subject.clock.now() < due, "the jobs were due before all of them were there");
    subject.clock.sleep_until(due).await;
    let pinging = Pinging::start(&server.url())?;
    running.until_completed(sizes.due).await?;
    let pings = pinging.stop()?;
    let mut starts = running.take_waits_ms();
    running.stop().await?;

    starts.sort_by(f64::total_cmp);
    let pause = starts.windows(2).map(|two| two[1] - two[0]).fold(0.0, f64::max);
    let (first, last) = (percentile(&starts, 0.0), percentile(&starts, 1.0));
    let what = format!("{} jobs due at once: first start, ms", grouped(sizes.due as f64));
    report::line(&what, &format!("{first:.1}"), "")?;
    report::line("  .. started per second", &grouped(starts.len() as f64 / (last - first) * 1_000.0), "")?;
    report::line("  .. longest pause between starts, ms", &format!("{pause:.1}"), "< 100")?;
    report::line(
        "  .. longest PING of another client, ms",
        &format!("{:.1}", percentile(&pings, 1.0)),
        "< 20",
    )?;
    report::line("  .. its p50, ms", &format!("{:.2}", percentile(&pings, 0.5)), "")
}

/// A client beside the workers, on a thread of its own: the workers' runtime must not be what makes it wait.
struct Pinging {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<redis::RedisResult<Vec<f64>>>,
}

impl Pinging {
    fn start(url: &str) -> anyhow::Result<Self> {
        let mut conn = redis::Client::open(url)?.get_connection()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut took = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let asked = Instant::now();
                redis::cmd("PING").exec(&mut conn)?;
                took.push(millis(asked.elapsed()));
                std::thread::sleep(PING_EVERY);
            }
            Ok(took)
        });
        Ok(Self { stop, thread })
    }

    /// Milliseconds of each PING.
    fn stop(self) -> anyhow::Result<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        let took = self.thread.join().ok().context("the client that pings panicked")?;
        Ok(took?)
    }
}
