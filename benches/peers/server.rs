//! The Redis that the peer needs: somebody's, or a private one that goes with the benchmark.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(5);

/// Where a Redis listens. A private one ends with this value.
pub struct Redis {
    pub url: String,
    pub described: &'static str,
    _private: Option<Private>,
}

struct Private {
    process: Child,
    _folder: TempDir,
}

pub enum Reached {
    At(Redis),
    /// Why there is none.
    Not(String),
}

impl Redis {
    pub fn reach() -> anyhow::Result<Reached> {
        if let Ok(url) = std::env::var("TEST_REDIS_URL") {
            return Ok(Reached::At(Self { url, described: "the Redis at TEST_REDIS_URL", _private: None }));
        }
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            let why = "TEST_REDIS_URL is not set and redis-server is not on the PATH";
            return Ok(Reached::Not(why.to_owned()));
        }
        Self::start().map(Reached::At)
    }

    /// With an append-only file that is fsynced every second, as the figures of the design had it.
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let process = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec"])
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server does not start")?;
        let redis = Self {
            url: format!("redis://127.0.0.1:{port}"),
            described: "a private Redis, AOF everysec",
            _private: Some(Private { process, _folder: folder }),
        };
        redis.wait_until_ready()?;
        Ok(redis)
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        let client = redis::Client::open(self.url.as_str())?;
        let began = Instant::now();
        while client.get_connection().and_then(|mut conn| redis::cmd("PING").exec(&mut conn)).is_err() {
            ensure!(began.elapsed() < START_MAX, "the private redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes what a benchmark left under its queues' names.
    pub fn forget(&self, prefix: &str) -> anyhow::Result<()> {
        let mut conn = redis::Client::open(self.url.as_str())?.get_connection()?;
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("*{prefix}*"))
                .arg("COUNT")
                .arg(1_000)
                .query(&mut conn)?;
            if !keys.is_empty() {
                redis::cmd("UNLINK").arg(keys).exec(&mut conn)?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
