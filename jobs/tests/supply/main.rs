//! The catalogue, the balances and the tokens against the simulated Haier: the real jobs in real queues, with the ledger
//! in a file and in PostgreSQL.

/// Makes a test of each claim for each engine of the ledger.
macro_rules! on_every_engine {
    ($($claim:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    super::$claim(crate::site::Engine::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    super::$claim(crate::site::Engine::Postgres).await;
                }
            )*
        }
    };
}

mod site;

mod balances;
mod odd_answers;
mod runs;
mod stock;
mod tokens;
mod whole_catalogue;
