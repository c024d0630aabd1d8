//! `windlass migrate`: the ledger's schema, brought to this build's. Every process does so when it opens the ledger;
//! this is for those who want it done before any of them starts.

use serde_json::json;
use windlass_jobs::ledger::Ledger;

use super::jobs::Said;
use crate::config::Config;

/// # Errors
/// When the ledger does not open or was made by a newer build, with what to do.
pub async fn run(config: &Config) -> anyhow::Result<Said> {
    let ledger = Ledger::open(config.database.to_connect().expose(), &config.clock()).await?;
    let version = ledger.schema_version();
    let json = json!({ "ledger": config.database.to_string(), "id": ledger.identity(), "schema": version });
    Ok(Said { json, text: format!("{}: its schema is at step {version}", config.database) })
}
