//! The net under the way: jobs that died or were taken away come back.

use windlass_engine::gate::Pause;
use windlass_engine::store::{Action, Filter, Store};
use windlass_jobs::orders::OrderState;

use crate::town::Town;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_job_was_taken_away_is_done_all_the_same() {
    let town = Town::calm().await;
    let store = town.house().store.clone();
    let pause =
        Pause { by: "test".to_owned(), reason: "to catch the job".to_owned(), at: town.ground.clock.now() };
    store.pause("haier", Some(pause)).await.expect("paused");
    town.order("SO-8001", &["FAKE00001"], Some(5)).await;
    town.until("SO-8001", OrderState::Paid).await;

    let filter = Filter { kind: Some("check_supply".to_owned()), limit: 10, ..Filter::default() };
    let waiting = loop {
        let jobs = store.list(filter.clone()).await.expect("listed").jobs;
        if !jobs.is_empty() {
            break jobs;
        }
        tokio::task::yield_now().await;
    };
    store.act(Action::Cancel, waiting.into_iter().map(|job| job.id).collect()).await.expect("cancelled");
    store.pause("haier", None).await.expect("resumed");

    town.until("SO-8001", OrderState::Completed).await;
    town.until_ended(1).await;
    town.assert_books_agree().await;
}
