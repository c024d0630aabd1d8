//! The payment audit: every decision about money, before it holds; and none without a line.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::process::wait::until;
use crate::shop::{Shop, TOTAL_FEN};

/// `what` of each line about the order.
fn whats<'a>(audit: &'a [Value], no: &str) -> Vec<&'a str> {
    audit.iter().filter(|line| line["order_no"] == no).map(|line| line["what"].as_str().unwrap()).collect()
}

#[test]
fn every_step_of_the_money_is_a_line_with_its_numbers_and_who_decided() {
    let shop = Shop::open(|_, _| {});
    // Paid and sent back; and paid with too little, which a person accepts.
    shop.order("SO-A001", "FAIL00001", TOTAL_FEN);
    shop.order("SO-A002", "FAKE00001", TOTAL_FEN - 1);
    shop.until_state("SO-A001", "refused");
    until("the payment is disputed", || {
        let view = shop.view("SO-A002")?;
        view.to_string().contains("disputed").then_some(())
    });
    let mut settle = shop.place.command(&[
        "payments",
        "settle",
        "SO-A002",
        "--decision",
        "accept",
        "--reason",
        "looked at the bank",
        "--server",
        &shop.door,
    ]);
    settle.env("WINDLASS_API_KEY", &shop.key);
    shop.place.start(settle).end().well();

    let audit = shop.audit();
    let way = whats(&audit, "SO-A001");
    let wanted = [
        "payment.expected",
        "payment.recorded",
        "refund.requested",
        "effect.begun",
        "effect.done",
        "refund.recorded",
        "refund.recorded",
    ];
    let mut steps = way.iter();
    assert!(wanted.iter().all(|step| steps.any(|told| told == step)), "{way:?}");
    let paid = audit
        .iter()
        .find(|line| line["order_no"] == "SO-A001" && line["what"] == "payment.recorded")
        .unwrap();
    assert_eq!(
        (&paid["amount_fen"], &paid["expected_fen"]),
        (&TOTAL_FEN.into(), &TOTAL_FEN.into()),
        "{paid}"
    );
    assert!(paid["transaction_id"].as_str().is_some_and(|id| id.len() > 8), "{paid}");
    assert!(paid["job"].is_string() && paid["tx"].is_string() && paid["timestamp"].is_string(), "{paid}");
    let back = audit
        .iter()
        .rfind(|line| line["order_no"] == "SO-A001" && line["what"] == "refund.recorded")
        .unwrap();
    assert_eq!(
        (&back["refund_no"], &back["amount_fen"]),
        (&"SO-A001-R1".into(), &TOTAL_FEN.into()),
        "{back}"
    );
    assert_eq!(back["how"], "succeeded");
    let by_hand = audit.iter().find(|line| line["what"] == "payment.settled_by_hand").unwrap();
    assert_eq!(by_hand["amount_fen"], TOTAL_FEN - 1);
    let who = by_hand["by"].as_str().unwrap();
    assert!(who.starts_with("shop (") && !by_hand.to_string().contains("looked at the bank"), "{by_hand}");
    // The same lines are events of the log, for whoever collects it.
    assert!(shop.running.said().contains("windlass::audit"));
    // A kill loses none of them: they were on disk before anything followed from them.
    let (place, logs) = (shop.logs(), shop.files()["audit"].clone());
    shop.running.kill();
    let left: String = fs::read_dir(place)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains("/audit-"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(left.starts_with(&logs) || left.len() >= logs.len());
}

#[test]
fn no_money_moves_while_the_audit_cannot_be_written_and_it_goes_on_when_it_can() {
    let clock = windlass_engine::Clock::system();
    let day =
        |ahead: u64| (clock.wall() + std::time::Duration::from_secs(ahead)).to_rfc3339()[..10].to_owned();
    let shop = Shop::open(|place, _| {
        let logs = place.path("logs");
        fs::create_dir_all(&logs).unwrap();
        // Also tomorrow's, for a test at midnight.
        for day in [day(0), day(3_600)] {
            // The same day twice is one file.
            let _ = symlink("/dev/full", logs.join(format!("audit-up-1.{day}.001.log")));
        }
    });
    shop.order("SO-A101", "FAKE00001", TOTAL_FEN);
    until("the first decision was put off", || {
        let metrics = shop.get("/metrics").1;
        let line = metrics.lines().find(|line| line.starts_with("windlass_audit_failures_total"))?;
        let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
        (count >= 2.0).then_some(())
    });
    assert_eq!(shop.get("/v1/orders/SO-A101").0, 404, "nothing was decided");
    for file in fs::read_dir(shop.logs()).unwrap().map(|file| file.unwrap().path()) {
        if file.is_symlink() {
            fs::remove_file(file).unwrap();
        }
    }
    until("the payment is taken", || {
        let view = shop.view("SO-A101")?;
        view.to_string().contains("succeeded").then_some(())
    });
    let (audit, job) = (shop.audit(), shop.get("/v1/jobs/fulfil_order:SO-A101").1);
    assert_eq!(whats(&audit, "SO-A101")[0], "payment.expected");
    let job: Value = serde_json::from_str(&job).unwrap();
    assert_eq!(
        (&job["state"], &job["attempt"]),
        (&"completed".into(), &1.into()),
        "waiting used up no attempt"
    );
}
