//! `windlass bench`: measures this installation, on its own disk or Redis, and leaves nothing behind.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use windlass_engine::Clock;

use super::Failure;
use crate::bench::figures::{Figures, Taken};
use crate::bench::ground::{Ground, Target};
use crate::bench::toy::PAYLOAD_BYTES;
use crate::bench::workers::SLOTS;
use crate::bench::{self, Plan};
use crate::config::{Config, Env, StoreUrl};
use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;

#[derive(Clone, Debug, Args)]
pub(super) struct Bench {
    /// Jobs of each measurement, 1 to 1000000; what waits for the disk at every job takes fewer.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    jobs: u32,
    /// How often ours and the bare loop beside it run in turns, 1 to 99; figures are medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pairs: u32,
    /// Measure in production too: for its time it takes what the machine and the carrier have.
    #[arg(long)]
    yes: bool,
}

impl Bench {
    pub(super) async fn run(self, config: Config, json: bool) -> Result<ExitCode, Failure> {
        self.check_allowed(config.env)?;
        let plan = Plan { jobs: self.jobs as usize, pairs: self.pairs as usize };
        let lifecycle = Lifecycle::on_signals().context("signals cannot be listened for")?;
        let clock = Clock::system();
        let metrics = Metrics::install(&clock)?;
        let upkeep = tokio::spawn(metrics.clone().keep(lifecycle.stop.clone()));
        let ground = Ground::open(&target(&config), &clock).await?;
        let (name, described) = (ground.subject.store.name(), ground.described().to_owned());
        eprintln!("{described}\n{} jobs, {} pairs", plan.jobs, plan.pairs);
        let taken = tokio::select! {
            taken = bench::measure(&ground, plan, metrics) => taken,
            () = lifecycle.stop.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
        };
        lifecycle.stop.cancel();
        let cleared = ground.clear().await;
        upkeep.await.context("the upkeep of the metrics panicked")?;
        let taken = taken?;
        cleared?;
        show(&Figures::of(name, &taken), &taken, &described, json)?;
        Ok(ExitCode::SUCCESS)
    }

    fn check_allowed(&self, env: Env) -> Result<(), Failure> {
        if env == Env::Production && !self.yes {
            let why = "a benchmark takes everything that this machine and its carrier have, and this is production: \
                       give --yes where that does no harm";
            return Err(Failure::Misused(why.to_owned()));
        }
        Ok(())
    }
}

/// What is measured is the disk that the queue is on. It may not be there yet.
fn target(config: &Config) -> Target {
    match &config.queue {
        StoreUrl::Sqlite(path) => {
            let folder = path.parent().filter(|folder| folder.is_dir());
            Target::Sqlite { near: folder.map(Into::into) }
        }
        // Of several servers the first: one is what the bare loop beside it runs on.
        StoreUrl::Server(_) | StoreUrl::Servers(_) => {
            Target::Redis { url: config.queue.to_connect().expose().to_owned() }
        }
    }
}

fn show(figures: &Figures, taken: &Taken, described: &str, json: bool) -> anyhow::Result<()> {
    let text = format!(
        "\n{described}\npayloads of {PAYLOAD_BYTES} bytes; {SLOTS} slots in one process\n\n{}",
        taken.table()
    );
    if json {
        eprint!("{text}");
        println!("{}", serde_json::to_string(figures)?);
    } else {
        print!("{text}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_is_measured_only_when_that_is_said_twice() {
        let bench = |yes| Bench { jobs: 1, pairs: 1, yes };
        let refused = bench(false).check_allowed(Env::Production);
        assert!(matches!(refused, Err(Failure::Misused(why)) if why.contains("--yes")));
        assert!(bench(true).check_allowed(Env::Production).is_ok());
        assert!(bench(false).check_allowed(Env::Development).is_ok());
    }
}
