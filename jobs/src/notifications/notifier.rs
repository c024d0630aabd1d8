//! What the jobs that tell people are handed: the wording, the way to webhooks, and whom to ask for dead jobs.

use windlass_engine::Clock;

use super::dead_jobs::AskDeadJobs;
use super::templates::Templates;
use super::webhooks::{Post, PostSettings, Seal};
use crate::outside::Secret;

pub struct Notifier {
    pub templates: Templates,
    /// Seals the secrets of webhooks.
    pub seal: Seal,
    pub post: Post,
    /// None: nobody knows the carrier, and only the ledger's dead jobs are told of.
    pub dead_jobs: Option<AskDeadJobs>,
}

impl Notifier {
    /// `secret_key`: what the secrets of webhooks are sealed with (`SECRET_KEY`), the same in every process.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        templates: Templates,
        secret_key: &Secret,
        post: PostSettings,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        Ok(Self { templates, seal: Seal::of(secret_key)?, post: Post::new(post, clock)?, dead_jobs: None })
    }

    pub fn asking_dead_jobs(self, ask: AskDeadJobs) -> Self {
        Self { dead_jobs: Some(ask), ..self }
    }
}
