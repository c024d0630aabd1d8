//! A try that is cut off anywhere, and another that goes on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use windlass_jobs::reconciliation::{Compared, compare};
use windlass_testing::bills::{FundBill, TradeBill};
use windlass_testing::{Engine, on_every_engine};

use crate::books::{Books, at};

on_every_engine! {
    a_comparison_that_is_cut_off_anywhere_comes_to_the_same,
}

/// Runs a future until it has been polled so often, and drops it.
struct Cut<F> {
    work: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.work.as_mut().poll(context).map(Some)
    }
}

/// Of everything a little, over two days.
async fn differing(engine: Engine) -> Books {
    let books = Books::open(engine).await;
    books.paid("SO-0", "4200", at(0, 1.0), 700).await;
    books.order("SO-1", "pending", "paying", 700, None).await;
    books.paid("SO-2", "4202", at(0, 2.0), 801).await;
    books.paid("SO-3", "4203", at(0, 23.9), 100).await;
    books.paid("SO-4", "4204", at(1, 0.1), 100).await;
    books.refund("SO-0", "R-1", "accepted", at(0, 3.0), 10).await;
    let bill = TradeBill::default()
        .payment("SO-0", "4200", at(0, 1.0), 700)
        .payment("SO-1", "4201", at(0, 1.5), 700)
        .payment("SO-2", "4202", at(0, 2.0), 800)
        .payment("SO-4", "4204", at(0, 23.99), 100)
        .payment("XX-1", "4205", at(0, 3.0), 900)
        .refund("SO-0", "4200", "R-2", at(0, 3.0), 10)
        .garbage("`what");
    books.trade(0, &bill).await;
    books.fund(0, &FundBill::default().payment("4200", at(0, 1.0), 700)).await;
    books
}

/// Cases with their states, carries, heals: everything that a comparison leaves but the number of its tries.
async fn left_by(books: &Books) -> String {
    let cases: Vec<(String, String, String)> =
        sqlx::query_as("SELECT type, key, state FROM findings ORDER BY id")
            .fetch_all(books.ledger.reads())
            .await
            .unwrap();
    let carries: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT kind, key, state, matched_day FROM carries ORDER BY kind, key")
            .fetch_all(books.ledger.reads())
            .await
            .unwrap();
    let ties: Vec<(String, String)> =
        sqlx::query_as("SELECT reconciliation_id, finding_id FROM reconciliation_findings ORDER BY 1, 2")
            .fetch_all(books.ledger.reads())
            .await
            .unwrap();
    format!("{cases:#?}\n{carries:#?}\n{ties:#?}\n{}", books.heals().await)
}

async fn a_comparison_that_is_cut_off_anywhere_comes_to_the_same(engine: Engine) {
    let whole = differing(engine).await;
    let expected = whole.report(0).await;
    let left = left_by(&whole).await;
    let (books, mut tries, mut step) = (differing(engine).await, 0, 1);
    let report = loop {
        let wanted = books.wanted(0);
        let work = Box::pin(compare(&books.ledger, &wanted));
        match (Cut { work, polls: step }).await {
            Some(Ok(Compared::Done(report))) => break report,
            Some(other) => panic!("{other:?}"),
            None => (tries, step) = (tries + 1, step + 3),
        }
    };
    assert!(tries > 10, "it was cut off {tries} times");
    assert_eq!(left_by(&books).await, left);
    let timeless = |mut report: windlass_jobs::reconciliation::Report| {
        (report.seconds, report.open.oldest_raised_at) = (0.0, None);
        report.trade.as_mut().unwrap().id.clear();
        report.fund.as_mut().unwrap().id.clear();
        report
    };
    assert_eq!(timeless(*report), timeless(expected));
}
