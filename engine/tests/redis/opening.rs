//! Which servers the carrier takes, and what whoever gave it another is told.

use windlass_engine::store::Ask;
use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::{Clock, Store, StoreError};
use windlass_servers::Redis;

use crate::jobs::*;

async fn refusal(settings: RedisSettings) -> StoreError {
    let url = settings.url.clone();
    match RedisStore::open(settings, Clock::system()).await {
        Ok(_) => panic!("{url} was opened"),
        Err(e) => e,
    }
}

/// Refused as unavailable, with all of these words and without the password.
async fn assert_unavailable(url: String, says: &[&str]) {
    let refusal = refusal(settings(url.as_str())).await;
    let StoreError::Unavailable(why) = &refusal else { panic!("{url}: {refusal:?}") };
    for says in says {
        assert!(why.contains(says), "{url}: {says:?} is not in {why:?}");
    }
    assert!(!why.contains("secret"), "the password is told: {why}");
}

async fn assert_invalid(url: String, says: &[&str]) {
    let refusal = refusal(settings(url.as_str())).await;
    let StoreError::Invalid(why) = &refusal else { panic!("{url}: {refusal:?}") };
    for says in says {
        assert!(why.contains(says), "{url}: {says:?} is not in {why:?}");
    }
    assert!(!why.contains("secret"), "the password is told: {why}");
}

fn as_user(redis: &Redis, user: &str) -> String {
    format!("redis://{user}@127.0.0.1:{}/", redis.port())
}

#[tokio::test]
async fn a_server_that_evicts_is_told_what_to_set() {
    let redis = Redis::with(&["--maxmemory-policy", "allkeys-lru"]);
    let says = ["maxmemory-policy allkeys-lru", "jobs would be lost", "set maxmemory-policy noeviction"];
    assert_invalid(redis.url(), &says).await;
    redis.cli(&["config", "set", "maxmemory-policy", "noeviction"]);
    open(settings(redis.url())).await.ping().await.unwrap();
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_told_apart_from_a_dead_server() {
    let redis = Redis::with(&["--requirepass", "secret-word"]);
    let says = ["refuses the user or password", "QUEUE_URL"];
    assert_unavailable(redis.url(), &says).await;
    assert_unavailable(as_user(&redis, ":secret-guess"), &says).await;
    assert_unavailable(as_user(&redis, "nobody:secret-word"), &says).await;
    open(settings(as_user(&redis, ":secret-word"))).await.ping().await.unwrap();
}

#[tokio::test]
async fn a_user_without_the_rights_is_told_which_it_needs_and_these_are_enough() {
    let redis = Redis::start();
    redis.cli(&["acl", "setuser", "clerk", "on", ">secret-word", "~*", "+ping"]);
    let url = as_user(&redis, "clerk:secret-word");
    assert_unavailable(url.clone(), &["may not do what a carrier does"]).await;
    redis.cli(&["acl", "setuser", "clerk", "resetkeys", "~elsewhere:*", "+@all"]);
    let StoreError::Unavailable(why) = refusal(settings(url.as_str())).await else { panic!("no refusal") };

    let (_, rights) = why.split_once("give it ").unwrap();
    let rights: Vec<&str> = rights.split(' ').filter(|word| *word != "and").collect();
    redis.cli(&[&["acl", "setuser", "clerk", "reset", "on", ">secret-word"], rights.as_slice()].concat());
    let store = open(settings(url)).await;
    let elsewhere = tokio::spawn({
        let store = store.clone();
        async move { store.reserve(Ask { queue: "mail".into(), wait: LONG, ..ask(1) }).await }
    });
    let blocked = async || redis.cli(&["info", "clients"]).contains("blocked_clients:1");
    eventually("one queue waits", blocked).await;
    let waiting = tokio::spawn(ask_until_there_is_one(store.clone()));
    store.ping().await.unwrap();
    let unblocked = async || redis.cli(&["info", "commandstats"]).contains("cmdstat_client|unblock");
    eventually("another joins, and is heard of at once", unblocked).await;
    add(&store, jobs("a", 1)).await;
    let taken = soon("the job is taken", waiting).await.unwrap();
    complete(&store, &[taken]).await;
    store.reap().await.unwrap();
    assert_balanced(&store).await;
    elsewhere.abort();
    let denied = redis.cli(&["acl", "log"]);
    let denied: Vec<&str> = denied.lines().filter(|line| line.starts_with("client|")).collect();
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn a_replica_names_its_primary() {
    let primary = Redis::start();
    let port = primary.port().to_string();
    let replica = Redis::with(&["--replicaof", "127.0.0.1", &port]);
    assert_unavailable(replica.url(), &["read-only replica of 127.0.0.1:", &port, "QUEUE_URL"]).await;
}

#[tokio::test]
async fn a_cluster_is_refused() {
    let redis = Redis::with(&["--cluster-enabled", "yes"]);
    assert_invalid(redis.url(), &["runs as a cluster", "a server of its own"]).await;
}

#[tokio::test]
async fn the_layout_of_another_build_is_left_alone() {
    let redis = Redis::start();
    let settings = settings(redis.url());
    let meta = format!("{{windlass:{}}}:meta", settings.namespace);
    for (layout, says) in [
        ("99", "newer Windlass (layout 99"),
        ("1", "older Windlass (layout 1"),
        ("blue", "not of a Windlass that ever was"),
    ] {
        redis.cli(&["hset", &meta, "layout", layout]);
        let refusal = refusal(settings.clone()).await;
        assert!(matches!(refusal, StoreError::Unreadable(_)), "{refusal:?}");
        assert!(refusal.to_string().contains(says), "{refusal}");
        assert!(refusal.to_string().contains("another QUEUE_NAMESPACE"), "{refusal}");
        assert_eq!(redis.cli(&["dbsize"]).trim(), "1", "nothing was written");
    }
}

#[tokio::test]
async fn a_closed_port_is_told_as_such() {
    let mut redis = Redis::start();
    redis.kill();
    assert_unavailable(redis.url(), &["nobody listens at the address of QUEUE_URL"]).await;
}

#[tokio::test]
async fn what_is_no_address_is_refused_without_repeating_it() {
    for url in
        ["", "localhost:6379", "http://u:secret@host/", "redis://u:secret@host:port/", "redis://u:secret@/0"]
    {
        assert_invalid(
            url.to_owned(),
            &["address of Redis cannot be read", "redis://user:password@host:6379/0"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named_as_the_fault() {
    let url = format!("{}99", Redis::shared());
    assert_unavailable(url, &["database", "QUEUE_URL"]).await;
}

#[tokio::test]
async fn what_is_no_namespace_is_refused() {
    for namespace in ["", "Shop", "a b", "{x}", "käse", &"n".repeat(41)] {
        let refusal = refusal(RedisSettings::new(Redis::shared(), namespace)).await;
        assert!(
            matches!(&refusal, StoreError::Invalid(why) if why.contains("is no namespace")),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn the_settings_of_the_server_are_told_as_promises() {
    let redis = Redis::with(&["--appendonly", "no"]);
    let told = async || open(settings(redis.url())).await.promises().join("\n");
    let set = |name: &str, value: &str| assert_eq!(redis.cli(&["config", "set", name, value]).trim(), "OK");

    let words = told().await;
    assert!(words.contains("appendonly no: a restart of Redis loses"), "{words}");
    assert!(words.contains("Set appendonly yes"), "{words}");
    assert!(words.contains("maxmemory: none; set one"), "{words}");
    set("appendonly", "yes");
    for (fsync, says) in [
        ("always", "survives a power cut"),
        ("everysec", "a power cut may take the last second"),
        ("no", "Set appendfsync always or everysec"),
    ] {
        set("appendfsync", fsync);
        let words = told().await;
        assert!(words.contains(&format!("appendfsync {fsync}")) && words.contains(says), "{words}");
    }
    set("maxmemory", "50000000");
    assert!(told().await.contains("maxmemory: 50000000 bytes"));
}
