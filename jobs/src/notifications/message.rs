//! What each template may speak of: a struct a template. Amounts are texts for people (`¥1299.99`), instants are on
//! Beijing's clock.
//!
//! A message to a customer is made from the order when it is sent ([`super::facts`]); one to the shop is stored as
//! JSON when it is decided, so that it says the same however often it is tried.

use serde::{Deserialize, Serialize};

use super::Template;

/// A struct that one template speaks of.
pub trait Message: Serialize {
    const TEMPLATE: Template;
}

macro_rules! messages {
    ($($name:ident),* $(,)?) => {
        $(impl Message for $name { const TEMPLATE: Template = Template::$name; })*
    };
}

messages!(
    OrderPaid,
    OrderShipped,
    ReceiptReminder,
    OrderCompleted,
    OrderCancelled,
    OrderRefused,
    RefundMade,
    DailySummary,
    FindingsRaised,
);

/// What every message about an order may speak of.
#[derive(Clone, Debug, Serialize)]
pub struct AboutOrder {
    pub order_no: String,
    pub customer_name: String,
    /// The first product, and how many there are: `电热水器 等3件`.
    pub products: String,
    pub lines: Vec<Line>,
    /// What the order cost.
    pub total: String,
    /// When it was decided that the customer is told.
    pub time: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub name: String,
    pub quantity: i64,
    pub unit_price: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderPaid {
    #[serde(flatten)]
    pub order: AboutOrder,
    /// What was paid.
    pub amount: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderShipped {
    #[serde(flatten)]
    pub order: AboutOrder,
    /// Of the first parcel.
    pub carrier: String,
    pub tracking_no: String,
    pub parcels: Vec<Parcel>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Parcel {
    pub carrier: String,
    pub tracking_no: String,
}

/// The goods are there, and the customer has not said so.
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptReminder {
    #[serde(flatten)]
    pub order: AboutOrder,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderCompleted {
    #[serde(flatten)]
    pub order: AboutOrder,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderCancelled {
    #[serde(flatten)]
    pub order: AboutOrder,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderRefused {
    #[serde(flatten)]
    pub order: AboutOrder,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct RefundMade {
    #[serde(flatten)]
    pub order: AboutOrder,
    pub refund_no: String,
    /// What went back.
    pub amount: String,
    pub reason: String,
}

/// How yesterday was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DailySummary {
    /// `2026-11-21`, from midnight to midnight in Beijing.
    pub day: String,
    pub orders: DayOfOrders,
    pub money: DayOfMoney,
    pub refunds_open: RefundsOpen,
    pub findings: Vec<FindingsOfType>,
    /// Jobs that ended without success and were not cleared away.
    pub dead_jobs: DeadJobsByKind,
    pub effects_in_doubt: Vec<Counted>,
    pub balances: Vec<Balance>,
    /// The reconciliations that were made of the day before; empty: none is known.
    pub reconciliations: Vec<Reconciled>,
    /// Nothing in it wants a person.
    pub is_quiet: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub name: String,
    pub count: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayOfOrders {
    /// Handed in on the day.
    pub placed: i64,
    /// That ended on the day, by state.
    pub ended: Vec<Counted>,
    /// On their way now.
    pub open: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayOfMoney {
    pub paid: String,
    pub paid_count: i64,
    pub refunded: String,
    pub refunded_count: i64,
    pub net: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundsOpen {
    pub count: i64,
    pub amount: String,
    /// When the oldest was asked for.
    pub oldest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsOfType {
    pub name: String,
    /// Raised on the day.
    pub raised: i64,
    /// Not settled now.
    pub open: i64,
    /// When the oldest of those was raised.
    pub oldest: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadJobsByKind {
    pub total: i64,
    pub kinds: Vec<DeadKind>,
    /// False: the queue could not be asked, and only what the ledger knows is counted.
    pub whole: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadKind {
    pub kind: String,
    pub count: i64,
    /// What the newest one died of.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub account: String,
    pub amount: String,
    pub asked: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    pub day: String,
    pub what: String,
    pub state: String,
    pub findings: i64,
}

/// What a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsRaised {
    /// The newest last, at most as many as one mail lists.
    pub findings: Vec<FindingLine>,
    /// Beyond those.
    pub more: i64,
    /// All that are not settled now.
    pub open: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingLine {
    pub id: String,
    pub name: String,
    pub order_no: Option<String>,
    pub amount: Option<String>,
    pub text: String,
    pub raised: String,
}
