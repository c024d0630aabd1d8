//! Three short scripts on the same Redis, in keys of their own.

use std::time::{Duration, Instant};

use ::redis::io::tcp::TcpSettings;
use ::redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, Script};
use anyhow::{Context, ensure};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;
use windlass_engine::{Envelope, NewJob};

use super::{DRAIN_BATCH, DRAIN_LOOPS};
use crate::bench::figures::Burst;
use crate::bench::progress::Phase;
use crate::bench::subject::{Subject, shares};
use crate::bench::toy::Toy;

/// A server that is slower has hung.
const RESPONSE_MAX: Duration = Duration::from_secs(20);
/// As a worker of ours holds its jobs.
const LEASE_MS: u64 = 15_000;

#[derive(Clone)]
pub struct BareRedis {
    conn: MultiplexedConnection,
    keys: [String; 3],
    scripts: std::sync::Arc<Scripts>,
}

struct Scripts {
    enqueue: Script,
    reserve: Script,
    settle: Script,
}

/// A connection that waits as long as a benchmark may.
pub async fn connect(url: &str) -> anyhow::Result<MultiplexedConnection> {
    let tcp = TcpSettings::default().set_nodelay(true);
    let address = url.into_connection_info().context("no address of a Redis")?.set_tcp_settings(tcp);
    let client = Client::open(address)?;
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(RESPONSE_MAX));
    client.get_multiplexed_async_connection_with_config(&config).await.context("Redis does not answer")
}

impl BareRedis {
    /// `prefix`: of every key that it makes.
    pub async fn open(url: &str, prefix: &str) -> anyhow::Result<Self> {
        let scripts = Scripts {
            enqueue: Script::new(include_str!("enqueue.lua")),
            reserve: Script::new(include_str!("reserve.lua")),
            settle: Script::new(include_str!("settle.lua")),
        };
        let keys = ["ready", "leases", "records"].map(|key| format!("{prefix}{key}"));
        Ok(Self { conn: connect(url).await?, keys, scripts: scripts.into() })
    }

    pub async fn enqueue(
        &self,
        subject: &Subject,
        n: usize,
        batch: usize,
        phase: &Phase,
    ) -> anyhow::Result<Burst> {
        let began = Instant::now();
        let mut left = n;
        while left > 0 {
            let asked = left.min(batch);
            self.put((0..asked).map(|_| subject.toy())).await?;
            left -= asked;
            phase.step(asked);
        }
        Ok(Burst::since(began, n))
    }

    /// As many `callers` at once, each a job a call: the calls share a connection and so a pipeline.
    pub async fn enqueue_singly(
        &self,
        subject: &Subject,
        n: usize,
        callers: usize,
        phase: &Phase,
    ) -> anyhow::Result<Burst> {
        let began = Instant::now();
        let mut calling = JoinSet::new();
        for share in shares(n, callers) {
            let (bare, subject, phase) = (self.clone(), subject.clone(), phase.clone());
            calling.spawn(async move {
                for _ in 0..share {
                    bare.put(std::iter::once(subject.toy())).await?;
                    phase.step(1);
                }
                anyhow::Ok(())
            });
        }
        while let Some(caller) = calling.join_next().await {
            caller??;
        }
        Ok(Burst::since(began, n))
    }

    pub async fn drain(&self, ready: usize, phase: &Phase) -> anyhow::Result<Burst> {
        let began = Instant::now();
        let mut draining = JoinSet::new();
        for _ in 0..DRAIN_LOOPS {
            let (bare, phase) = (self.clone(), phase.clone());
            draining.spawn(async move { bare.drain_in_one_loop(&phase).await });
        }
        let mut drained = 0;
        while let Some(one) = draining.join_next().await {
            drained += one??;
        }
        ensure!(drained == ready, "the bare loop drained {drained} of {ready} jobs");
        Ok(Burst::since(began, drained))
    }

    async fn put(&self, jobs: impl Iterator<Item = NewJob>) -> anyhow::Result<()> {
        let [ready, _, records] = &self.keys;
        let mut call = self.scripts.enqueue.key(ready);
        call.key(records);
        for job in jobs {
            call.arg(short(job.id.as_str())).arg(job.envelope.to_json());
        }
        let _: u64 = call.invoke_async(&mut self.conn.clone()).await?;
        Ok(())
    }

    async fn drain_in_one_loop(&self, phase: &Phase) -> anyhow::Result<usize> {
        let [ready, leases, records] = &self.keys;
        let mut conn = self.conn.clone();
        let mut drained = 0;
        loop {
            let mut reserve = self.scripts.reserve.key(ready);
            reserve.key(leases).key(records).arg(DRAIN_BATCH).arg(LEASE_MS);
            let (ids, taken): (Vec<String>, Vec<String>) = reserve.invoke_async(&mut conn).await?;
            if ids.is_empty() {
                return Ok(drained);
            }
            for record in &taken {
                let envelope: Envelope = serde_json::from_str(record)?;
                let _: Toy = serde_json::from_str(envelope.payload.get())?;
            }
            let mut settle = self.scripts.settle.key(leases);
            let gone: usize = settle.key(records).arg(&ids).invoke_async(&mut conn).await?;
            ensure!(gone == ids.len(), "the bare loop lost a record");
            drained += gone;
            phase.step(gone);
        }
    }
}

/// A UUID in 22 characters, as ours is stored: 14 characters more would cost the bare loop memory and time.
fn short(id: &str) -> String {
    id.bytes().filter(|byte| *byte != b'-').skip(10).map(char::from).collect()
}
