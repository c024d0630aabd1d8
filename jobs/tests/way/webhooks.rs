//! Another system of the shop's that is told of orders: it hears of everything that happened, and hears it once by its
//! own count of ids, whatever fails on the way and whenever the process dies.

use std::collections::BTreeSet;

use windlass_jobs::notifications::webhooks::{DELIVERY_ROWS_MAX, NewEndpoint, create, deliveries};
use windlass_testing::{Engine, on_every_engine};

use crate::town::{Plan, Town};

on_every_engine! {
    another_system_hears_of_every_order_through_storm_and_crash,
}

async fn another_system_hears_of_every_order_through_storm_and_crash(engine: Engine) {
    let mut plan = Plan::storm(7);
    plan.settings.webhook_private_addresses = true;
    plan.settings.webhook_retries_s = vec![5; 30];
    let mut town = Town::build(engine, plan).await;
    let endpoint = listen(&town).await;
    for no in ["SO-7001", "SO-7002", "SO-7003"] {
        town.order(no, &["FAKE00001"], Some(10)).await;
    }
    town.cancel("SO-7003").await;
    town.crash().await;
    town.until_ended(3).await;

    let told = town.until_delivered(&endpoint).await;
    let wanted = |no: &str, kind: &str| told.iter().any(|(order, event)| order == no && event == kind);
    for no in ["SO-7001", "SO-7002"] {
        for kind in ["order.paid", "order.shipped", "order.completed"] {
            assert!(wanted(no, kind), "{no} {kind}: {told:?}");
        }
    }
    assert!(wanted("SO-7003", "order.cancelled"), "{told:?}");
    assert_eq!(told.len(), told.iter().collect::<BTreeSet<_>>().len(), "an event has one message");
    let (truth, keys) = town.truth().await;
    let heard = keys.effects.get("webhook.post").map_or(0, std::collections::BTreeMap::len);
    assert_eq!(heard, told.len(), "what we say was delivered, and what came");
    let doubled =
        truth.effects.iter().find(|effect| effect.effect == "webhook.post").map(|effect| effect.doubled);
    assert_eq!(doubled, Some(0));
}

/// An endpoint at the sandbox, whose receiver knows its secret.
async fn listen(town: &Town) -> String {
    let control = town.ground.addresses.control.clone();
    let shop = town.house().shop.clone();
    let url = format!("{control}/webhooks/crm");
    let made = async move {
        let new = NewEndpoint { url, description: String::new(), types: vec!["order.*".to_owned()] };
        create(&shop, &new, "a test").await.expect("made")
    };
    let (endpoint, secret) = town.house().on_runtime(made).await;
    let manner = serde_json::json!({ "secrets": [secret.expose()] });
    town.post(&format!("{control}/control/webhooks/crm"), &manner).await;
    endpoint.id
}

impl Town {
    /// Waits until nothing waits for the endpoint; answers order and type of everything that it was told.
    async fn until_delivered(&self, endpoint: &str) -> Vec<(String, String)> {
        let mut last = Vec::new();
        let found = self
            .look(async || {
                let (shop, endpoint) = (self.house().shop.clone(), endpoint.to_owned());
                let read = async move { deliveries(&shop, &endpoint, None, DELIVERY_ROWS_MAX, None).await };
                last = self.house().on_runtime(read).await.expect("read").deliveries;
                last.iter().all(|row| row.state.as_str() == "delivered").then_some(())
            })
            .await;
        assert!(found.is_some(), "not everything was delivered: {last:#?}");
        last.into_iter().map(|row| (row.order_no, row.event_type)).collect()
    }
}
