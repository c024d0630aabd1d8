//! The synthetic bills of the shared data, where they are there: four payments of ours that they have, and nothing
//! invented.

use std::path::Path;

use windlass_jobs::payments::bill::BillType;
use windlass_testing::{Engine, on_every_engine};

use crate::books::{Books, case};

on_every_engine! {
    the_synthetic_day_agrees_with_itself,
}

async fn the_synthetic_day_agrees_with_itself(engine: Engine) {
    // Beside the repository, whose folder is two above this crate's.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wechat-bills");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let (Some(trade), Some(fund)) =
        (read("synthetic-2026-01-05-all.csv"), read("synthetic-2026-01-05-fundflow.csv"))
    else {
        return;
    };
    let books = Books::open(engine).await;
    let day = crate::books::day(0);
    books.file(day, BillType::Trade, &trade).await;
    books.file(day, BillType::Fund, &fund).await;
    let report = books.report(0).await;
    let funds = report.funds.clone().unwrap();
    assert_eq!(funds.ours, funds.matched, "{funds:?}");
    // Our books are empty: every payment is long, every refund extra, and the fees and the balance are right.
    let open = books.open_cases().await;
    assert!(open.iter().all(|(kind, _)| ["long", "extra_refund"].contains(kind)), "{open:?}");
    assert!(open.contains(&case("extra_refund", "T20260104000009-R1")), "{open:?}");
    assert_eq!(report.payments.theirs.count + report.refunds.theirs.count, 8);
}
