//! What a server must be to carry jobs, looked at before anything is stored; and what its settings promise, in words.

use std::collections::HashMap;

use redis::Value;

use super::link::Link;
use super::reply::Reply;
use crate::store::StoreError;

/// The oldest Redis that knows the flags of our scripts.
const VERSION_MIN: (u32, u32) = (7, 0);
/// The form of the keys: see `lua/README.md`.
pub(super) const LAYOUT: u32 = 1;

/// What `INFO <section>` tells.
pub(super) async fn info(link: &Link, section: &str) -> Result<HashMap<String, String>, StoreError> {
    let text = Reply::of("INFO").text(link.ask(redis::cmd("INFO").arg(section)).await?)?;
    let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    Ok(pairs.map(|(field, value)| (field.to_owned(), value.to_owned())).collect())
}

/// A setting of the server; None where it does not tell (managed servers often do not).
async fn setting(link: &Link, name: &str) -> Option<String> {
    let answer = link.ask(redis::cmd("CONFIG").arg("GET").arg(name)).await.ok()?;
    let value = match answer {
        Value::Array(items) => items.into_iter().nth(1)?,
        Value::Map(pairs) => pairs.into_iter().next()?.1,
        _ => return None,
    };
    Reply::of("CONFIG").text(value).ok()
}

/// Refuses a server on which jobs would be lost or could not run; answers what its settings promise.
pub(super) async fn look_at(link: &Link, prefix: &str) -> Result<Vec<String>, StoreError> {
    let server = info(link, "server").await?;
    let named = |info: &HashMap<String, String>, field: &str| info.get(field).cloned().unwrap_or_default();
    // Valkey tells the Redis version whose commands it has.
    let version = named(&server, "redis_version");
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < VERSION_MIN {
        return Err(StoreError::Invalid(format!(
            "this Redis is version {version}; Windlass needs {}.{} or newer (or Valkey)",
            VERSION_MIN.0, VERSION_MIN.1
        )));
    }
    if named(&server, "redis_mode") == "cluster" {
        return Err(StoreError::Invalid(
            "this Redis runs as a cluster: a namespace lives on one server; give Windlass a server of its own, or \
             several, each with its namespace"
                .into(),
        ));
    }
    let replication = info(link, "replication").await?;
    if named(&replication, "role") == "slave" {
        return Err(StoreError::Unavailable(format!(
            "this Redis is a read-only replica of {}:{}: QUEUE_URL must lead to the primary",
            named(&replication, "master_host"),
            named(&replication, "master_port")
        )));
    }
    let memory = info(link, "memory").await?;
    let policy = named(&memory, "maxmemory_policy");
    if policy != "noeviction" {
        return Err(StoreError::Invalid(format!(
            "this Redis throws keys away when it is full (maxmemory-policy {policy}): jobs would be lost; set \
             maxmemory-policy noeviction"
        )));
    }
    check_layout(link, prefix).await?;
    let mut words = vec![format!("Redis {version}, keys under {prefix}")];
    words.push(durability(link).await);
    words.push(match named(&memory, "maxmemory").as_str() {
        "0" | "" => {
            "maxmemory: none; set one below the machine's memory, so that enqueueing is refused before the \
                     system kills Redis"
                .to_owned()
        }
        bytes => {
            format!("maxmemory: {bytes} bytes; near it new jobs are refused and those that are there go on")
        }
    });
    Ok(words)
}

async fn durability(link: &Link) -> String {
    let persistence = info(link, "persistence").await.unwrap_or_default();
    let appends = persistence.get("aof_enabled").is_some_and(|enabled| enabled == "1");
    if !appends {
        return "appendonly no: a restart of Redis loses what it did since its last snapshot; the ledger's outbox \
                hands accepted orders in again, other jobs are lost. Set appendonly yes"
            .to_owned();
    }
    match setting(link, "appendfsync").await.as_deref() {
        Some("always") => "appendonly yes, appendfsync always: what was accepted survives a power cut".to_owned(),
        Some("everysec") => "appendonly yes, appendfsync everysec: what was accepted survives a crash of Redis; a \
                             power cut may take the last second, which the ledger's outbox hands in again for \
                             orders, and for other jobs is lost"
            .to_owned(),
        Some("no") => "appendonly yes, appendfsync no: what was accepted survives a crash of Redis; a power cut may \
                       take the last half minute. Set appendfsync always or everysec"
            .to_owned(),
        _ => "appendonly yes; this server does not tell its appendfsync".to_owned(),
    }
}

/// Notes the layout in a new namespace; refuses one of another build's.
async fn check_layout(link: &Link, prefix: &str) -> Result<(), StoreError> {
    let meta = format!("{prefix}meta");
    let fresh = link.ask(redis::cmd("HSETNX").arg(&meta).arg("layout").arg(LAYOUT)).await?;
    if fresh == Value::Int(1) {
        return Ok(());
    }
    let found = Reply::of("HGET").text(link.ask(redis::cmd("HGET").arg(&meta).arg("layout")).await?)?;
    match found.parse::<u32>() {
        Ok(LAYOUT) => Ok(()),
        Ok(newer) if newer > LAYOUT => Err(StoreError::Unreadable(format!(
            "{prefix}* was written by a newer Windlass (layout {newer}, this build knows {LAYOUT}); run that version, \
             or use another QUEUE_NAMESPACE"
        ))),
        _ => Err(StoreError::Unreadable(format!(
            "{meta} is not of a Windlass that ever was (layout {found:?}); use another QUEUE_NAMESPACE"
        ))),
    }
}
