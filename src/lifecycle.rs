//! When a process stops: softly at the first signal, in a hurry at the second.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What everything that runs watches.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Take nothing new; finish what runs.
    pub stop: CancellationToken,
    /// Give back what runs, now.
    pub hurry: CancellationToken,
}

impl Lifecycle {
    /// Turns SIGTERM and SIGINT into `stop`, and a second one into `hurry`.
    ///
    /// # Errors
    /// When the process may not listen for signals.
    pub fn on_signals() -> std::io::Result<Self> {
        let lifecycle = Self::default();
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let ours = lifecycle.clone();
        tokio::spawn(async move {
            for nth in 1.. {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
                if nth == 1 {
                    tracing::info!("stopping: finishing what runs (a second signal hurries)");
                    ours.stop.cancel();
                } else {
                    tracing::warn!("hurrying: what runs is given back");
                    ours.hurry.cancel();
                }
            }
        });
        Ok(lifecycle)
    }
}
