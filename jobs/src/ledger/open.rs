//! Opens the ledger that an address names, on whichever engine, with the schema of this build.
//!
//! Every failure says what to do about it. A file for each engine; nothing here knows a table but the one in which
//! migrations are noted.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, SqlSafeStr};

use super::error::LedgerError;
use super::writer::Writer;

mod postgres;
mod sqlite;

/// The schema, step by step: a test holds the list against the folder. What was added between two steps that a
/// ledger already has is run all the same.
const MIGRATIONS: [(i64, &str, &str); 13] = [
    (1, "platform", include_str!("../../../migrations/0001_platform.sql")),
    (2, "identity", include_str!("../../../migrations/0002_identity.sql")),
    (3, "api_keys", include_str!("../../../migrations/0003_api_keys.sql")),
    (4, "outbox_payload", include_str!("../../../migrations/0004_outbox_payload.sql")),
    (10, "orders", include_str!("../../../migrations/0010_orders.sql")),
    (11, "findings", include_str!("../../../migrations/0011_findings.sql")),
    (12, "bills", include_str!("../../../migrations/0012_bills.sql")),
    (13, "orders_more", include_str!("../../../migrations/0013_orders_more.sql")),
    (14, "catalogue", include_str!("../../../migrations/0014_catalogue.sql")),
    (15, "notifications", include_str!("../../../migrations/0015_notifications.sql")),
    (16, "housekeeping", include_str!("../../../migrations/0016_housekeeping.sql")),
    (17, "reconciliations", include_str!("../../../migrations/0017_reconciliations.sql")),
    (18, "order_traces", include_str!("../../../migrations/0018_order_traces.sql")),
];

/// How the name of a step begins that builds before it cannot live with. Every other step only adds (tables, columns that
/// may be left out), so that the build before goes on working and can be rolled back to.
const BREAKING: &str = "breaking_";

/// The last step.
pub(super) const SCHEMA_VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

pub(super) struct Pools {
    pub writer: Writer,
    pub reads: AnyPool,
    /// Begins a transaction of which every statement sees the same moment.
    pub snapshot: &'static str,
}

pub(super) async fn open(url: &str, slow: Option<Duration>) -> Result<Pools, LedgerError> {
    sqlx::any::install_default_drivers();
    match url.split_once(':') {
        Some(("sqlite", _)) => sqlite::open(url, slow).await,
        Some(("postgres" | "postgresql", _)) => postgres::open(url, slow).await,
        // Not the address itself: it may hold a password.
        _ => Err(LedgerError::CannotOpen(format!(
            "the ledger is kept in SQLite or PostgreSQL: set DATABASE_URL to sqlite:PATH or \
             postgres://USER:PASSWORD@HOST/DATABASE (it begins with {:?})",
            url.split(':').next().unwrap_or_default()
        ))),
    }
}

/// No statement is logged, but those that take `slow` or longer are, as warnings. sqlx logs the text of a statement and
/// never what is bound to it, and every value of ours is bound.
fn logging(options: AnyConnectOptions, slow: Option<Duration>) -> AnyConnectOptions {
    let mut options = options.disable_statement_logging();
    // sqlx takes levels of a crate that it does not pass on; that they are parsed from text saves naming it.
    if let (Some(slow), Ok(warn)) = (slow, "warn".parse()) {
        options = options.log_slow_statements(warn, slow);
    }
    options
}

/// The steps of this build that the ledger at `url` lacks. None where there is no ledger yet: whoever opens it makes it.
/// Changes nothing.
pub(super) async fn steps_missing(url: &str) -> Result<Vec<i64>, LedgerError> {
    sqlx::any::install_default_drivers();
    let applied = match url.split_once(':') {
        Some(("sqlite", _)) => sqlite::look(url).await?,
        Some(("postgres" | "postgresql", _)) => postgres::look(url).await?,
        // What is wrong with the address is told where it is opened.
        _ => return Ok(Vec::new()),
    };
    if applied.is_empty() {
        return Ok(Vec::new());
    }
    let missing = MIGRATIONS.iter().map(|(version, ..)| *version);
    Ok(missing.filter(|version| !applied.iter().any(|step| step.version == *version)).collect())
}

/// A step that a ledger has taken.
struct Applied {
    version: i64,
    checksum: Vec<u8>,
    description: String,
}

const APPLIED: &str =
    "SELECT version, checksum, description FROM _sqlx_migrations WHERE success = TRUE ORDER BY version";

async fn applied(conn: &mut AnyConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let rows: Vec<(i64, Vec<u8>, String)> = sqlx::query_as(APPLIED).fetch_all(conn).await?;
    let step = |(version, checksum, description)| Applied { version, checksum, description };
    Ok(rows.into_iter().map(step).collect())
}

/// A newer build may have added to the schema; it may not have broken what this one counts on.
fn refuse_broken(applied: &[Applied], shown: &str) -> Result<(), LedgerError> {
    let unknown = applied.iter().filter(|step| !MIGRATIONS.iter().any(|(ours, ..)| *ours == step.version));
    for step in unknown {
        if step.description.starts_with(BREAKING) {
            return Err(not_migrated(shown, &MigrateError::VersionMissing(step.version)));
        }
        tracing::warn!(
            ledger = shown,
            step = step.version,
            "a newer build added to the ledger's schema; this one goes on without what was added"
        );
    }
    Ok(())
}

fn migrator() -> Migrator {
    let step = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.map(step).into());
    // Looked at in `refuse_broken`.
    migrator.set_ignore_missing(true);
    migrator
}

/// `shown` names the ledger for people.
fn not_migrated(shown: &str, error: &MigrateError) -> LedgerError {
    LedgerError::CannotOpen(match error {
        MigrateError::VersionMissing(version) => format!(
            "the ledger {shown} was made by a newer build (its schema has step {version}): start that build, or \
             restore a backup from before the upgrade"
        ),
        MigrateError::VersionMismatch(version) => format!(
            "step {version} of the ledger {shown} is not the one of this build: a migration was changed after it \
             had run; start the build that made the ledger"
        ),
        MigrateError::Dirty(version) => format!(
            "step {version} of the ledger {shown} was begun and not ended: restore the backup from before it"
        ),
        other => format!("the ledger {shown} cannot be brought to this build's schema: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_migrations_folder_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed = MIGRATIONS.map(|(version, name, _)| format!("{version:04}_{name}.sql"));
        assert_eq!(files, listed);
    }
}
