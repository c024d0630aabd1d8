//! Money from and to customers.

pub mod wechat_pay;
