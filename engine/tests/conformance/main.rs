//! What every carrier must do, one claim a test, run against each [`Store`](windlass_engine::Store).
//!
//! A claim is an `async fn(&Carrier)`; `on_every_store!` makes a test of it for each carrier and checks the books
//! after it. A new carrier is one more line in that macro. What only one carrier promises (files, locks, crashes)
//! has tests of its own.

/// Makes a test of each claim for each carrier.
macro_rules! on_every_store {
    ($($claim:ident),* $(,)?) => {
        on_every_store!(@on sqlite: $($claim),*);
        on_every_store!(@on redis: $($claim),*);
    };
    (@on $store:ident: $($claim:ident),*) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    let carrier = crate::carrier::Carrier::$store().await;
                    super::$claim(&carrier).await;
                    carrier.assert_balanced().await;
                }
            )*
        }
    };
}

#[cfg(test)]
mod acts;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod carrier;
#[cfg(test)]
mod enqueues;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod model;
#[cfg(test)]
mod records;
#[cfg(test)]
mod reserves;
#[cfg(test)]
mod settles;
