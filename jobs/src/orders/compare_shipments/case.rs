//! What a comparison found, as cases: raised under the order's lock, and over when a later look agrees.

use serde_json::{Value, json};
use windlass_engine::JobError;

use super::{Difference, Night, Ours, count};
use crate::findings::{FindingType, finding_id};
use crate::mini_program::ShippedOrder;
use crate::orders::change::{Case, Change};
use crate::orders::upload_shipping::upload_key;

/// Cases of one type that are looked at again.
const UNSETTLED_MAX: i64 = 1_000;

impl Night<'_> {
    /// Makes a case of it, unless the order's upload moved on meanwhile.
    pub(super) async fn raise(
        &mut self,
        row: &Ours,
        difference: Difference,
        theirs: Option<&ShippedOrder>,
    ) -> Result<(), JobError> {
        let mut change = Change::begin(self.shop, self.job, &row.order_no).await?;
        let upload: Option<(String, i64)> =
            sqlx::query_as("SELECT state, tries FROM shipping_uploads WHERE order_no = $1")
                .bind(&row.order_no)
                .fetch_optional(change.tx().conn())
                .await?;
        let (state, tries) = upload.unwrap_or_default();
        if state != row.upload {
            count("same");
            return Ok(());
        }
        let evidence = json!({
            "day": self.day.to_string(),
            "transaction_id": row.transaction_id,
            "wechat": theirs.map(|order| format!("{:?}", order.state)),
            "parcels": theirs.map(|order| {
                order.parcels.iter().map(|parcel| parcel.tracking_no.clone()).collect::<Vec<_>>()
            }),
        });
        let case = |kind, key, why| Case::new(kind, key, why).data(evidence.clone());
        let kind = match difference {
            Difference::ShipmentMissing => {
                let key = upload_key(&row.order_no, tries);
                let why = "WeChat took the shipment and does not have it, so the money stays frozen: look there, then \
                           settle the upload";
                let note = "WeChat lists the order as not shipped";
                sqlx::query(
                    "UPDATE shipping_uploads SET state = 'needs_person', note = $1, touched_at = $2 \
                     WHERE order_no = $3 AND state = 'uploaded'",
                )
                .bind(note)
                .bind(change.now().micros())
                .bind(&row.order_no)
                .execute(change.tx().conn())
                .await?;
                change.event("shipping_upload", "needs_person", json!({ "note": note })).await?;
                change.needs_person(case(FindingType::ShipmentMissing, &key, why)).await?;
                self.remember(FindingType::ShipmentMissing, &key)
            }
            Difference::ShipmentUnknown => {
                let why = "WeChat has a shipment of this order that was not uploaded from here: find out who shipped \
                           what, before the order's own parcels use up the one change that WeChat allows";
                change.needs_person(case(FindingType::ShipmentUnknown, &row.order_no, why)).await?;
                self.remember(FindingType::ShipmentUnknown, &row.order_no)
            }
            Difference::PaymentUnlisted => {
                let why = "WeChat's shipping does not know this payment, so its shipment will be refused: look whether \
                           it was paid in this mini-program and to this merchant";
                change.needs_person(case(FindingType::PaymentUnlisted, &row.order_no, why)).await?;
                self.remember(FindingType::PaymentUnlisted, &row.order_no)
            }
        };
        change.commit().await?;
        count(kind);
        Ok(())
    }

    pub(super) fn remember(&mut self, kind: FindingType, key: &str) -> &'static str {
        self.found.entry(kind.as_str()).or_default().push(finding_id(kind, key));
        kind.as_str()
    }

    /// Cases of this day that this look no longer finds are over. A lost shipment stays with whoever settles the upload,
    /// and money with the reconciliation.
    pub(super) async fn close_what_is_over(&self) -> Result<(), JobError> {
        if self.not_looked_at > 0 {
            return Ok(());
        }
        for kind in [FindingType::ShipmentUnknown, FindingType::PaymentUnlisted] {
            let still = self.found.get(kind.as_str()).map(Vec::as_slice).unwrap_or_default();
            let open: Vec<(String, String)> = sqlx::query_as(
                "SELECT id, evidence FROM findings WHERE type = $1 AND settled_at IS NULL \
                 ORDER BY raised_at, id LIMIT $2",
            )
            .bind(kind.as_str())
            .bind(UNSETTLED_MAX)
            .fetch_all(self.shop.ledger.reads())
            .await?;
            let is_of_the_day = |evidence: &str| {
                let evidence: Value = serde_json::from_str(evidence).unwrap_or_default();
                evidence["day"] == self.day.to_string()
            };
            let over: Vec<&String> = open
                .iter()
                .filter(|(id, evidence)| is_of_the_day(evidence) && !still.contains(id))
                .map(|(id, _)| id)
                .collect();
            if over.is_empty() {
                continue;
            }
            let mut tx = self.shop.ledger.begin().await?;
            tx.on_behalf_of(self.job.id());
            for id in over {
                tx.supersede_finding(id, self.job.id().as_str(), "a later list of WeChat's agrees").await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}
