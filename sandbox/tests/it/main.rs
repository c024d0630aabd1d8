//! The sandbox as a client meets it: over its sockets, with requests written by hand from the fact sheets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bills;
mod control;
mod faults;
mod haier;
mod journal;
mod mail;
mod mini_program;
mod mischief;
mod plants;
mod shop;
mod webhooks;
mod wechat_pay;
mod ylh;
