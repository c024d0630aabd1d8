//! The demo against an installation that runs already: nothing of the platform is started here.
//!
//! Orders go through the running front door, and both sides' books are asked for over HTTP. The outside is a sandbox
//! at ports that the installation knows (`WINDLASS_SANDBOX`), started here unless somebody else runs one. What the
//! books said before the demo began is noted, so that only what it brought about counts; a demo that was killed goes
//! on from its note.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use windlass_engine::Timestamp;
use windlass_sandbox::Sandbox;

use super::notebook::Notebook;
use super::standing::Desks;
use super::summary::Summary;
use super::verdict::Beginning;
use super::{Demo, tell_rejected};
use crate::cli::api::Api;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::outside::call_back_to;

/// How long the sandbox holds a call that it does not answer: longer than the clients of an installation wait for a
/// sandbox.
const NO_ANSWER: Duration = Duration::from_millis(5_500);

impl Demo {
    /// Runs the demo against the server; `show` tells how it went. Without `--exit` the sandbox stays up until a signal
    /// comes.
    ///
    /// # Errors
    /// When the server is not ready or asks for a key, the sandbox's ports are taken, or it is told to stop.
    pub async fn run_there(
        self,
        config: Config,
        server: &str,
        show: fn(&Summary),
    ) -> anyhow::Result<Summary> {
        anyhow::ensure!(self.count > 0, "--count is at least 1");
        anyhow::ensure!(
            self.days.is_none(),
            "--days needs bills with differences that nobody else must find: leave out --server"
        );
        anyhow::ensure!(
            self.speed.is_none(),
            "with --server the shop's time is the installation's: set WINDLASS_SPEED and WINDLASS_SPEED_SINCE for all of \
             its processes and for the demo"
        );
        std::fs::create_dir_all(&config.data).with_context(|| {
            format!("cannot make the data folder {}: choose another with --data", config.data.display())
        })?;
        let lifecycle = Lifecycle::on_signals().context("signals cannot be listened for")?;
        let clock = config.clock();
        let door = server.trim_end_matches('/');
        let shop = Api::new(door)?.with_key(config.access.api_key.clone());
        shop.get("/readyz", &[]).await.with_context(|| format!("{door} is not ready"))?;
        let mut notebook = Notebook::open(&config.data, &self)?;
        notebook.begin()?;
        let sandbox = match &self.sandbox {
            Some(_) => None,
            None => {
                let port = Some(self.sandbox_port);
                let sandbox = self.start_sandbox(&config, clock.clone(), port, NO_ANSWER, Vec::new()).await?;
                call_back_to(&sandbox, door);
                Some(sandbox)
            }
        };
        let control = self.sandbox.clone().or_else(|| Some(sandbox.as_ref()?.addresses().control.clone()));
        let control = control.context("a sandbox was started a moment ago")?;
        // Whom else the installation tells of its orders is its own affair.
        let desks = Desks { shop, sandbox: Api::new(&control)?, crm: None };
        let note = Note { path: config.data.join("beginning.json") };
        let began = note.read_or_write(&desks, clock.wall()).await?;
        // Other demos may have sent theirs to this server, from other folders.
        let input = self.input(&format!("{:x}", began.at.micros() / 1_000_000))?;
        tell_rejected(&input, &config.data)?;
        eprintln!("{}  server {door}, sandbox {control}", notebook.words());
        if config.speed.is_none() {
            eprintln!(
                "the shop's time passes as the wall's: what takes days takes days (see WINDLASS_SPEED)"
            );
        }
        let summary = tokio::select! {
            summary = self.shop(&desks, input, &began, &clock, None) => summary?,
            () = lifecycle.stop.cancelled() => {
                anyhow::bail!("stopped before the end; start it again to go on: {}", config.data.display())
            }
        };
        note.forget()?;
        notebook.finish()?;
        show(&summary);
        if let Some(sandbox) = sandbox {
            self.stay(sandbox, &lifecycle).await;
        }
        Ok(summary)
    }

    async fn stay(&self, sandbox: Sandbox, lifecycle: &Lifecycle) {
        if !self.exit {
            eprintln!("the sandbox stays up until a signal comes");
            lifecycle.stop.cancelled().await;
        }
        sandbox.stop().await;
    }
}

/// Where everything stood when the demo began, on disk while it has not ended.
struct Note {
    path: PathBuf,
}

impl Note {
    async fn read_or_write(&self, desks: &Desks, now: Timestamp) -> anyhow::Result<Beginning> {
        match std::fs::read(&self.path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} cannot be read: delete its folder", self.path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let began =
                    Beginning { at: now, standing: desks.standing().await?, queues: desks.queues().await? };
                let beside = self.path.with_extension("new");
                std::fs::write(&beside, serde_json::to_vec(&began)?)
                    .and_then(|()| std::fs::rename(&beside, &self.path))
                    .with_context(|| format!("cannot write {}", self.path.display()))?;
                Ok(began)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        }
    }

    fn forget(&self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.path).with_context(|| format!("cannot delete {}", self.path.display()))
    }
}
