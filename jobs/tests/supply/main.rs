//! The catalogue, the balances and the tokens against the simulated Haier: the real jobs in real queues, with the ledger
//! in a file and in PostgreSQL.

mod site;

mod balances;
mod odd_answers;
mod runs;
mod stock;
mod tokens;
mod whole_catalogue;
