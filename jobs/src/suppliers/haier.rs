//! Haier's open platform: what may be bought, its price, its stock, where a delivery is, what balance is left.
//!
//! Five reads and a token; all are safe to repeat (facts: haier.md). What the shop keeps of the answers, and
//! when it asks, is the jobs' affair. "Not known" never becomes "not for sale" or "none in stock" here.

mod balance;
mod catalogue;
mod logistics;
mod settings;
mod stock;
mod token;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use serde::Serialize;
use serde_json::value::RawValue;

pub use balance::PayerBalance;
pub use catalogue::{ByCode, PRODUCT_CODES_MAX, Price, Product, Unasked};
pub use logistics::{Parcel, ParcelState};
pub use settings::{HaierCalls, HaierSettings};
pub use stock::{Stock, StockRow};

use crate::outside::{Call, Http, OutsideError, System};
use crate::token::{Attempt, Kept, Tokens, with_token};
use token::HaierTokens;

/// The client of one account at Haier.
#[derive(Clone)]
pub struct Haier {
    http: Http,
    tokens: Tokens,
    source: Arc<HaierTokens>,
    settings: Arc<HaierSettings>,
}

impl Haier {
    pub fn new(http: Http, tokens: Tokens, settings: HaierSettings) -> Self {
        let settings = Arc::new(settings);
        let source = Arc::new(HaierTokens::new(http.clone(), settings.clone()));
        Self { http, tokens, source, settings }
    }

    /// Replaces the token when it would need it within `ahead`, and it is in use ([`Tokens::keep_alive`]).
    ///
    /// # Errors
    /// When a new one cannot be had.
    pub async fn keep_token(&self, ahead: Duration) -> Result<Kept, OutsideError> {
        self.tokens.keep_alive(&*self.source, ahead).await
    }

    fn call(&self, name: &'static str) -> Call {
        let settings = &self.settings;
        Call::read(System::Haier, name, settings.call_timeout).hiding([
            settings.client_secret.expose(),
            settings.password.expose(),
            settings.seller_password.expose(),
            settings.customer_password.expose(),
        ])
    }

    /// Posts `body` and opens the envelope; a refused token is replaced once (facts: haier.md 3).
    async fn ask(
        &self,
        call: &Call,
        url: &str,
        body: &impl Serialize,
    ) -> Result<Box<RawValue>, OutsideError> {
        let work = async {
            with_token(&self.tokens, &*self.source, async |token| {
                let mut call = call.clone();
                call.hide.push(token.value.expose().to_owned());
                // Raw, without "Bearer" (facts: haier.md 2).
                let request = self.http.post(url).header(AUTHORIZATION, token.value.expose()).json(body);
                let answer = self.http.exchange(&call, request).await?;
                if matches!(answer.status, 401 | 403) {
                    let code = format!("http_{}", answer.status);
                    return Err(Attempt::TokenRefused(call.misconfigured(&code, &answer.text())));
                }
                call.judge_status(&answer, self.http.clock())?;
                Ok(wire::open_envelope(&call, &answer, &self.settings)?)
            })
            .await
        };
        self.http.measured(call, work).await
    }
}
