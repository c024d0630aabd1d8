//! The business: orders, suppliers, payments, notifications.
//!
//! This package cannot reach axum or apalis: what a job needs of the outside it asks of the clients here.

pub mod callback;
pub mod effect;
pub mod ledger;
pub mod mini_program;
pub mod money;
pub mod notifications;
pub mod outbox;
pub mod outside;
pub mod payments;
pub mod shop_time;
pub mod suppliers;
pub mod token;
