//! What a process tells others of itself without being asked: traces to a collector, errors to where they are gathered.

use windlass_engine::Clock;

use super::sentry::{ErrorPost, Errors};
use super::traces::Traces;
use crate::config::Config;

/// Both, where they are set.
#[derive(Default)]
pub struct Reports {
    traces: Option<Traces>,
    errors: Option<ErrorPost>,
}

impl Reports {
    /// Begins to tell. `program`: what the process is called.
    ///
    /// # Errors
    /// When there is no HTTP client to be had, or the process is traced already.
    pub fn start(config: &Config, program: &str) -> anyhow::Result<Self> {
        // Traces and errors are told in wall time, whatever the shop's is.
        let clock = Clock::system();
        let traces = config.collector.as_ref();
        let traces = traces.map(|to| Traces::start(to, program, config.env, &clock)).transpose()?;
        let errors = config.error_desk.as_ref();
        let errors = errors.map(|to| ErrorPost::start(to, program, &clock)).transpose()?;
        Ok(Self { traces, errors })
    }

    /// What takes errors out of the log.
    pub fn errors(&self) -> Option<Errors> {
        self.errors.as_ref().map(ErrorPost::errors)
    }

    /// Tells what is left, within some seconds. `why`: the error that the process ends with.
    pub async fn close(self, why: Option<&anyhow::Error>) {
        if let (Some(post), Some(why)) = (&self.errors, why) {
            post.errors().take_end(why);
        }
        let traces = async {
            if let Some(traces) = self.traces {
                traces.close().await;
            }
        };
        let errors = async {
            if let Some(errors) = self.errors {
                errors.close().await;
            }
        };
        tokio::join!(traces, errors);
    }
}
