//! The flow of funds beside the trade bill.

use windlass_jobs::findings::FindingState;
use windlass_jobs::reconciliation::Side;
use windlass_testing::bills::{FundBill, TradeBill};
use windlass_testing::{Engine, on_every_engine};

use crate::books::{Books, at, case};

on_every_engine! {
    every_payment_has_its_income,
    an_income_that_lacks_or_is_another_is_told,
    a_balance_that_breaks_is_told_once,
    a_payment_before_midnight_may_be_booked_after_it,
    an_income_that_never_comes_is_told_a_day_later,
    a_flow_of_funds_that_does_not_add_up_stops_its_own_leg_alone,
}

/// Three payments of ours on the n-th day, at these hours.
async fn day_of_three(books: &Books, n: u64, hours: [f64; 3]) -> (TradeBill, FundBill) {
    let (mut trade, mut fund) = (TradeBill::default(), FundBill::default());
    for (i, hour) in hours.into_iter().enumerate() {
        let (no, transaction) = (format!("SO-{n}{i}"), format!("42{n}{i}"));
        books.paid(&no, &transaction, at(n, hour), 1_000).await;
        trade = trade.payment(&no, &transaction, at(n, hour), 1_000);
        fund = fund.payment(&transaction, at(n, hour), 1_000);
    }
    (trade, fund)
}

async fn every_payment_has_its_income(engine: Engine) {
    let books = Books::open(engine).await;
    let (trade, fund) = day_of_three(&books, 0, [0.0, 12.0, 23.999]).await;
    books.trade(0, &trade).await;
    assert_eq!(books.report(0).await.funds, None);
    books.fund(0, &fund).await;
    let report = books.report(0).await;
    assert_eq!(report.version, 2, "the flow of funds makes it another comparison");
    let funds = report.funds.unwrap();
    let three = Side { count: 3, sum_fen: 3_000 };
    assert_eq!((funds.ours, funds.theirs, funds.matched), (three, three, three));
    assert_eq!(books.open_cases().await, []);
}

async fn an_income_that_lacks_or_is_another_is_told(engine: Engine) {
    let books = Books::open(engine).await;
    let (trade, _) = day_of_three(&books, 0, [1.0, 2.0, 3.0]).await;
    let fund = FundBill::default()
        .payment("4200", at(0, 1.0), 1_000)
        .payment("4201", at(0, 2.0), 999)
        .payment("4299", at(0, 2.0), 5);
    books.trade(0, &trade).await;
    books.fund(0, &fund).await;
    books.report(0).await;
    assert_eq!(books.open_cases().await, [case("fund_mismatch", "4201"), case("fund_mismatch", "4202")]);
}

async fn a_balance_that_breaks_is_told_once(engine: Engine) {
    let books = Books::open(engine).await;
    let (trade, _) = day_of_three(&books, 0, [1.0, 2.0, 3.0]).await;
    let fund = FundBill::default()
        .payment("4200", at(0, 1.0), 1_000)
        .balance_breaks_by(-300)
        .payment("4201", at(0, 2.0), 1_000)
        .payment("4202", at(0, 3.0), 1_000);
    books.trade(0, &trade).await;
    books.fund(0, &fund).await;
    books.report(0).await;
    assert_eq!(books.open_cases().await, [case("fund_mismatch", "1900000001:2026-01-05:balance")]);
}

async fn a_payment_before_midnight_may_be_booked_after_it(engine: Engine) {
    let books = Books::open(engine).await;
    let (trade, _) = day_of_three(&books, 0, [1.0, 2.0, 23.99]).await;
    let fund = FundBill::default().payment("4200", at(0, 1.0), 1_000).payment("4201", at(0, 2.0), 1_000);
    books.trade(0, &trade).await;
    books.fund(0, &fund).await;
    assert_eq!(books.report(0).await.funds.unwrap().carried.count, 1);
    let (trade, fund) = day_of_three(&books, 1, [1.0, 2.0, 3.0]).await;
    books.trade(1, &trade).await;
    books.fund(1, &fund.payment("4202", at(1, 0.001), 1_000)).await;
    assert_eq!(books.report(1).await.funds.unwrap().of_other_days.count, 1);
    assert_eq!(books.open_cases().await, []);
}

async fn an_income_that_never_comes_is_told_a_day_later(engine: Engine) {
    let books = Books::open(engine).await;
    let (trade, _) = day_of_three(&books, 0, [1.0, 2.0, 23.99]).await;
    let fund = FundBill::default().payment("4200", at(0, 1.0), 1_000).payment("4201", at(0, 2.0), 1_000);
    books.trade(0, &trade).await;
    books.fund(0, &fund).await;
    books.report(0).await;
    let (trade, next) = day_of_three(&books, 1, [1.0, 2.0, 3.0]).await;
    books.trade(1, &trade).await;
    books.report(1).await;
    assert_eq!(books.open_cases().await, [], "the next flow of funds is not there yet");
    books.fund(1, &next).await;
    books.report(1).await;
    assert_eq!(books.open_cases().await, [case("fund_mismatch", "4202")]);
    books.fund(0, &fund.payment("4202", at(0, 23.99), 1_000)).await;
    books.report(0).await;
    assert_eq!(books.cases(FindingState::Superseded).await, [case("fund_mismatch", "4202")]);
}

async fn a_flow_of_funds_that_does_not_add_up_stops_its_own_leg_alone(engine: Engine) {
    let books = Books::open(engine).await;
    let (trade, fund) = day_of_three(&books, 0, [1.0, 2.0, 3.0]).await;
    books.trade(0, &trade).await;
    books.fund(0, &fund.summary_off_by(1)).await;
    let report = books.report(0).await;
    assert_eq!((report.payments.matched.count, report.funds), (3, None));
    assert_eq!(books.open_cases().await, [case("summary_mismatch", "1900000001:2026-01-05:fund")]);
}
