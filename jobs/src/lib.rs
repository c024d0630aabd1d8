//! The business: orders, suppliers, payments, notifications.
//!
//! This package cannot reach axum or apalis: what a job needs of the outside it asks of the clients here. Adding a
//! job is one file and one row in [`JOBS`].

pub mod answer;
pub mod by_hand;
pub mod callback;
pub mod diagnostics;
pub mod effect;
pub mod findings;
pub mod housekeeping;
pub mod ledger;
pub mod mini_program;
pub mod money;
pub mod notifications;
pub mod orders;
pub mod outbox;
pub mod outside;
pub mod payments;
pub mod reconciliation;
pub mod settings;
pub mod shop;
pub mod shop_time;
mod stored;
pub mod suppliers;
pub mod token;
mod verdict;

use windlass_engine::JobKind;

pub use settings::Settings;
pub use shop::Shop;

/// Every kind of job that this build runs.
pub static JOBS: &[JobKind<Shop>] = &[
    // The way of an order.
    JobKind::of::<orders::FulfilOrder>(),
    JobKind::of::<payments::QueryPayment>(),
    JobKind::of::<orders::CheckSupply>(),
    JobKind::of::<suppliers::PlaceSupplierOrder>(),
    JobKind::of::<orders::UploadShipping>(),
    JobKind::of::<orders::AnnounceDelivery>(),
    JobKind::of::<orders::RemindReceipt>(),
    JobKind::of::<orders::CompleteOrder>(),
    JobKind::of::<notifications::SendNotification>(),
    JobKind::of::<notifications::webhooks::DeliverWebhook>(),
    // Giving one up.
    JobKind::of::<orders::CancelOrder>(),
    JobKind::of::<suppliers::CancelSupplierOrder>(),
    JobKind::of::<orders::RequestReturn>(),
    JobKind::of::<orders::RefundOrder>(),
    JobKind::of::<payments::RequestRefund>(),
    JobKind::of::<payments::QueryRefund>(),
    // What the outside tells us.
    JobKind::of::<payments::HandlePaymentCallback>(),
    JobKind::of::<payments::HandleRefundCallback>(),
    JobKind::of::<suppliers::HandleSupplierCallback>(),
    // Comparing the books.
    JobKind::of::<reconciliation::ReconcilePayments>(),
    JobKind::of::<reconciliation::HealFinding>(),
    // On a schedule.
    JobKind::of::<orders::ExpireUnpaidOrders>(),
    JobKind::of::<orders::SweepOrders>(),
    JobKind::of::<orders::CompareShipments>(),
    JobKind::of::<suppliers::TrackParcels>(),
    JobKind::of::<suppliers::WatchSupplierOrders>(),
    JobKind::of::<payments::FetchBill>(),
    JobKind::of::<suppliers::SyncProducts>(),
    JobKind::of::<suppliers::SyncPrices>(),
    JobKind::of::<suppliers::SyncStock>(),
    JobKind::of::<suppliers::SyncChunk>(),
    JobKind::of::<suppliers::CheckSupplierBalance>(),
    JobKind::of::<token::RefreshTokens>(),
    JobKind::of::<housekeeping::Prune>(),
    JobKind::of::<housekeeping::BackupCheck>(),
    JobKind::of::<notifications::DailySummary>(),
    JobKind::of::<notifications::TellFindings>(),
    // To try the platform itself.
    JobKind::of::<diagnostics::Noop>(),
    JobKind::of::<diagnostics::Sleep>(),
    JobKind::of::<diagnostics::Flaky>(),
    JobKind::of::<diagnostics::Panic>(),
];

#[cfg(test)]
mod tests {
    use windlass_engine::{AcceptedBy, JobTable};

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_schema_of_an_object() {
        let table = JobTable::new(JOBS);
        for kind in table.iter() {
            let schema = (kind.schema)().to_value();
            assert_eq!(schema["type"], "object", "{}", kind.name);
            assert_eq!(schema["additionalProperties"], false, "{} takes unknown fields", kind.name);
        }
    }

    #[test]
    fn kinds_that_carry_orders_or_money_are_accepted_by_the_ledger() {
        let table = JobTable::new(JOBS);
        for name in [
            "fulfil_order",
            "cancel_order",
            "request_return",
            "refund_order",
            "request_refund",
            "send_notification",
            "deliver_webhook",
            "handle_payment_callback",
            "handle_refund_callback",
            "handle_supplier_callback",
            "reconcile_payments",
            "heal_finding",
        ] {
            let kind = table.get(name).expect("the kind is in the table");
            assert_eq!(kind.accepted_by, AcceptedBy::Ledger, "{name}");
        }
    }
}
