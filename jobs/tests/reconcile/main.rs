//! Bills beside the books, on a real SQLite and a real PostgreSQL: what is found, carried, superseded, refused, and
//! what a kill leaves.

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

#[cfg(test)]
mod bills;
#[cfg(test)]
mod books;
#[cfg(test)]
mod carry;
#[cfg(test)]
mod funds;
#[cfg(test)]
mod kills;
#[cfg(test)]
#[path = "../ledger_platform/place.rs"]
mod place;
#[cfg(test)]
mod real_files;
#[cfg(test)]
mod types;
#[cfg(test)]
mod versions;
