//! `windlass keys …`: straight on the ledger, so that the first key can be made before any front door opens.

use clap::Subcommand;
use serde_json::{Value, json};
use windlass_engine::{JobTable, Timestamp};
use windlass_jobs::JOBS;
use windlass_jobs::ledger::Ledger;
use windlass_jobs::ledger::api_keys::{self, ApiKey, NewApiKey};

use super::jobs::Said;
use super::table::Table;
use crate::access::{Hasher, MadeKey, Scope};
use crate::config::{Config, WrongSetUp};

/// Characters of a key's name.
const NAME_CHARS_MAX: usize = 100;

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Makes a key and shows it, once.
    Create {
        /// Who will use it, for the audit log.
        #[arg(long)]
        name: String,
        /// What it opens: jobs:read, jobs:write or admin, several with commas between.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// The kinds of jobs that it hands in [default: all].
        #[arg(long, value_delimiter = ',')]
        kinds: Vec<String>,
    },
    /// Every key there is, without its secret.
    List,
    /// A key opens nothing any more; front doors that run know within 5 s.
    Revoke { id: String },
}

impl Keys {
    /// # Errors
    /// When the ledger does not open, or what was asked for cannot be.
    pub async fn run(self, config: &Config) -> anyhow::Result<Said> {
        let ledger = Ledger::open(config.database.to_connect().expose(), &config.clock()).await?;
        match self {
            Self::Create { name, scopes, kinds } => create(config, &ledger, name, &scopes, kinds).await,
            Self::List => Ok(listed(&api_keys::list(&ledger).await?)),
            Self::Revoke { id } => {
                if !api_keys::revoke(&ledger, &id).await? {
                    let why = match api_keys::find(&ledger, &id).await? {
                        Some(_) => "was revoked before",
                        None => "is not there: `windlass keys list` shows those that are",
                    };
                    anyhow::bail!("the key {id} {why}");
                }
                note(&ledger, "key.revoke", &id, "").await?;
                Ok(Said { json: json!({ "id": id, "revoked": true }), text: format!("{id} revoked") })
            }
        }
    }
}

async fn create(
    config: &Config,
    ledger: &Ledger,
    name: String,
    scopes: &[Scope],
    kinds: Vec<String>,
) -> anyhow::Result<Said> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || name.contains(char::is_control) {
        let form = format!("1 to {NAME_CHARS_MAX} characters, and no control characters");
        return Err(WrongSetUp(format!("--name has {form}")).into());
    }
    let table = JobTable::new(JOBS);
    if let Some(unknown) = kinds.iter().find(|kind| table.get(kind).is_none()) {
        return Err(WrongSetUp(format!("there is no kind of job called {unknown}")).into());
    }
    let made = MadeKey::new()?;
    let mut names: Vec<String> = Vec::new();
    for scope in scopes.iter().map(|scope| scope.name().to_owned()) {
        if !names.contains(&scope) {
            names.push(scope);
        }
    }
    let key = NewApiKey {
        id: made.id.clone(),
        name,
        hash: Hasher::new(&config.access.secret_key).hash(made.text.expose()),
        scopes: names,
        kinds: (!kinds.is_empty()).then_some(kinds),
    };
    api_keys::create(ledger, &key).await?;
    note(ledger, "key.create", &key.id, &format!("{}: {}", key.name, key.scopes.join(" "))).await?;
    let shown = made.text.expose();
    let json = json!({
        "id": key.id, "name": key.name, "scopes": key.scopes, "kinds": key.kinds, "key": shown,
    });
    let text =
        format!("{shown}\nIt is shown this once: keep it where secrets are kept. Its id is {}.", key.id);
    Ok(Said { json, text })
}

/// Whoever has the ledger and this command is the operator of the host.
async fn note(ledger: &Ledger, what: &str, id: &str, detail: &str) -> anyhow::Result<()> {
    let mut tx = ledger.begin().await?;
    tx.audit("command line", what, id, detail).await?;
    Ok(tx.commit().await?)
}

fn listed(keys: &[ApiKey]) -> Said {
    let mut table = Table::new(&["id", "name", "scopes", "kinds", "made", "used", "revoked"]);
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339).unwrap_or_default();
    for key in keys {
        let kinds = key.kinds.as_ref().map_or_else(|| "all".to_owned(), |kinds| kinds.join(","));
        table.row([
            key.id.clone(),
            key.name.clone(),
            key.scopes.join(","),
            kinds,
            time(Some(key.created_at)),
            time(key.last_used_at),
            time(key.revoked_at),
        ]);
    }
    let told = |key: &ApiKey| {
        json!({
            "id": key.id, "name": key.name, "scopes": key.scopes, "kinds": key.kinds,
            "created_at": key.created_at.to_rfc3339(),
            "last_used_at": key.last_used_at.map(Timestamp::to_rfc3339),
            "revoked_at": key.revoked_at.map(Timestamp::to_rfc3339),
        })
    };
    let keys: Vec<Value> = keys.iter().map(told).collect();
    Said { json: json!({ "keys": keys }), text: table.to_string() }
}
