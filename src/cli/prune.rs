//! `windlass prune`: straight on the ledger, so that it can be tried before a worker runs.

use clap::Args;
use serde_json::json;
use windlass_jobs::housekeeping::prune;
use windlass_jobs::ledger::Ledger;

use super::jobs::Said;
use super::table::Table;
use crate::config::Config;
use crate::platform::shop_settings;

#[derive(Debug, Args)]
pub struct PruneNow {
    /// Counts what would go, and removes nothing.
    #[arg(long)]
    dry_run: bool,
}

impl PruneNow {
    /// # Errors
    /// When the ledger does not open or the shop's settings cannot be read.
    pub async fn run(self, config: &Config) -> anyhow::Result<Said> {
        let settings = shop_settings(config.shop.as_deref())?;
        let ledger = Ledger::open(config.database.to_connect().expose(), &config.clock()).await?;
        let tables = prune(&ledger, &settings, self.dry_run, &|| false).await?;
        if !self.dry_run {
            let mut tx = ledger.begin().await?;
            let rows: u64 = tables.iter().map(|table| table.rows).sum();
            tx.audit("command line", "ledger.prune", "", &format!("{rows} rows")).await?;
            tx.commit().await?;
        }
        let mut table = Table::new(&["table", "days", if self.dry_run { "would go" } else { "gone" }, ""]);
        table = table.right(1).right(2);
        for pruned in &tables {
            let days = pruned.days.map_or_else(|| "for ever".to_owned(), |days| days.to_string());
            let more = if pruned.more { "and more: run it again" } else { "" };
            table.row([pruned.table.to_owned(), days, pruned.rows.to_string(), more.to_owned()]);
        }
        Ok(Said { json: json!({ "dry_run": self.dry_run, "tables": tables }), text: table.to_string() })
    }
}
