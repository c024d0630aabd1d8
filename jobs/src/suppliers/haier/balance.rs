//! What is left on the payer accounts (facts: haier.md 8).

use serde::Deserialize;
use serde_json::json;

use super::{Haier, wire};
use crate::money::{Decimal, Fen};
use crate::outside::OutsideError;
use crate::outside::lenient::text;

const BALANCE_PATH: &str = "/yilihuo/jsh-service-finance-mall/api/page/account/account-balance-manager/get-payer-account-balance-by-customer-code";

/// The balance of one sales organisation and payer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayerBalance {
    pub sale_group_code: String,
    pub sale_group_name: String,
    pub payer_account_code: String,
    pub balance: Fen,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(default, deserialize_with = "text")]
    sale_group_code: String,
    #[serde(default, deserialize_with = "text")]
    sale_group_name: String,
    #[serde(default, deserialize_with = "text")]
    payer_account_code: String,
    payer_account_balance: Decimal,
}

impl Haier {
    /// # Errors
    /// As every read.
    pub async fn balance(&self) -> Result<Vec<PayerBalance>, OutsideError> {
        let settings = &self.settings;
        let call = self.call("balance");
        let body = json!({
            "customerCode": settings.customer_code,
            "customerPassword": settings.customer_password.expose(),
        });
        let url = settings.url(settings.overrides.balance.as_ref(), BALANCE_PATH);
        let data = self.ask(&call, &url, &body).await?;
        let rows: Vec<Row> = wire::rows(&call, &data)?;
        let read = |row: Row| {
            let balance = row.payer_account_balance.to_fen_half_up();
            Ok(PayerBalance {
                sale_group_code: row.sale_group_code,
                sale_group_name: row.sale_group_name,
                payer_account_code: row.payer_account_code,
                balance: balance.map_err(|error| call.lost(&format!("balance: {error}")))?,
            })
        };
        rows.into_iter().map(read).collect()
    }
}
