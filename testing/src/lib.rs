//! What the tests of several packages stand on: a place for a ledger on either of its engines, a shop over it, bills
//! of its bank, a server that does what its script says, waiting for what must come, and the macro that runs a claim on every engine.
//!
//! A dev-dependency, never a dependency. Everything here panics when it does not work, since no test could go on. What
//! only one test target needs stays with that target; the servers themselves are in `servers/`.

mod attempt;
pub mod bills;
mod place;
pub mod script;
mod shop;
pub mod wait;

use windlass_engine::Timestamp;

pub use attempt::attempt;
pub use place::{Engine, Place};
pub use shop::TestShop;

/// 2026-01-05 12:00 in Beijing: when tests begin.
pub const NOON: Timestamp = Timestamp::from_secs(1_767_585_600);

/// Makes a test of each claim, an `async fn(Engine)` beside it, for each engine of the ledger.
#[macro_export]
macro_rules! on_every_engine {
    ($($claim:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim($crate::Engine::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim($crate::Engine::Postgres).await;
                }
            )*
        }
    };
}
