//! `windlass products …`: the catalogue and its synchronisations.

use clap::Subcommand;
use serde_json::Value;

use super::api::{Api, segment};
use super::jobs::{Said, paged};
use super::table::Table;

/// Lines of each history that are shown to people; `--json` has all of them.
const HISTORY_LINES: usize = 10;

#[derive(Debug, Subcommand)]
pub enum Products {
    /// In the order of their codes.
    List {
        /// Only what is for sale (true) or is not (false).
        #[arg(long)]
        for_sale: Option<bool>,
        #[arg(long)]
        group: Option<String>,
        #[arg(long)]
        brand: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// One product: standing, price, stock and what happened to it.
    Show { code: String },
    /// Synchronisations, the newest first.
    Syncs {
        /// products, prices or stock.
        #[arg(long)]
        kind: Option<String>,
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// What is left on the payer accounts.
    Balances,
}

impl Products {
    pub async fn run(self, api: &Api) -> anyhow::Result<Said> {
        match self {
            Self::List { for_sale, group, brand, limit, cursor } => {
                let wanted = [
                    ("for_sale", for_sale.map(|flag| flag.to_string())),
                    ("group", group),
                    ("brand", brand),
                    ("limit", Some(limit.to_string())),
                    ("cursor", cursor),
                ];
                let query: Vec<_> =
                    wanted.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
                let json = api.get("/v1/products", &query).await?;
                Ok(Said { text: listed(&json), json })
            }
            Self::Show { code } => {
                let json = api.get(&format!("/v1/products/{}", segment(&code)), &[]).await?;
                Ok(Said { text: story(&json), json })
            }
            Self::Syncs { kind, limit } => {
                let limit = limit.to_string();
                let mut query = vec![("limit", limit.as_str())];
                query.extend(kind.as_deref().map(|kind| ("kind", kind)));
                let json = api.get("/v1/sync-runs", &query).await?;
                Ok(Said { text: runs(&json), json })
            }
            Self::Balances => {
                let json = api.get("/v1/supplier-balances", &[]).await?;
                Ok(Said { text: balances(&json), json })
            }
        }
    }
}

fn listed(page: &Value) -> String {
    let header = ["code", "model", "group", "brand", "for sale", "list price", "invoice price", "seen"];
    let mut table = Table::new(&header).right(5).right(6);
    for product in rows(page, "products") {
        let for_sale = if product["for_sale"] == true { "yes".to_owned() } else { text(product, "refusal") };
        table.row([
            text(product, "product_code"),
            text(product, "model"),
            text(product, "group"),
            text(product, "brand"),
            for_sale,
            yuan(&product["supply_fen"]),
            yuan(&product["invoice_fen"]),
            text(product, "last_seen_at"),
        ]);
    }
    paged(table.to_string(), page)
}

fn story(json: &Value) -> String {
    let product = &json["product"];
    let standing = match text(product, "refusal") {
        refusal if refusal.is_empty() => "for sale".to_owned(),
        refusal => format!("not for sale: {refusal}"),
    };
    let mut told = format!(
        "{} {} {} {}\n{standing}, last seen {}\n",
        text(product, "product_code"),
        text(product, "brand"),
        text(product, "group"),
        text(product, "model"),
        text(product, "last_seen_at")
    );
    let price = &json["price"];
    if price.is_object() {
        let refusal = text(price, "refusal");
        told.push_str(&format!(
            "price {} (list {}), said {} {refusal}\n",
            yuan(&price["invoice_fen"]),
            yuan(&price["supply_fen"]),
            text(price, "priced_at")
        ));
    }
    for stock in rows(json, "stock").take(HISTORY_LINES) {
        let (county, at) = (text(stock, "county_code"), text(stock, "asked_at"));
        told.push_str(&format!("stock {county}: {} at {at}\n", stock["quantity"]));
    }
    for event in rows(json, "events").take(HISTORY_LINES) {
        told.push_str(&format!("{} {} {}\n", text(event, "at"), text(event, "kind"), text(event, "text")));
    }
    told
}

fn runs(page: &Value) -> String {
    let header = ["run", "state", "started", "chunks", "done", "failed", "unknown", "changed", "note"];
    let mut table = (3..8).fold(Table::new(&header), Table::right);
    for run in rows(page, "runs") {
        let number = |key: &str| run[key].as_i64().unwrap_or_default().to_string();
        table.row([
            text(run, "run_id"),
            text(run, "state"),
            text(run, "started_at"),
            number("chunks"),
            number("done"),
            number("failed"),
            number("unknown"),
            number("changed"),
            text(run, "note"),
        ]);
    }
    table.to_string()
}

fn balances(json: &Value) -> String {
    let mut table = Table::new(&["sale group", "payer account", "balance", "read", ""]).right(2);
    for balance in rows(json, "balances") {
        let low = if text(balance, "low").is_empty() { String::new() } else { "low".to_owned() };
        table.row([
            text(balance, "sale_group_code"),
            text(balance, "payer_account_code"),
            yuan(&balance["balance_fen"]),
            text(balance, "asked_at"),
            low,
        ]);
    }
    table.to_string()
}

fn rows<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    json.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text(json: &Value, key: &str) -> String {
    json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Fen as yuan; empty when there is none.
fn yuan(fen: &Value) -> String {
    fen.as_i64().map(|fen| windlass_jobs::money::Fen(fen).to_string()).unwrap_or_default()
}
