//! `windlass health`: asks a process whether it is ready, as a container's health check does where there is no curl.
//!
//! It looks at nothing itself: the process proves its health, see [`crate::health`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;

use super::api::Api;
use super::jobs::Said;
use crate::config::Config;

#[derive(Debug, Args)]
pub struct Health {
    /// The process that is asked [default: where this configuration has metrics told, else the front door].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Asks whether it lives, and not whether it can do its work.
    #[arg(long)]
    live: bool,
}

impl Health {
    /// # Errors
    /// When nobody answers or the process is not ready.
    pub async fn run(self, config: &Config) -> anyhow::Result<Said> {
        let there = config.metrics_listen.unwrap_or(config.listen);
        let base = self.url.unwrap_or_else(|| format!("http://{}", reachable(there)));
        let path = if self.live { "/livez" } else { "/readyz" };
        let json = Api::new(&base)?.get(path, &[]).await.map_err(|error| match error {
            // What it does not do stands in the answer.
            super::api::ApiError::Refused { problem, .. } => {
                anyhow::anyhow!("{base} is not ready: {problem}")
            }
            failed => failed.into(),
        })?;
        let state = if self.live { "lives" } else { "is ready" };
        Ok(Said { json, text: format!("{base} {state}") })
    }
}

/// Who listens everywhere is asked at the loopback address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_at_home() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9101"), "127.0.0.1:9101");
        assert_eq!(asked("[::]:8080"), "[::1]:8080");
        assert_eq!(asked("10.0.0.7:8080"), "10.0.0.7:8080");
    }
}
