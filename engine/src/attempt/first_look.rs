//! Where an attempt runs: in place, or in a task of its own.
//!
//! The attempts of one apalis worker share one task, and so one core, unless each gets its own. That costs more than a
//! short job does. So where attempts end or begin to wait within moments, as most do that call somebody outside, the
//! first look at each is taken in place, and only what is not over then gets a task. One that takes its time holds the
//! others of its queue up once, and sends those after it into tasks until looks are short again.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

/// A look that takes longer is not short.
const SHORT: Duration = Duration::from_micros(200);
/// Short looks in a row after which they are taken in place.
const STREAK: u32 = 64;

/// How the first looks at the attempts of one queue went of late.
#[derive(Default)]
pub(crate) struct FirstLooks {
    short_in_a_row: AtomicU32,
}

impl FirstLooks {
    /// Runs the attempt to its end.
    pub(crate) async fn see_through(self: Arc<Self>, mut attempt: BoxFuture<'static, ()>) {
        let in_place = self.short_in_a_row.load(Ordering::Relaxed) >= STREAK;
        if in_place && self.look_at(&mut attempt).await {
            return;
        }
        let rest = async move {
            if in_place || !self.look_at(&mut attempt).await {
                attempt.await;
            }
        };
        if let Err(error) = tokio::spawn(rest).await {
            tracing::error!(%error, "an attempt ended without saying how; its lease will run out");
        }
    }

    /// Whether it is over after it.
    async fn look_at(&self, attempt: &mut BoxFuture<'static, ()>) -> bool {
        let began = Instant::now();
        let over = poll_fn(|cx| Poll::Ready(attempt.as_mut().poll(cx).is_ready())).await;
        if began.elapsed() > SHORT {
            self.short_in_a_row.store(0, Ordering::Relaxed);
        } else if self.short_in_a_row.load(Ordering::Relaxed) < STREAK {
            self.short_in_a_row.fetch_add(1, Ordering::Relaxed);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;

    use futures_util::FutureExt;
    use futures_util::future::join;

    use super::*;

    /// Whether an attempt that ends at once ran in the task that sees it through.
    async fn ran_in_place(looks: &Arc<FirstLooks>) -> bool {
        let (here, in_place) = (tokio::task::id(), Arc::new(AtomicBool::new(false)));
        let tell = in_place.clone();
        let attempt = async move { tell.store(tokio::task::id() == here, Ordering::Relaxed) };
        looks.clone().see_through(attempt.boxed()).await;
        in_place.load(Ordering::Relaxed)
    }

    /// In a task, as apalis runs it.
    async fn in_a_task(test: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(test).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn short_attempts_run_in_place_until_one_takes_its_time() {
        in_a_task(async {
            let looks = Arc::new(FirstLooks::default());
            assert!(!ran_in_place(&looks).await, "nothing is known of them yet");
            looks.short_in_a_row.store(STREAK, Ordering::Relaxed);
            assert!(ran_in_place(&looks).await);
            let slow = async { std::thread::sleep(SHORT * 5) };
            looks.clone().see_through(slow.boxed()).await;
            assert!(!ran_in_place(&looks).await, "whoever comes after it must not wait for its like");
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_attempt_that_waits_goes_on_in_a_task_of_its_own() {
        in_a_task(async {
            let looks = Arc::new(FirstLooks::default());
            looks.short_in_a_row.store(STREAK, Ordering::Relaxed);
            let here = tokio::task::id();
            let attempt = async move {
                assert_eq!(tokio::task::id(), here, "it began in place");
                tokio::time::sleep(Duration::from_millis(1)).await;
                assert_ne!(tokio::task::id(), here);
            };
            looks.see_through(attempt.boxed()).await;
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn attempts_that_block_their_thread_do_not_hold_each_other_up() {
        in_a_task(async {
            let (looks, both) = (Arc::new(FirstLooks::default()), Arc::new(Barrier::new(2)));
            let block = |both: Arc<Barrier>| {
                let attempt = async move {
                    both.wait();
                };
                looks.clone().see_through(attempt.boxed())
            };
            join(block(both.clone()), block(both)).await;
        })
        .await;
    }
}
