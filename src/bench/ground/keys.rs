//! The keys of a benchmark on a Redis that others use too.

use anyhow::Context;
use redis::aio::MultiplexedConnection;

use crate::bench::bare::connect;

/// Keys that one step of the search looks at: short enough for whoever else uses the server.
const LOOKED_AT: usize = 1_000;
/// Rounds of clearing: a call that was on its way when everything was given up may still make a key.
const ROUNDS_MAX: usize = 5;

/// All keys of a namespace, and of the bare loop beside it.
pub(super) struct Keys {
    url: String,
    namespace: String,
    conn: MultiplexedConnection,
}

impl Keys {
    pub(super) async fn of(url: &str, namespace: &str) -> anyhow::Result<Self> {
        Ok(Self { url: url.to_owned(), namespace: namespace.to_owned(), conn: connect(url).await? })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Of every key of the bare loop.
    pub(super) fn prefix_of_bare(&self) -> String {
        format!("{{windlass:{}-bare}}:", self.namespace)
    }

    /// Removes them, until a search finds none.
    pub(super) async fn clear(mut self) -> anyhow::Result<()> {
        for _ in 0..ROUNDS_MAX {
            if self.clear_once().await.with_context(|| self.left())? == 0 {
                return Ok(());
            }
        }
        anyhow::bail!(self.left())
    }

    fn left(&self) -> String {
        format!("keys of the benchmark are left: {{windlass:{}*", self.namespace)
    }

    /// How many there were.
    async fn clear_once(&mut self) -> anyhow::Result<usize> {
        let pattern = format!("{{windlass:{}*", self.namespace);
        let (mut cursor, mut cleared) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(LOOKED_AT);
            let (next, keys): (u64, Vec<String>) = scan.query_async(&mut self.conn).await?;
            if !keys.is_empty() {
                // In the background: a hash of a million jobs is freed without holding up others.
                let _: usize = redis::cmd("UNLINK").arg(&keys).query_async(&mut self.conn).await?;
                cleared += keys.len();
            }
            cursor = next;
            if cursor == 0 {
                return Ok(cleared);
            }
        }
    }
}
