//! Endpoints: what may be one, and who sees its secret.

use windlass_jobs::Settings;
use windlass_jobs::notifications::webhooks::{
    DeliverWebhook, ENDPOINTS_MAX, NewEndpoint, WebhookError, create, delete, deliveries, endpoint,
    endpoints, relocate, send_test,
};
use windlass_sandbox::Faults;
use windlass_testing::{Engine, on_every_engine};

use crate::desk::{Desk, result};

on_every_engine!(
    an_endpoint_inside_the_network_is_refused_unless_the_shop_allows_it,
    everything_that_is_wrong_with_an_endpoint_is_told_at_once,
    the_secret_is_in_no_row_as_it_is,
    there_are_only_so_many_endpoints,
    what_waits_for_a_deleted_endpoint_is_dropped,
    an_endpoint_that_moved_is_told_at_its_new_address_of_what_waited,
);

fn new(url: &str) -> NewEndpoint {
    NewEndpoint { url: url.to_owned(), description: String::new(), types: Vec::new() }
}

async fn an_endpoint_inside_the_network_is_refused_unless_the_shop_allows_it(engine: Engine) {
    let strict = |settings: &mut Settings| settings.webhook_private_addresses = false;
    let desk = Desk::open_with(engine, Faults::None, |_| {}, strict).await;
    let inside = format!("{}/webhooks/crm", desk.sandbox.addresses().control);
    for bad in [inside.as_str(), "https://169.254.169.254/latest/meta-data", "https://localhost/hook"] {
        let refused = create(&desk.shop, &new(bad), "a test").await.unwrap_err();
        let WebhookError::Bad(faults) = refused else { panic!("{refused}") };
        assert_eq!(faults[0].pointer, "/url");
    }
    // A row from before the shop forbade it, and a name that means an address inside.
    desk.write(
        "INSERT INTO webhook_endpoints (id, url, state, secret, created_at, changed_at) \
         VALUES ('we_old', 'https://localhost:1/', 'enabled', 'x', 0, 0)",
    )
    .await;
    let (made, _) = create(&desk.shop, &new("https://hooks.shop.example/x"), "a test").await.unwrap();
    desk.write("UPDATE webhook_endpoints SET url = 'https://ip6-localhost:1/' WHERE id <> 'we_old'").await;
    let message = send_test(&desk.shop, &made.id, "a test").await.unwrap();
    let job = DeliverWebhook { endpoint: made.id.clone(), message };
    assert!(desk.run(job).await.is_err());
    let page = deliveries(&desk.shop, &made.id, None, 10, None).await.unwrap();
    assert_eq!(page.deliveries[0].status, None);
    assert_eq!(desk.effect("webhook.post").await, (0, 0));
}

async fn everything_that_is_wrong_with_an_endpoint_is_told_at_once(engine: Engine) {
    let desk = Desk::open(engine).await;
    let bad = NewEndpoint {
        url: "ftp://shop.example".to_owned(),
        description: "x".repeat(201),
        types: vec!["order.paid".to_owned(), "order.eaten".to_owned()],
    };
    let Err(WebhookError::Bad(faults)) = create(&desk.shop, &bad, "a test").await else {
        panic!("it was made")
    };
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/url", "/description", "/types/1"]);
    assert!(endpoints(&desk.shop).await.unwrap().is_empty());
}

async fn the_secret_is_in_no_row_as_it_is(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, secret) = create(&desk.shop, &new("https://shop.example/"), "a test").await.unwrap();
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT id, secret FROM webhook_endpoints")
        .fetch_all(desk.shop.ledger.reads())
        .await
        .unwrap();
    assert!(rows.len() == 1 && !rows[0].1.contains(secret.expose().trim_start_matches("whsec_")));
    let told = serde_json::to_string(&made).unwrap();
    assert!(!told.contains(&rows[0].1) && !told.contains(secret.expose()));
    let told = format!("{secret:?}");
    assert!(!told.contains(secret.expose()));
}

async fn there_are_only_so_many_endpoints(engine: Engine) {
    let desk = Desk::open(engine).await;
    for nth in 0..ENDPOINTS_MAX {
        create(&desk.shop, &new(&format!("https://shop.example/{nth}")), "a test").await.unwrap();
    }
    let over = create(&desk.shop, &new("https://shop.example/over"), "a test").await;
    assert!(matches!(over, Err(WebhookError::TooMany)));
}

async fn what_waits_for_a_deleted_endpoint_is_dropped(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    let message = send_test(&desk.shop, &made.id, "a test").await.unwrap();
    delete(&desk.shop, &made.id, "a test").await.unwrap();
    assert!(matches!(endpoint(&desk.shop, &made.id).await, Err(WebhookError::Missing(_))));
    let job = DeliverWebhook { endpoint: made.id.clone(), message };
    assert!(result(desk.run(job).await)["skipped"].is_string());
    assert_eq!(desk.came("crm").await["requests"], 0);
    let (audited,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) AS n FROM audit_log WHERE what LIKE 'webhook.%' AND who = 'a test'")
            .fetch_one(desk.shop.ledger.reads())
            .await
            .unwrap();
    assert_eq!(audited, 3, "made, tried, deleted");
}

async fn an_endpoint_that_moved_is_told_at_its_new_address_of_what_waited(engine: Engine) {
    let desk = Desk::open(engine).await;
    let (made, _) = desk.endpoint("crm", &[]).await;
    let control = desk.sandbox.addresses().control.clone();
    let elsewhere = format!("{control}/webhooks/gone");
    relocate(&desk.shop, &made.id, &elsewhere, "a test").await.unwrap();
    let message = send_test(&desk.shop, &made.id, "a test").await.unwrap();
    let job = || DeliverWebhook { endpoint: made.id.clone(), message: message.clone() };
    assert!(desk.run(job()).await.is_err(), "nobody is there");
    let failing = endpoint(&desk.shop, &made.id).await.unwrap();
    assert_eq!((failing.failures, failing.failing_since_at.is_some()), (1, true));
    let moved = relocate(&desk.shop, &made.id, &made.url, "a test").await.unwrap();
    assert_eq!((moved.url, moved.id), (made.url.clone(), made.id.clone()));
    assert_eq!((moved.failures, moved.failing_since_at), (0, None), "the address before had failed");
    desk.run(job()).await.unwrap();
    assert_eq!(desk.effect("webhook.post").await, (1, 0), "under the secret that it had");

    for (id, url) in [(made.id.as_str(), "ftp://shop.example"), ("we_nobody", made.url.as_str())] {
        let refused = relocate(&desk.shop, id, url, "a test").await.unwrap_err();
        assert!(matches!(refused, WebhookError::Bad(_) | WebhookError::Missing(_)), "{refused}");
    }
    assert_eq!(endpoint(&desk.shop, &made.id).await.unwrap().url, made.url);
}
