//! Mail to customers: greylisted, cut off, wanted later.

use std::time::Duration;

use serde_json::json;
use windlass_engine::Verdict;
use windlass_jobs::effect::effects_in_doubt;
use windlass_jobs::notifications::{Channel, DailySummary, SendNotification, Template};
use windlass_sandbox::Faults;
use windlass_testing::{Engine, on_every_engine};

use crate::desk::{BOSS, Desk, result, verdict};

on_every_engine!(
    a_greylisted_mail_comes_again_and_is_one_mail,
    a_mail_that_the_server_wants_later_waits_longer_each_time,
    in_a_storm_no_mail_is_sent_twice_and_what_may_have_been_is_in_doubt,
    a_message_that_no_template_can_word_says_why,
);

fn summary_of(day: &str) -> SendNotification {
    SendNotification {
        order_no: String::new(),
        template: Template::DailySummary,
        event: day.to_owned(),
        channel: Channel::Mail,
        recipient: BOSS.to_owned(),
    }
}

async fn queue_summary(desk: &Desk, day: &str) -> SendNotification {
    result(desk.run(DailySummary { day: Some(day.to_owned()) }).await);
    summary_of(day)
}

async fn a_greylisted_mail_comes_again_and_is_one_mail(engine: Engine) {
    let desk = Desk::open_with(engine, Faults::None, |config| config.greylists = true, |_| {}).await;
    let mail = queue_summary(&desk, "2026-01-04").await;
    let outcome = desk.run(mail.clone()).await;
    let error = outcome.expect_err("it is sent away");
    assert_eq!(error.verdict(), Verdict::Retry { after: Some(Duration::from_secs(60)) });
    assert!(!error.is_outage(), "a server that greylists is up");
    assert_eq!(desk.effect("mail.send").await, (0, 0));
    assert_eq!(result(desk.run(mail.clone()).await)["state"], "sent");
    assert_eq!(result(desk.run(mail).await)["skipped"], "nothing is queued");
    assert_eq!(desk.effect("mail.send").await, (1, 0));
    let next = queue_summary(&desk, "2026-01-03").await;
    assert_eq!(result(desk.run(next).await)["state"], "sent", "they know each other now");
}

async fn a_mail_that_the_server_wants_later_waits_longer_each_time(engine: Engine) {
    let mut waits = Vec::new();
    for attempt in [1, 2, 6, 50] {
        let desk = Desk::open_with(engine, Faults::None, |config| config.greylists = true, |_| {}).await;
        let mail = queue_summary(&desk, "2026-01-04").await;
        match verdict(desk.attempt(mail, attempt).await) {
            Verdict::Retry { after: Some(after) } => waits.push(after.as_secs()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [60, 120, 1_800, 1_800]);
}

async fn in_a_storm_no_mail_is_sent_twice_and_what_may_have_been_is_in_doubt(engine: Engine) {
    let desk = Desk::open_with(engine, Faults::Storm, |_| {}, |_| {}).await;
    let mut states = Vec::new();
    for day in 1..=28 {
        let mail = queue_summary(&desk, &format!("2025-12-{day:02}")).await;
        let state = loop {
            match desk.run(mail.clone()).await {
                Err(error) => match error.verdict() {
                    Verdict::Retry { .. } => {}
                    other => panic!("{other:?}: {:#}", error.cause()),
                },
                ended => break result(ended)["state"].as_str().unwrap().to_owned(),
            }
        };
        states.push(state);
        result(desk.run(mail).await);
    }
    let count = |state: &str| states.iter().filter(|one| *one == state).count() as u64;
    assert_eq!(count("sent") + count("in_doubt"), 28, "{states:?}");
    let (really, doubled) = desk.effect("mail.send").await;
    assert_eq!(doubled, 0);
    assert!(count("in_doubt") > 0 && really >= count("sent"), "{really} {states:?}");
    assert_eq!(effects_in_doubt(&desk.shop.ledger).await.unwrap() as u64, count("in_doubt"));
}

async fn a_message_that_no_template_can_word_says_why(engine: Engine) {
    let desk = Desk::open(engine).await;
    let mail = queue_summary(&desk, "2026-01-04").await;
    desk.write("UPDATE notifications SET data = '{\"day\": \"2026-01-04\"}'").await;
    let error = desk.run(mail).await.expect_err("it cannot be worded");
    assert_eq!(error.verdict(), Verdict::Fail);
    let why = format!("{:#}", error.cause());
    assert!(why.contains("daily_summary.txt:"), "{why}");
    assert_eq!(desk.mails().await, Vec::<serde_json::Value>::new());
    assert_eq!(json!(desk.effect("mail.send").await), json!([0, 0]));
}
