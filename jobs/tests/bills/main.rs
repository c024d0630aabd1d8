//! Bills of WeChat Pay: the parser on made and on real files, the files in the ledger, and the job that fetches
//! them from a scripted bank on a real socket.
//!
//! A claim is an `async fn(Engine)`; `on_every_engine!` makes a test of it for each engine of the ledger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Makes a test of each claim for each engine.
macro_rules! on_every_engine {
    ($($claim:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim(crate::place::Engine::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim(crate::place::Engine::Postgres).await;
                }
            )*
        }
    };
}

mod bank;
mod fetched;
mod files;
mod made;
mod parsed;
#[path = "../ledger_platform/place.rs"]
#[allow(dead_code, reason = "shared with the tests of the ledger")]
mod place;
#[path = "../clients/script.rs"]
#[allow(dead_code, reason = "shared with the tests of the clients")]
mod script;
mod settled;
mod stored;
