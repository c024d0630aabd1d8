//! The world survives the end of its process.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use windlass_sandbox::{Callbacks, Span, Truth};

use crate::shop::Shop;
use crate::ylh;

/// A world with something of everything that can be half done.
async fn busy_world(journal: &Path) -> (Shop, Truth) {
    let shop = Shop::open_with(|config| {
        config.journal = Some(journal.to_owned());
        config.pace.confirm = Span::minutes(1, 1);
        config.pace.cancel_answer = Span::minutes(1, 1);
    })
    .await;
    for nth in 0..5 {
        shop.check_out(&format!("T1000{nth}"), 1000, (nth < 4).then_some(nth)).await;
        ylh::create(&shop, &ylh::order(&format!("P{nth}"), if nth == 3 { "FAIL1" } else { "FAKE1" })).await;
    }
    ylh::cancel(&shop, "P4").await;
    shop.clock.advance(Duration::from_secs(120));
    // Four payments, five orders that were decided and one answer to a cancellation: nothing else is due by now.
    let truth = shop.until(|truth| truth.callbacks.taken == 10).await;
    (shop, truth)
}

async fn again(shop: Shop, journal: &Path) -> Shop {
    let clock = shop.clock.clone();
    shop.sandbox.stop().await;
    Shop::open_with(|config| {
        config.journal = Some(journal.to_owned());
        config.clock = clock;
        config.callbacks = Callbacks::default();
    })
    .await
}

#[tokio::test]
async fn the_world_after_a_restart_is_the_world_before() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let (shop, before) = busy_world(&journal).await;
    assert_eq!((before.orders.accepted, before.payments.paid), (5, 4));
    assert_eq!(windlass_sandbox::journal_ends_at(&journal).unwrap(), Some(shop.clock.now()));
    let shop = again(shop, &journal).await;
    assert_eq!(shop.truth().await, before);
}

#[tokio::test]
async fn a_journal_belongs_to_one_world_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let (shop, before) = busy_world(&journal).await;
    let config = windlass_sandbox::Config {
        journal: Some(journal.clone()),
        ..windlass_sandbox::Config::new(shop.clock.clone(), 1)
    };
    let error =
        windlass_sandbox::start(config).await.err().expect("a second world must not open the journal");
    assert!(format!("{error:#}").contains("another process has"), "{error:#}");
    let shop = again(shop, &journal).await;
    assert_eq!(shop.truth().await, before);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_what_follows_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let (shop, before) = busy_world(&journal).await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(br#"{"at":1767585600000000,"fact":"payment_closed","out_tr"#).unwrap();
    assert_eq!(windlass_sandbox::journal_ends_at(&journal).unwrap(), Some(shop.clock.now()));
    let shop = again(shop, &journal).await;
    assert_eq!(shop.truth().await, before);
    shop.check_out("T20001", 1000, None).await;
    let grown = shop.truth().await;
    let shop = again(shop, &journal).await;
    assert_eq!(shop.truth().await, grown);
}

#[tokio::test]
async fn a_broken_line_in_the_middle_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    std::fs::write(&journal, "no event\n{}\n").unwrap();
    let clock = windlass_engine::Clock::by_hand(crate::shop::NOON);
    let mut config = windlass_sandbox::Config::new(clock, 7);
    config.journal = Some(journal);
    let error = windlass_sandbox::start(config).await.err().unwrap();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[tokio::test]
async fn what_was_still_to_happen_happens_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let (shop, _) = busy_world(&journal).await;
    let shop = again(shop, &journal).await;
    shop.sandbox.call_back_to(shop.desk.callbacks());
    let hour = Duration::from_secs(3600);
    let truth = shop.in_time(hour, |truth| truth.orders.delivered + truth.orders.cancelled == 4).await;
    shop.until(|truth| truth.callbacks.owed == truth.callbacks.taken).await;
    assert_eq!((truth.orders.refused, truth.keys.unwrap().orders["P4"].cancel_pending), (1, false));
    let asked = json!({"faults": "some"});
    let dial =
        shop.http.post(format!("{}/control/faults", shop.at().control)).json(&asked).send().await.unwrap();
    assert_eq!(crate::shop::json_of(dial).await, asked);
}

const JOURNAL_OF_THE_CHILD: &str = "WINDLASS_TEST_SANDBOX_JOURNAL";

/// Runs as its own child, too: there it is the sandbox that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_keeps_all_that_it_answered() {
    if let Ok(journal) = std::env::var(JOURNAL_OF_THE_CHILD) {
        return be_the_sandbox(Path::new(&journal)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("world.jsonl");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::a_killed_process_keeps_all_that_it_answered"])
        .env(JOURNAL_OF_THE_CHILD, &journal)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let control = wait_for(&journal.with_extension("control")).await;

    let answered = Arc::new(Mutex::new(Vec::new()));
    let customers: Vec<_> = (0..8)
        .map(|nth| tokio::spawn(check_out_without_end(control.clone(), nth, Arc::clone(&answered))))
        .collect();
    let enough = async {
        while answered.lock().unwrap().len() < 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), enough).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    for customer in customers {
        customer.await.unwrap();
    }

    let shop = Shop::open_with(|config| config.journal = Some(journal)).await;
    let payments = shop.truth().await.keys.unwrap().payments;
    for number in answered.lock().unwrap().iter() {
        assert!(payments.contains_key(number), "{number} was answered and is lost");
    }
}

async fn be_the_sandbox(journal: &Path) {
    let mut config = windlass_sandbox::Config::new(windlass_engine::Clock::by_hand(crate::shop::NOON), 7);
    config.journal = Some(journal.to_owned());
    let sandbox = windlass_sandbox::start(config).await.unwrap();
    let written = journal.with_extension("control.new");
    std::fs::write(&written, &sandbox.addresses().control).unwrap();
    std::fs::rename(written, journal.with_extension("control")).unwrap();
    // Killed by its parent long before.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

async fn wait_for(file: &Path) -> String {
    let written = async {
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.unwrap()
}

async fn check_out_without_end(control: String, customer: u32, answered: Arc<Mutex<Vec<String>>>) {
    let http = crate::shop::client();
    for nth in 0.. {
        let number = format!("T{customer}-{nth:06}");
        let body = json!({"out_trade_no": number, "total_fen": 1, "openid": "o", "pays_after_s": null});
        match http.post(format!("{control}/control/payments")).json(&body).send().await {
            Ok(answer) if answer.status() == 200 => answered.lock().unwrap().push(number),
            _ => return,
        }
    }
}

#[tokio::test]
async fn a_hurried_day_passes_in_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open_with(|config| {
        config.clock = windlass_engine::Clock::scaled(crate::shop::NOON, 86_400.0);
        config.pace.ylh_token = Duration::from_secs(30 * 86_400);
        config.journal = Some(dir.path().join("world.jsonl"));
    })
    .await;
    shop.check_out("T10001", 1000, Some(3600)).await;
    ylh::create(&shop, &ylh::order("P1", "FAKE1")).await;
    let truth = shop.until(|truth| truth.orders.delivered == 1 && truth.callbacks.taken == 2).await;
    let order = &truth.keys.unwrap().orders["P1"];
    let took = |from: Option<windlass_engine::Timestamp>, to: Option<windlass_engine::Timestamp>| {
        to.unwrap().since(from.unwrap())
    };
    assert!(took(order.confirmed_at, order.shipped_at) >= Duration::from_secs(3600));
    assert!(took(order.shipped_at, order.delivered_at) >= Duration::from_secs(4 * 3600));
}
