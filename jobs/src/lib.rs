pub mod callback;
pub mod ledger;
pub mod outbox;
