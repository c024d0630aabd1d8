//! A storm of callbacks at the front door: YLH calls 10,000 times at once, a third of it repeats, in an order that
//! chance makes. How long the answers take, how many a second, and when all of it is acted on, each once.
//!
//! `nice cargo run --release -p windlass-benches --bin callbacks [-- CALLBACKS CONNECTIONS]`
//!
//! The door, the ledger on SQLite (each commit on disk before its answer), the relay and the workers are those of the
//! product, in this one process; the client's work is in the figures, too. Ends with an error when an answer took a
//! second or more, or a callback was not applied exactly once.

mod client;
mod shop;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use md5::{Digest, Md5};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windlass::bench::figures::percentile;
use windlass_engine::Clock;
use windlass_jobs::ledger::Ledger;

use crate::client::Client;
use crate::shop::{APP_KEY, SECRET, Stand};

const CALLBACKS: usize = 10_000;
const CONNECTIONS: usize = 64;
/// Of an answer (WeChat Pay gives up after 5 s).
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Until everything is acted on.
const APPLY_MAX: Duration = Duration::from_secs(600);

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| -> anyhow::Result<usize> {
        arguments
            .next()
            .map_or(Ok(default), |text| text.parse().context("CALLBACKS and CONNECTIONS are numbers"))
    };
    let (callbacks, connections) = (number(CALLBACKS)?, number(CONNECTIONS)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(callbacks, connections))
}

async fn measure(callbacks: usize, connections: usize) -> anyhow::Result<()> {
    // Two different ones for each order, and every second of these again.
    let orders = callbacks / 3;
    ensure!(orders > 0 && connections > 0, "at least 3 callbacks and one connection");
    let folder = tempfile::tempdir()?;
    let clock = Clock::system();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let to = listener.local_addr()?;
    let stop = CancellationToken::new();
    let stand = Stand::open(folder.path(), &clock).await?;
    stand.place_orders(orders).await?;
    stand.start(listener, &stop);

    let storm = storm(orders);
    let sent = storm.len();
    let share = sent.div_ceil(connections);
    let began = Instant::now();
    let senders: Vec<_> = storm.chunks(share).map(|bodies| tokio::spawn(send(to, bodies.to_vec()))).collect();
    let mut answers: Vec<f64> = Vec::new();
    for sender in senders {
        answers.extend(sender.await??);
    }
    let answered = began.elapsed();
    let applied = until_applied(&stand.ledger, orders).await?;
    let all = began.elapsed();
    stop.cancel();

    let worst = percentile(&answers, 1.0);
    println!("{sent} callbacks, {} of them repeats, {connections} connections", sent - 2 * orders);
    println!(
        "answered          {:>10.0}/s, all after {:.2} s",
        sent as f64 / answered.as_secs_f64(),
        answered.as_secs_f64()
    );
    println!(
        "answer, ms        p50 {:.1}  p99 {:.1}  worst {worst:.1}",
        percentile(&answers, 0.5),
        percentile(&answers, 0.99)
    );
    println!("acted on          {applied} once each, all after {:.2} s", all.as_secs_f64());
    ensure!(answers.len() == sent, "{} of {sent} were answered", answers.len());
    ensure!(applied == 2 * orders as i64, "{applied} were applied, {} were sent", 2 * orders);
    ensure!(worst < millis(ANSWER_MAX), "an answer took {worst:.0} ms");
    Ok(())
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1_000.0
}

/// Every body that is sent, in the order of chance, the same at each run.
fn storm(orders: usize) -> Vec<Arc<[u8]>> {
    let mut storm: Vec<Arc<[u8]>> = Vec::new();
    for n in 0..orders {
        let no = shop::order_no(n);
        storm.push(form("confirm", "20260105120000", &no, 1).into());
        storm.push(form("cancel", "20260105120100", &no, 0).into());
    }
    let again: Vec<_> = storm.iter().step_by(2).cloned().collect();
    storm.extend(again);
    fastrand::Rng::with_seed(1).shuffle(&mut storm);
    storm
}

/// As YLH sends it, signed (facts: ylh.md 9).
fn form(method: &str, stamp: &str, order_no: &str, state: u8) -> Vec<u8> {
    let data = format!(
        r#"{{"ExtOrderNo":"SO.{order_no}","PlatformOrderNo":"{order_no}-1","State":{state},"itemList":[]}}"#
    );
    let method = format!("hmm.scm_heorder.{method}");
    let text =
        format!("{SECRET}AppKey{APP_KEY}Data{data}Method{method}TimeStamp{stamp}{SECRET}").to_lowercase();
    let sign: String = Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect();
    let escape = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let fields =
        [("AppKey", APP_KEY), ("Data", &data), ("Method", &method), ("TimeStamp", stamp), ("Sign", &sign)];
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    fields.join("&").into_bytes()
}

/// Milliseconds of each answer.
async fn send(to: std::net::SocketAddr, bodies: Vec<Arc<[u8]>>) -> anyhow::Result<Vec<f64>> {
    let mut client = Client::connect(to).await?;
    let mut answers = Vec::with_capacity(bodies.len());
    for body in bodies {
        let began = Instant::now();
        let answer = client.post("/callbacks/ylh", &body).await?;
        answers.push(millis(began.elapsed()));
        ensure!(answer.contains(r#""success":true"#), "it was not taken: {answer}");
    }
    Ok(answers)
}

/// Waits until nothing waits to be acted on; answers how many were, by the orders' own stories.
async fn until_applied(ledger: &Ledger, orders: usize) -> anyhow::Result<i64> {
    let began = Instant::now();
    loop {
        let (waiting,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) AS n FROM callbacks WHERE handled_at IS NULL")
                .fetch_one(ledger.reads())
                .await?;
        if waiting == 0 {
            break;
        }
        ensure!(began.elapsed() < APPLY_MAX, "{waiting} callbacks of {orders} orders are still not acted on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sql = "SELECT COUNT(*) AS n FROM order_events WHERE kind = 'supplier_callback'";
    let (applied,): (i64,) = sqlx::query_as(sql).fetch_one(ledger.reads()).await?;
    Ok(applied)
}
