//! Another system of the shop's that is told of orders: a receiver of the sandbox's, which believes nothing without a
//! signature and counts what it takes by its id, and its endpoint in the shop's books.
//!
//! The endpoint outlives a demo that is killed. Where its receiver listens and which secrets it knows do not, so every start
//! gives the endpoint its address and a new secret before anything is sent. What was heard beside what was told stands among
//! the effects; here is only what no count shows.

use anyhow::Context;
use serde_json::json;
use windlass_jobs::Shop;
use windlass_jobs::notifications::webhooks::{self, NewEndpoint};

use super::standing::Desks;
use crate::cli::api::{Api, segment};

/// Of the receiver, and of its endpoint.
const NAME: &str = "crm";
const WHO: &str = "the demo";
/// All that happens to orders.
const TYPES: &str = "order.*";

/// Subscribes the receiver, and answers its endpoint.
///
/// # Errors
/// When the ledger or the sandbox does not take it.
pub async fn subscribe(shop: &Shop, sandbox: &Api, control: &str) -> anyhow::Result<String> {
    let url = format!("{control}/webhooks/{NAME}");
    let known = webhooks::endpoints(shop).await?.into_iter().find(|known| known.description == NAME);
    let (endpoint, secret) = match known {
        Some(known) => {
            webhooks::relocate(shop, &known.id, &url, WHO).await?;
            webhooks::rotate(shop, &known.id, WHO).await?
        }
        None => {
            let new = NewEndpoint { url, description: NAME.to_owned(), types: vec![TYPES.to_owned()] };
            webhooks::create(shop, &new, WHO).await?
        }
    };
    let manner = json!({ "secrets": [secret.expose()] });
    sandbox
        .post(&format!("/control/webhooks/{NAME}"), &manner)
        .await
        .context("the sandbox makes no receiver of webhooks")?;
    Ok(endpoint.id)
}

/// What the other system was not told, or did not believe, in words; empty: nothing.
///
/// # Errors
/// When either side does not answer.
pub async fn unheard(desks: &Desks, endpoint: &str) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for state in ["queued", "failed", "dropped"] {
        let path = format!("/v1/webhooks/{}/deliveries", segment(endpoint));
        let page = desks.shop.get(&path, &[("state", state), ("limit", "1")]).await?;
        if let Some(first) = page["deliveries"].as_array().and_then(|rows| rows.first()) {
            faults.push(format!("the other system was not told of everything: {first} is {state}"));
        }
    }
    let came = desks.sandbox.get(&format!("/webhooks/{NAME}"), &[]).await?;
    let refused = came["refused"].as_array().map(Vec::as_slice).unwrap_or_default();
    let why = refused.first().map(|refused| refused["why"].as_str().unwrap_or_default());
    faults.extend(why.map(|why| format!("the other system did not believe a webhook: {why}")));
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use windlass_jobs::notifications::webhooks::EventType;

    use super::*;

    #[test]
    fn the_other_system_is_told_of_every_event_of_an_order() {
        assert!(EventType::is_known(TYPES));
        let of_orders = EventType::ALL.iter().filter(|kind| kind.as_str().starts_with("order."));
        assert!(of_orders.count() > 3);
    }
}
