//! The keys that may call the front door.

use std::time::Duration;

use windlass_jobs::ledger::LedgerError;
use windlass_jobs::ledger::api_keys::{self, API_KEY_TEXT_BYTES_MAX, ApiKey, NewApiKey};
use windlass_testing::{Engine, Place, on_every_engine};

on_every_engine! {
    a_key_is_stored_once_and_found_by_its_id_and_its_hash,
    a_revoked_key_stays_and_says_since_when,
    the_newest_use_of_a_key_is_kept,
    a_key_that_could_not_be_read_back_is_refused,
}

fn key(id: &str) -> NewApiKey {
    NewApiKey {
        id: id.to_owned(),
        name: format!("the {id}"),
        hash: format!("hash of {id}"),
        scopes: vec!["jobs:write".to_owned(), "jobs:read".to_owned()],
        kinds: None,
    }
}

async fn a_key_is_stored_once_and_found_by_its_id_and_its_hash(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let shop = NewApiKey { kinds: Some(vec!["fulfil_order".to_owned()]), ..key("shop") };
    api_keys::create(&ledger, &shop).await.unwrap();
    api_keys::create(&ledger, &NewApiKey { scopes: Vec::new(), ..key("till") }).await.unwrap();
    for taken in
        [NewApiKey { id: "other".to_owned(), ..key("shop") }, NewApiKey { hash: "x".to_owned(), ..shop }]
    {
        let refused = api_keys::create(&ledger, &taken).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_))), "{refused:?}");
    }
    let stored = ApiKey {
        id: "shop".to_owned(),
        name: "the shop".to_owned(),
        hash: "hash of shop".to_owned(),
        scopes: vec!["jobs:write".to_owned(), "jobs:read".to_owned()],
        kinds: Some(vec!["fulfil_order".to_owned()]),
        created_at: place.clock.wall(),
        last_used_at: None,
        revoked_at: None,
    };
    let by_hash = api_keys::by_hash(&ledger, "hash of shop").await.unwrap().unwrap();
    let stored = ApiKey { created_at: by_hash.created_at, ..stored };
    assert_eq!(by_hash, stored);
    assert_eq!(api_keys::find(&ledger, "shop").await.unwrap(), Some(stored));
    assert_eq!(api_keys::find(&ledger, "nobody").await.unwrap(), None);
    let ids: Vec<_> = api_keys::list(&ledger).await.unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(ids, ["shop", "till"]);
    let till = api_keys::find(&ledger, "till").await.unwrap().unwrap();
    assert_eq!((till.scopes, till.kinds), (Vec::new(), None));
}

async fn a_revoked_key_stays_and_says_since_when(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    api_keys::create(&ledger, &key("shop")).await.unwrap();
    assert!(api_keys::revoke(&ledger, "shop").await.unwrap());
    let since = api_keys::find(&ledger, "shop").await.unwrap().unwrap().revoked_at;
    assert!(since.is_some());
    assert!(!api_keys::revoke(&ledger, "shop").await.unwrap(), "it was before");
    assert!(!api_keys::revoke(&ledger, "nobody").await.unwrap());
    assert_eq!(api_keys::by_hash(&ledger, "hash of shop").await.unwrap().unwrap().revoked_at, since);
}

async fn the_newest_use_of_a_key_is_kept(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    let ids: Vec<String> = (0..120).map(|n| format!("k{n}")).collect();
    for id in &ids {
        api_keys::create(&ledger, &key(id)).await.unwrap();
    }
    let now = place.clock.wall();
    api_keys::used(&ledger, &ids, now).await.unwrap();
    api_keys::used(&ledger, &ids[..1], now + Duration::from_secs(1)).await.unwrap();
    api_keys::used(&ledger, &ids, now).await.unwrap();
    api_keys::used(&ledger, &[], now + Duration::from_secs(9)).await.unwrap();
    let used: Vec<_> =
        api_keys::list(&ledger).await.unwrap().into_iter().map(|key| (key.id, key.last_used_at)).collect();
    assert_eq!(used.len(), 120);
    for (id, at) in used {
        let expected = if id == "k0" { now + Duration::from_secs(1) } else { now };
        assert_eq!(at, Some(expected), "{id}");
    }
}

async fn a_key_that_could_not_be_read_back_is_refused(engine: Engine) {
    let place = Place::new(engine);
    let ledger = place.ledger().await;
    for bad in [
        NewApiKey { scopes: vec!["two words".to_owned()], ..key("a") },
        NewApiKey { kinds: Some(vec![String::new()]), ..key("b") },
        NewApiKey { name: "x".repeat(API_KEY_TEXT_BYTES_MAX + 1), ..key("c") },
    ] {
        let refused = api_keys::create(&ledger, &bad).await;
        assert!(matches!(refused, Err(LedgerError::Invalid(_))), "{refused:?}");
    }
    assert!(api_keys::list(&ledger).await.unwrap().is_empty());
}
