//! What a server must be to carry jobs, looked at before anything is stored; and what its settings promise, in words.

use std::collections::HashMap;

use redis::Value;

use super::link::Link;
use super::reply::Reply;
use crate::store::StoreError;

/// The oldest Redis that knows the flags of our scripts.
const VERSION_MIN: (u32, u32) = (7, 0);
/// The form of the keys: see `lua/README.md`.
pub(super) const LAYOUT: u32 = 2;

/// What a server tells of itself, by field.
pub(super) type Info = HashMap<String, String>;

/// What `INFO <section>` tells.
pub(super) async fn info(link: &Link, section: &str) -> Result<Info, StoreError> {
    let text = Reply::of("INFO").text(link.ask(redis::cmd("INFO").arg(section)).await?)?;
    let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    Ok(pairs.map(|(field, value)| (field.to_owned(), value.to_owned())).collect())
}

fn named<'i>(info: &'i Info, field: &str) -> &'i str {
    info.get(field).map_or("", String::as_str)
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
    let replication = info(link, "replication").await?;
    let memory = info(link, "memory").await?;
    judge(&server, &replication, &memory)?;
    check_layout(link, prefix).await?;
    let mut words = vec![format!("{}, keys under {prefix}", product(&server))];
    words.push(durability(link).await);
    words.push(match named(&memory, "maxmemory") {
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

fn product(server: &Info) -> String {
    match named(server, "valkey_version") {
        "" => format!("Redis {}", named(server, "redis_version")),
        version => format!("Valkey {version}"),
    }
}

/// Whether a server that tells this of itself may carry jobs.
fn judge(server: &Info, replication: &Info, memory: &Info) -> Result<(), StoreError> {
    // Valkey tells here the Redis version whose commands it has.
    let version = named(server, "redis_version");
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < VERSION_MIN {
        return Err(StoreError::Invalid(format!(
            "this Redis is version {version}; Windlass needs {}.{} or newer (or Valkey)",
            VERSION_MIN.0, VERSION_MIN.1
        )));
    }
    // Valkey calls it `server_mode`.
    if ["redis_mode", "server_mode"].iter().any(|field| named(server, field) == "cluster") {
        return Err(StoreError::Invalid(
            "this Redis runs as a cluster: a namespace lives on one server; give Windlass a server of its own, or \
             several, each with its namespace"
                .into(),
        ));
    }
    if named(replication, "role") == "slave" {
        return Err(StoreError::Unavailable(format!(
            "this Redis is a read-only replica of {}:{}: QUEUE_URL must lead to the primary",
            named(replication, "master_host"),
            named(replication, "master_port")
        )));
    }
    let policy = named(memory, "maxmemory_policy");
    if policy != "noeviction" {
        return Err(StoreError::Invalid(format!(
            "this Redis throws keys away when it is full (maxmemory-policy {policy}): jobs would be lost; set \
             maxmemory-policy noeviction"
        )));
    }
    Ok(())
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
    let (read, reply) = (redis::cmd("HGET").arg(&meta).arg("layout").to_owned(), Reply::of("HGET"));
    let mut found = reply.maybe_text(link.ask(&read).await?)?;
    if found.is_none() {
        // Only in a new namespace: a server at its maxmemory refuses it, and must not keep those out who would
        // make room by ending jobs.
        link.ask(redis::cmd("HSETNX").arg(&meta).arg("layout").arg(LAYOUT)).await?;
        found = reply.maybe_text(link.ask(&read).await?)?;
    }
    let found = found.unwrap_or_default();
    match found.parse::<u32>() {
        Ok(LAYOUT) => Ok(()),
        Ok(newer) if newer > LAYOUT => Err(StoreError::Unreadable(format!(
            "{prefix}* was written by a newer Windlass (layout {newer}, this build knows {LAYOUT}); run that version, \
             or use another QUEUE_NAMESPACE"
        ))),
        Ok(older @ 1..) => Err(StoreError::Unreadable(format!(
            "{prefix}* was written by an older Windlass (layout {older}, this build knows {LAYOUT}): let that version \
             work its queues empty, then give this one another QUEUE_NAMESPACE"
        ))),
        _ => Err(StoreError::Unreadable(format!(
            "{meta} is not of a Windlass that ever was (layout {found:?}); use another QUEUE_NAMESPACE"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: &[(&str, &str)]) -> Info {
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    /// The verdict on a primary that throws nothing away, with these fields in its section `server`.
    fn verdict(server: &[(&str, &str)]) -> Result<(), StoreError> {
        judge(&told(server), &told(&[("role", "master")]), &told(&[("maxmemory_policy", "noeviction")]))
    }

    fn refusal(verdict: Result<(), StoreError>) -> String {
        match verdict {
            Err(StoreError::Invalid(why)) => why,
            other => panic!("no refusal of settings: {other:?}"),
        }
    }

    #[test]
    fn redis_from_seven_on_may_carry_jobs() {
        for version in ["7.0.0", "7.0.15", "7.4.1", "8.2.0", "10.0.0"] {
            assert!(
                verdict(&[("redis_version", version), ("redis_mode", "standalone")]).is_ok(),
                "{version}"
            );
        }
    }

    #[test]
    fn an_older_redis_is_told_what_is_needed() {
        for version in ["6.2.14", "6.0.16", "5.0.7", "2.8.0", "", "unknown"] {
            let why = refusal(verdict(&[("redis_version", version), ("redis_mode", "standalone")]));
            assert!(
                why.contains(&format!("is version {version};")) && why.contains("needs 7.0 or newer"),
                "{why}"
            );
        }
    }

    #[test]
    fn valkey_is_judged_by_the_redis_whose_commands_it_has() {
        let valkey = [
            ("redis_version", "7.2.4"),
            ("server_name", "valkey"),
            ("valkey_version", "8.1.0"),
            ("server_mode", "standalone"),
        ];
        assert!(verdict(&valkey).is_ok());
        assert_eq!(product(&told(&valkey)), "Valkey 8.1.0");
        assert_eq!(product(&told(&[("redis_version", "7.0.15")])), "Redis 7.0.15");
    }

    #[test]
    fn a_cluster_is_refused_by_either_products_word_for_it() {
        for field in ["redis_mode", "server_mode"] {
            let why = refusal(verdict(&[("redis_version", "7.2.4"), (field, "cluster")]));
            assert!(why.contains("runs as a cluster") && why.contains("a server of its own"), "{why}");
        }
    }

    #[test]
    fn every_policy_that_evicts_is_refused_by_name() {
        let server = told(&[("redis_version", "7.0.15")]);
        let primary = told(&[("role", "master")]);
        for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"] {
            let why = refusal(judge(&server, &primary, &told(&[("maxmemory_policy", policy)])));
            assert!(why.contains(&format!("maxmemory-policy {policy}")), "{why}");
            assert!(why.ends_with("set maxmemory-policy noeviction"), "{why}");
        }
    }
}
