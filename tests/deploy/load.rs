//! A shop that hands in jobs at a steady rate, as long as it has callers that do not wait, and keeps what it was told.
//! Each job is one call, with nothing that would make it safe to repeat: neither shop nor balancer sends it twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::balancer::Balancer;

/// Jobs in a second.
const RATE: u32 = 200;
/// Calls at once: a shop has so many processes.
const CALLERS: usize = 16;
/// Longer than any bound of the front door and the balancer.
const PATIENCE: Duration = Duration::from_secs(90);
pub const TAG: &str = "load:1";

pub struct Load {
    stop: Arc<AtomicBool>,
    shop: std::thread::JoinHandle<Told>,
}

#[derive(Debug, Default)]
pub struct Told {
    pub ids: Vec<String>,
    /// What came back that was no 202.
    pub failed: Vec<String>,
    pub latencies: Vec<Duration>,
    pub took: Duration,
}

impl Load {
    pub fn on(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, told) = (format!("{url}/v1/jobs"), stop.clone());
        let shop = std::thread::spawn(move || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap()
                .block_on(send(url, told))
        });
        Self { stop, shop }
    }

    pub fn end(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        self.shop.join().unwrap()
    }
}

async fn send(url: String, stop: Arc<AtomicBool>) -> Told {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // reqwest sends again by itself what a server closed a kept connection on: none is kept.
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0);
    let client = client.build().unwrap();
    let (mut sent, mut told, began) = (JoinSet::new(), Told::default(), Instant::now());
    let callers = Arc::new(Semaphore::new(CALLERS));
    let mut beat = tokio::time::interval(Duration::from_secs(1) / RATE);
    while !stop.load(Ordering::Relaxed) {
        beat.tick().await;
        let caller = callers.clone().acquire_owned().await.unwrap();
        let call = client.post(&url).json(&json!({"kind": "noop", "payload": {}, "tags": [TAG]}));
        sent.spawn(async move {
            let (_caller, began) = (caller, Instant::now());
            (enqueue(call).await, began.elapsed())
        });
    }
    while let Some(answer) = sent.join_next().await {
        let (answer, latency) = answer.unwrap();
        told.latencies.push(latency);
        match answer {
            Ok(id) => told.ids.push(id),
            Err(why) => told.failed.push(why),
        }
    }
    told.latencies.sort();
    told.took = began.elapsed();
    told
}

/// The id of the job that was taken.
async fn enqueue(call: reqwest::RequestBuilder) -> Result<String, String> {
    let answer = call.send().await.map_err(|e| format!("{e:?}"))?;
    let (status, text) = (answer.status().as_u16(), answer.text().await.map_err(|e| format!("{e:?}"))?);
    let told: Option<Value> = serde_json::from_str(&text).ok();
    match told.as_ref().and_then(|told| told["id"].as_str()) {
        Some(id) if status == 202 => Ok(id.to_owned()),
        _ => Err(format!("{status}: {text}")),
    }
}

impl Told {
    #[track_caller]
    pub fn all_taken(&self, balancer: &Balancer) {
        let (failed, taken) = (self.failed.len(), self.ids.len());
        assert!(
            failed == 0,
            "{failed} failed, {taken} were taken: {:?}\n{}",
            self.failed[0],
            balancer.errors()
        );
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }
}
