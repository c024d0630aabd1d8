//! A worker in a process of its own: this program again, told to work.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use windlass::bench::progress::Phase;
use windlass::bench::toy::{Toy, Watch};
use windlass::bench::workers::Running;
use windlass_benches::process::Process;
use windlass_engine::{Job, JobTable};
use windlass_jobs::JOBS;

use crate::server::{Server, subject};

/// Jobs of each queue that it runs at once: the product's default.
pub const SLOTS: u32 = 32;

#[derive(Clone, Debug, Subcommand)]
pub enum Child {
    /// Works until its standard input ends. For this program itself.
    #[command(hide = true)]
    Work {
        url: String,
        namespace: String,
        /// Its jobs do not end.
        #[arg(long)]
        holds: bool,
    },
}

impl Child {
    pub async fn run(self) -> anyhow::Result<()> {
        let Self::Work { url, namespace, holds } = self;
        let subject = subject(&url, &namespace).await?;
        // As many queues as a worker of the shop waits at, beside the one that is measured.
        let table = JobTable::new(JOBS);
        let queues: Vec<&str> = table.queues().into_iter().chain([Toy::QUEUE]).collect();
        let watch = if holds { Watch::holding() } else { Watch::default() };
        let running = Running::of(&subject, &Phase::silent(), &queues, SLOTS, watch);
        // Whoever started it is gone, or wants it to end.
        let (gone, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || gone.send(std::io::stdin().read_to_end(&mut Vec::new()).map(drop)));
        told.await??;
        running.stop().await
    }
}

/// The process, which ends with this.
pub struct Worker(std::process::Child);

impl Worker {
    pub fn start(server: &Server, namespace: &str, holds: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["work", &server.url(), namespace]).args(holds.then_some("--holds"));
        command.stdin(Stdio::piped()).spawn().context("the worker process does not start").map(Self)
    }

    pub fn process(&self) -> Process {
        Process::of(self.0.id())
    }

    /// SIGKILL.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill().context("the worker process cannot be killed")?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `holds` says so; fails after `max`.
pub async fn until(
    what: &str,
    max: Duration,
    holds: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let looking = async {
        while !holds().await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(max, looking).await.with_context(|| format!("not within {max:?}: {what}"))?
}
