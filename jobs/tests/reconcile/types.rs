//! Every type of finding, each named and none invented.

use windlass_jobs::findings::{FindingFilter, FindingState, FindingType, findings};
use windlass_jobs::reconciliation::{Compared, ReconciliationState, Side, reconciliation};
use windlass_testing::bills::{TradeBill, fee_e5};
use windlass_testing::{Engine, on_every_engine};

use crate::books::{Books, at, case, day};

on_every_engine! {
    books_that_agree_have_no_findings,
    a_payment_that_we_lack_is_long_and_is_sent_to_be_healed_only_when_the_order_is_ours,
    money_for_an_order_that_was_given_up_is_late_pay_and_the_shop_decides_whether_it_heals,
    a_payment_that_is_closed_here_is_a_status,
    amounts_that_differ_are_told_and_never_healed,
    two_transactions_for_one_order_are_a_duplicate_pay,
    refunds_are_compared_by_presence_and_amount,
    a_fee_that_is_not_rate_times_amount_is_told,
    a_row_that_is_there_twice_counts_once,
    a_line_that_cannot_be_read_heals_nothing_and_hides_nothing,
    a_bill_that_does_not_add_up_is_refused_and_says_where,
    a_day_without_a_bill_is_right_only_when_our_books_are_empty,
    beyond_the_bounds_findings_are_counted_and_heals_held_back,
}

async fn books_that_agree_have_no_findings(engine: Engine) {
    let books = Books::open(engine).await;
    let mut bill = TradeBill::default();
    for n in 0..25 {
        let (no, transaction) = (format!("SO-{n}"), format!("42{n}"));
        books.paid(&no, &transaction, at(0, f64::from(n) * 0.9), 1_000 + i64::from(n)).await;
        bill = bill.payment(&no, &transaction, at(0, f64::from(n) * 0.9), 1_000 + i64::from(n));
    }
    books.order("SO-late", "cancelled", "late", 500, Some(("42late", at(0, 1.0)))).await;
    bill = bill.payment("SO-late", "42late", at(0, 1.0), 500);
    for state in ["accepted", "succeeded", "abnormal", "closed"] {
        let refund_no = format!("SO-1-{state}");
        books.refund("SO-1", &refund_no, state, at(0, 3.0), 10).await;
        bill = bill.refund("SO-1", "421", &refund_no, at(0, 3.0), 10);
    }
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    assert_eq!(books.open_cases().await, []);
    assert!(report.findings.is_empty());
    let sum_fen = (0..25).map(|n| 1_000 + n).sum::<i64>() + 500;
    let all = Side { count: 26, sum_fen };
    assert_eq!((report.payments.ours, report.payments.theirs, report.payments.matched), (all, all, all));
    assert_eq!(report.refunds.matched, Side { count: 4, sum_fen: 40 });
    assert_eq!((report.version, report.funds, report.fund), (1, None, None));
    let kept = reconciliation(&books.ledger, day(0), None).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.version), (ReconciliationState::Done, 1));
    assert_eq!(kept.report["payments"]["matched"]["count"], 26);
}

async fn a_payment_that_we_lack_is_long_and_is_sent_to_be_healed_only_when_the_order_is_ours(engine: Engine) {
    let books = Books::open(engine).await;
    books.order("SO-1", "pending", "paying", 700, None).await;
    let bill = TradeBill::default().payment("SO-1", "4201", at(0, 1.0), 700).payment(
        "XX-9",
        "4202",
        at(0, 2.0),
        800,
    );
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    assert_eq!(books.open_cases().await, [case("long", "4201"), case("long", "4202")]);
    assert_eq!((report.heals_sent, books.heals().await), (1, 1));
    let cases = findings(&books.ledger, &FindingFilter::default(), 10, None).await.unwrap().findings;
    let ours = cases.iter().find(|case| case.key == "4201").unwrap();
    assert_eq!((ours.order_no.as_deref(), ours.amount_fen), (Some("SO-1"), Some(700)));
    assert_eq!(ours.evidence["line"], 2);
}

async fn money_for_an_order_that_was_given_up_is_late_pay_and_the_shop_decides_whether_it_heals(
    engine: Engine,
) {
    let mut books = Books::open(engine).await;
    books.settings.reconcile_heals_late_pay = false;
    books.order("SO-1", "cancelled", "closed", 700, None).await;
    books.order("SO-2", "cancelling", "paying", 700, None).await;
    let bill = TradeBill::default().payment("SO-1", "4201", at(0, 1.0), 700).payment(
        "SO-2",
        "4202",
        at(0, 1.0),
        700,
    );
    books.trade(0, &bill).await;
    books.report(0).await;
    assert_eq!(books.open_cases().await, [case("late_pay", "4201"), case("late_pay", "4202")]);
    assert_eq!(books.heals().await, 0);
    books.settings.reconcile_heals_late_pay = true;
    books.trade(0, &bill.payment("XX-1", "4203", at(0, 2.0), 1)).await;
    books.report(0).await;
    assert_eq!(books.heals().await, 2);
}

async fn a_payment_that_is_closed_here_is_a_status(engine: Engine) {
    let books = Books::open(engine).await;
    books.order("SO-1", "pending", "closed", 700, None).await;
    books.trade(0, &TradeBill::default().payment("SO-1", "4201", at(0, 1.0), 700)).await;
    books.report(0).await;
    assert_eq!(books.open_cases().await, [case("status", "4201")]);
    assert_eq!(books.heals().await, 1);
}

async fn amounts_that_differ_are_told_and_never_healed(engine: Engine) {
    let books = Books::open(engine).await;
    books.paid("SO-1", "4201", at(0, 1.0), 700).await;
    books.order("SO-2", "pending", "paying", 700, None).await;
    let bill = TradeBill::default().payment("SO-1", "4201", at(0, 1.0), 701).payment(
        "SO-2",
        "4202",
        at(0, 1.0),
        699,
    );
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    assert_eq!(books.open_cases().await, [case("amount", "4201"), case("long", "4202")]);
    assert_eq!((books.heals().await, report.payments.matched.count), (0, 0));
}

async fn two_transactions_for_one_order_are_a_duplicate_pay(engine: Engine) {
    let books = Books::open(engine).await;
    books.paid("SO-1", "4202", at(0, 1.0), 700).await;
    // Of an earlier day here.
    books.paid("SO-2", "4203", at(0, 1.0), 700).await;
    books.write("UPDATE payments SET paid_at = 0 WHERE out_trade_no = 'SO-2'").await;
    books.order("SO-3", "pending", "paying", 700, None).await;
    let bill = TradeBill::default()
        .payment("SO-1", "4201", at(0, 1.0), 700)
        .payment("SO-1", "4202", at(0, 1.0), 700)
        .payment("SO-2", "4204", at(0, 1.0), 700)
        .payment("SO-3", "4205", at(0, 1.0), 700)
        .payment("SO-3", "4206", at(0, 1.0), 700);
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    let expected = [
        case("duplicate_pay", "4201"),
        case("duplicate_pay", "4204"),
        case("duplicate_pay", "4206"),
        case("long", "4205"),
    ];
    assert_eq!(books.open_cases().await, expected);
    assert_eq!(report.payments.matched, Side { count: 1, sum_fen: 700 });
}

async fn refunds_are_compared_by_presence_and_amount(engine: Engine) {
    let books = Books::open(engine).await;
    books.paid("SO-1", "4201", at(0, 1.0), 700).await;
    for (refund_no, state) in [
        ("R-1", "accepted"),
        ("R-2", "succeeded"),
        ("R-3", "requested"),
        ("R-4", "refused"),
        ("R-6", "closed"),
    ] {
        books.refund("SO-1", refund_no, state, at(0, 2.0), 10).await;
    }
    let bill = TradeBill::default()
        .payment("SO-1", "4201", at(0, 1.0), 700)
        .refund("SO-1", "4201", "R-1", at(0, 2.0), 10)
        .refund("SO-1", "4201", "R-2", at(0, 2.0), 11)
        .refund("SO-1", "4201", "R-3", at(0, 2.0), 10)
        .refund("SO-1", "4201", "R-4", at(0, 2.0), 10)
        .refund("SO-1", "4201", "R-5", at(0, 2.0), 10);
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    let expected =
        [case("amount", "R-2"), case("extra_refund", "R-5"), case("status", "R-3"), case("status", "R-4")];
    assert_eq!(books.open_cases().await, expected);
    assert_eq!(books.heals().await, 1, "only what is not final here");
    assert_eq!((report.refunds.matched.count, report.refunds.carried.count), (3, 0));
}

async fn a_fee_that_is_not_rate_times_amount_is_told(engine: Engine) {
    let books = Books::open(engine).await;
    let mut bill = TradeBill::default();
    for (n, off_fen) in [(1, 0), (2, 1), (3, -1), (4, 2), (5, -7)] {
        let (no, transaction) = (format!("SO-{n}"), format!("420{n}"));
        books.paid(&no, &transaction, at(0, 1.0), 199_999).await;
        let fee = fee_e5(199_999) + off_fen * 1_000;
        bill = bill.payment_with_fee(&no, &transaction, at(0, 1.0), 199_999, fee);
    }
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    assert_eq!(books.open_cases().await, [case("fee", "4204"), case("fee", "4205")]);
    assert_eq!(report.payments.matched.count, 5, "the payment itself is right");
}

async fn a_row_that_is_there_twice_counts_once(engine: Engine) {
    let books = Books::open(engine).await;
    books.paid("SO-1", "4201", at(0, 1.0), 700).await;
    books.refund("SO-1", "R-1", "succeeded", at(0, 2.0), 10).await;
    let bill = TradeBill::default()
        .payment("SO-1", "4201", at(0, 1.0), 700)
        .payment("SO-1", "4201", at(0, 1.0), 700)
        .refund("SO-1", "4201", "R-1", at(0, 2.0), 10)
        .refund("SO-1", "4201", "R-1", at(0, 2.0), 10);
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    let expected = [case("duplicate_row", "2026-01-05:4201"), case("duplicate_row", "2026-01-05:4201:R-1")];
    assert_eq!(books.open_cases().await, expected);
    assert_eq!((report.payments.matched.count, report.refunds.matched.count), (1, 1));
}

async fn a_line_that_cannot_be_read_heals_nothing_and_hides_nothing(engine: Engine) {
    let books = Books::open(engine).await;
    books.order("SO-1", "pending", "paying", 700, None).await;
    let bill = TradeBill::default()
        .garbage("`2026-01-05 10:00:00,`wxfake,`1900000001,`4201,`SO-1,`SUCCESS,`7.00")
        .payment("XX-1", "4202", at(0, 1.0), 700);
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    let open = books.open_cases().await;
    assert_eq!((open.len(), open[0].0, &open[1]), (2, "bad_row", &case("long", "4202")));
    assert_eq!((books.heals().await, report.trade.unwrap().bad_rows), (0, 1));
}

async fn a_bill_that_does_not_add_up_is_refused_and_says_where(engine: Engine) {
    let books = Books::open(engine).await;
    books.order("SO-1", "pending", "paying", 700, None).await;
    let bill = TradeBill::default().payment("SO-1", "4201", at(0, 1.0), 700);
    books.trade(0, &bill.clone().summary_off_by(1)).await;
    let Compared::Refused(reason) = books.compare(0).await else { panic!("it was compared") };
    assert!(reason.contains("订单总金额 is printed as 7.01 and comes to 7.00"), "{reason}");
    let key = "1900000001:2026-01-05:trade";
    assert_eq!(books.open_cases().await, [case("summary_mismatch", key)]);
    assert_eq!(books.heals().await, 0);
    let kept = reconciliation(&books.ledger, day(0), None).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.reason), (ReconciliationState::Refused, reason));
    assert!(matches!(books.compare(0).await, Compared::Before(_)));
    books.trade(0, &bill).await;
    assert_eq!(books.report(0).await.version, 2);
    assert_eq!(books.open_cases().await, [case("long", "4201")]);
    assert_eq!(books.cases(FindingState::Superseded).await, [case("summary_mismatch", key)]);
}

async fn a_day_without_a_bill_is_right_only_when_our_books_are_empty(engine: Engine) {
    let books = Books::open(engine).await;
    assert!(matches!(books.compare(0).await, Compared::NoBill));
    books.no_statement(0).await;
    assert!(matches!(books.compare(0).await, Compared::NoTrade));
    assert_eq!(books.open_cases().await, []);
    books.paid("SO-1", "4201", at(1, 1.0), 700).await;
    books.no_statement(1).await;
    assert!(matches!(books.compare(1).await, Compared::NoTrade));
    assert_eq!(books.open_cases().await, [case("no_statement", "1900000001:2026-01-06:trade")]);
}

async fn beyond_the_bounds_findings_are_counted_and_heals_held_back(engine: Engine) {
    let mut books = Books::open(engine).await;
    (books.settings.reconcile_findings_max, books.settings.reconcile_heals_max) = (5, 2);
    let mut bill = TradeBill::default();
    for n in 0..8 {
        books.order(&format!("SO-{n}"), "pending", "paying", 700, None).await;
        bill = bill.payment(&format!("SO-{n}"), &format!("420{n}"), at(0, 1.0), 700);
    }
    books.trade(0, &bill).await;
    let report = books.report(0).await;
    assert_eq!((report.findings["long"], report.findings_not_raised), (8, 3));
    assert_eq!((report.heals_sent, report.heals_held), (2, 3));
    assert_eq!(books.open_cases().await.len(), 5);
    assert_eq!(books.heals().await, 2);
    let long = FindingFilter { kind: Some(FindingType::Long), ..FindingFilter::default() };
    assert_eq!(findings(&books.ledger, &long, 500, None).await.unwrap().findings.len(), 5);
}
