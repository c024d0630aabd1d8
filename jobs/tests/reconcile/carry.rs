//! The carry over midnight.

use windlass_jobs::findings::FindingState;
use windlass_jobs::reconciliation::Side;
use windlass_testing::bills::TradeBill;
use windlass_testing::{Engine, on_every_engine};

use crate::books::{Books, at, case};

on_every_engine! {
    a_payment_in_the_next_days_bill_is_no_finding,
    a_payment_in_the_bill_of_the_day_before_is_no_finding,
    what_no_bill_has_is_a_finding_after_the_third_day_and_not_sooner,
    a_bill_that_comes_late_takes_the_finding_back,
    a_refund_that_wechat_takes_days_later_is_counted_from_then,
    a_payment_that_came_to_nothing_meanwhile_is_dropped,
}

fn other(n: u64) -> TradeBill {
    TradeBill::default().payment(&format!("OT-{n}"), &format!("99{n}"), at(n, 12.0), 100)
}

async fn open_with_days(engine: Engine, days: u64) -> Books {
    let books = Books::open(engine).await;
    for n in 0..days {
        books.paid(&format!("OT-{n}"), &format!("99{n}"), at(n, 12.0), 100).await;
    }
    books
}

async fn a_payment_in_the_next_days_bill_is_no_finding(engine: Engine) {
    let books = open_with_days(engine, 6).await;
    books.paid("SO-1", "4201", at(0, 23.999), 700).await;
    books.trade(0, &other(0)).await;
    let report = books.report(0).await;
    assert_eq!(report.payments.carried, Side { count: 1, sum_fen: 700 });
    books.trade(1, &other(1).payment("SO-1", "4201", at(1, 0.0), 700)).await;
    let report = books.report(1).await;
    assert_eq!(report.payments.of_other_days, Side { count: 1, sum_fen: 700 });
    for n in 2..6 {
        books.trade(n, &other(n)).await;
        books.report(n).await;
    }
    assert_eq!(books.open_cases().await, []);
}

async fn a_payment_in_the_bill_of_the_day_before_is_no_finding(engine: Engine) {
    let books = open_with_days(engine, 6).await;
    books.paid("SO-1", "4201", at(1, 0.001), 700).await;
    books.trade(0, &other(0).payment("SO-1", "4201", at(0, 23.999), 700)).await;
    assert_eq!(books.report(0).await.payments.of_other_days.count, 1);
    books.trade(1, &other(1)).await;
    let report = books.report(1).await;
    assert_eq!((report.payments.elsewhere.count, report.payments.carried.count), (1, 0));
    for n in 2..6 {
        books.trade(n, &other(n)).await;
        books.report(n).await;
    }
    assert_eq!(books.open_cases().await, []);
}

async fn what_no_bill_has_is_a_finding_after_the_third_day_and_not_sooner(engine: Engine) {
    let books = open_with_days(engine, 5).await;
    books.paid("SO-1", "4201", at(0, 9.0), 700).await;
    books.refund("SO-1", "R-1", "succeeded", at(0, 10.0), 10).await;
    books.refund("SO-1", "R-2", "abnormal", at(0, 10.0), 10).await;
    for n in 0..5 {
        books.trade(n, &other(n)).await;
        let report = books.report(n).await;
        let expected = if n < 3 {
            Vec::new()
        } else {
            vec![case("missing_refund", "R-1"), case("missing_refund", "R-2"), case("short", "SO-1")]
        };
        assert_eq!(books.open_cases().await, expected, "day {n}");
        assert_eq!(report.findings.values().sum::<u64>(), if n == 3 { 3 } else { 0 }, "day {n}");
    }
    assert_eq!(books.heals().await, 0, "what the channel lacks is never healed");
    // The day's own bill is repaired: the finding goes.
    books.trade(0, &other(0).payment("SO-1", "4201", at(0, 9.0), 700)).await;
    books.report(0).await;
    let open = [case("missing_refund", "R-1"), case("missing_refund", "R-2")];
    assert_eq!(books.open_cases().await, open);
    assert_eq!(books.cases(FindingState::Superseded).await, [case("short", "SO-1")]);
}

async fn a_bill_that_comes_late_takes_the_finding_back(engine: Engine) {
    let books = open_with_days(engine, 12).await;
    books.paid("SO-1", "4201", at(0, 23.9), 700).await;
    for n in [0, 1, 3, 4, 5] {
        books.trade(n, &other(n)).await;
        books.report(n).await;
    }
    assert_eq!(books.open_cases().await, [], "the bill of the second day may still have it");
    books.trade(10, &other(10)).await;
    books.report(10).await;
    assert_eq!(books.open_cases().await, [case("short", "SO-1")], "nobody waits for ever");
    books.trade(2, &other(2).payment("SO-1", "4201", at(2, 0.0), 700)).await;
    assert_eq!(books.report(2).await.payments.of_other_days.count, 1);
    assert_eq!(books.cases(FindingState::Superseded).await, [case("short", "SO-1")]);
    // The newer version of that bill does not have it after all.
    books.trade(2, &other(2).payment("XX-1", "4299", at(2, 1.0), 5)).await;
    books.report(2).await;
    assert_eq!(books.open_cases().await, [case("long", "4299"), case("short", "SO-1")], "due at once, again");
}

async fn a_refund_that_wechat_takes_days_later_is_counted_from_then(engine: Engine) {
    let books = open_with_days(engine, 10).await;
    books.paid("SO-1", "4201", at(0, 9.0), 700).await;
    books.refund("SO-1", "R-1", "requested", at(0, 10.0), 10).await;
    books.trade(0, &other(0).payment("SO-1", "4201", at(0, 9.0), 700)).await;
    books.report(0).await;
    for n in 1..8 {
        if n == 5 {
            books.write("UPDATE refunds SET state = 'accepted' WHERE refund_no = 'R-1'").await;
        }
        books.trade(n, &other(n)).await;
        books.report(n).await;
        let found = books.open_cases().await.len();
        assert_eq!(found, usize::from(n >= 6), "day {n}: asked on day 3, and three days after that");
    }
    assert_eq!(books.open_cases().await, [case("missing_refund", "R-1")]);
}

async fn a_payment_that_came_to_nothing_meanwhile_is_dropped(engine: Engine) {
    let books = open_with_days(engine, 5).await;
    books.paid("SO-1", "4201", at(0, 9.0), 700).await;
    books.refund("SO-1", "R-1", "requested", at(0, 9.0), 10).await;
    for n in 0..5 {
        books.trade(n, &other(n)).await;
        books.report(n).await;
        books.write("UPDATE refunds SET state = 'refused' WHERE refund_no = 'R-1'").await;
        books.write("UPDATE payments SET state = 'closed' WHERE out_trade_no = 'SO-1'").await;
    }
    assert_eq!(books.open_cases().await, []);
}
