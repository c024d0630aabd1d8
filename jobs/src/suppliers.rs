//! The suppliers: Haier's open platform (what may be bought, at what price) and YLH (orders).

pub mod haier;
pub mod ylh;
