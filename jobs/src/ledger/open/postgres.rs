//! The ledger in a PostgreSQL database, its own or one that it shares: checks what it is to live in, sets its
//! connections up and brings its schema to this build's.
//!
//! TLS is as the address' `sslmode` says, the schema as its `options=-csearch_path=..`. Connections live long and
//! carry settings and prepared statements, so a pooler before the server must pool by session, not by transaction.
//!
//! The database's collation does not matter: keys are compared for equality, pages go by `(instant, key)` whose
//! order is the server's own on both sides, and ids that sort by time are hexadecimal digits of one length. A query
//! whose order is compared with bytes in Rust must not count on it.

use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, Connection, Row};

use super::{Applied, Pools, applied, logging, migrator, not_migrated, refuse_broken};
use crate::ledger::error::LedgerError;
use crate::ledger::writer::Writer;

/// A server's `max_connections` is 100 unless somebody raised it, three of them kept for superusers. Six and four
/// leave room for nine processes. Writers wait for each other's rows more than for connections; one of them is the
/// group commit's for most of the time.
const WRITERS: u32 = 6;
const READERS: u32 = 4;
/// What an outage costs each caller before it hears of it: a server that restarts is often back by then.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that is not used goes back to the server, and none outlives a change of the server's address for
/// longer than this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 60);

/// Major version 12: what is asked of the server is in every release since. Older ones have no more updates.
const VERSION_MIN: i64 = 120_000;
/// Holds openings of one database in line: "windlass" as a number.
const OPENING_LOCK: i64 = 0x7769_6e64_6c61_7373;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// A commit that is answered is on disk, whatever the database's default. Nothing waits without end: not for a row,
/// not for a process that stands still with a transaction open.
const WRITER_SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'; \
     SET lock_timeout = '10s'; SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'";
const READER_SETTINGS: &str = "SET default_transaction_read_only = on; SET lock_timeout = '10s'; \
     SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'";

pub(super) async fn open(url: &str, slow: Option<Duration>) -> Result<Pools, LedgerError> {
    let place = Place::of(url)?;
    let options = logging(AnyConnectOptions::from_str(url).map_err(|error| place.cannot_open(&error))?, None);
    prepare(&options, &place).await?;
    let options = logging(options, slow);
    let writer = pool(WRITERS, WRITER_SETTINGS).connect_with(options.clone()).await;
    let writer = writer.map_err(|error| place.cannot_open(&error))?;
    let reads = pool(READERS, READER_SETTINGS).connect_with(options).await;
    let reads = reads.map_err(|error| place.cannot_open(&error))?;
    Ok(Pools { writer: Writer::new(writer, BEGIN), reads, snapshot: SNAPSHOT })
}

fn pool(connections: u32, settings: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(LIFETIME_MAX)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                sqlx::raw_sql(settings).execute(conn).await?;
                Ok(())
            })
        })
}

/// On one connection of its own: a pool would try again and again what cannot work, and then not say why.
async fn prepare(options: &AnyConnectOptions, place: &Place) -> Result<(), LedgerError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, AnyConnection::connect_with(options)).await;
    let mut conn = connected.map_err(|_| place.silent())?.map_err(|error| place.cannot_open(&error))?;
    let server = Server::of(&mut conn).await.map_err(|error| place.cannot_open(&error))?;
    server.check(place)?;
    // Held until the connection ends: who comes second finds everything done.
    let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(OPENING_LOCK).execute(&mut conn).await;
    lock.map_err(|error| place.cannot_open(&error))?;
    migrate(&mut conn, &server, place).await?;
    conn.close().await.map_err(|error| place.cannot_open(&error))
}

/// The steps that the ledger has taken; nothing is changed.
pub(super) async fn look(url: &str) -> Result<Vec<Applied>, LedgerError> {
    let place = Place::of(url)?;
    let options = AnyConnectOptions::from_str(url).map_err(|error| place.cannot_open(&error))?;
    let options = logging(options, None);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, AnyConnection::connect_with(&options)).await;
    let mut conn = connected.map_err(|_| place.silent())?.map_err(|error| place.cannot_open(&error))?;
    let taken = steps_taken(&mut conn).await.map_err(|error| place.cannot_open(&error))?;
    conn.close().await.map_err(|error| place.cannot_open(&error))?;
    Ok(taken)
}

/// What the server says of itself and of us.
struct Server {
    version: i64,
    is_standby: bool,
    is_read_only: bool,
    encoding: String,
    /// Where tables are made; None: no schema of the search path exists.
    schema: Option<String>,
    may_create: bool,
}

impl Server {
    async fn of(conn: &mut AnyConnection) -> Result<Self, sqlx::Error> {
        let row = sqlx::query(
            "SELECT CAST(current_setting('server_version_num') AS BIGINT) AS version, \
                    pg_is_in_recovery() AS is_standby, \
                    current_setting('transaction_read_only') = 'on' AS is_read_only, \
                    current_setting('server_encoding') AS encoding, \
                    CAST(current_schema() AS TEXT) AS schema_name, \
                    COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE) AS may_create",
        )
        .fetch_one(conn)
        .await?;
        Ok(Self {
            version: row.try_get("version")?,
            is_standby: row.try_get("is_standby")?,
            is_read_only: row.try_get("is_read_only")?,
            encoding: row.try_get("encoding")?,
            schema: row.try_get("schema_name")?,
            may_create: row.try_get("may_create")?,
        })
    }

    fn check(&self, place: &Place) -> Result<(), LedgerError> {
        let Place { shown, database, .. } = place;
        let refusal = if self.version < VERSION_MIN {
            let (major, oldest) = (self.version / 10_000, VERSION_MIN / 10_000);
            format!("{shown} runs PostgreSQL {major}: the ledger needs {oldest} or newer")
        } else if self.is_standby {
            format!("{shown} is a standby, which cannot be written to: set DATABASE_URL to the primary")
        } else if self.is_read_only {
            format!(
                "{shown} is read-only by default: set DATABASE_URL to a database that can be written to, or \
                 ALTER DATABASE {database} SET default_transaction_read_only = off"
            )
        } else if self.encoding != "UTF8" {
            format!(
                "{shown} stores text as {}: make a database with ENCODING 'UTF8' TEMPLATE template0 and set \
                 DATABASE_URL to it",
                self.encoding
            )
        } else if self.schema.is_none() {
            format!(
                "{shown} has no schema for the ledger's tables: CREATE SCHEMA the one that the search path names, \
                 or correct options=-csearch_path%3D.. in DATABASE_URL"
            )
        } else {
            return Ok(());
        };
        Err(LedgerError::CannotOpen(refusal))
    }
}

async fn migrate(conn: &mut AnyConnection, server: &Server, place: &Place) -> Result<(), LedgerError> {
    let applied = steps_taken(conn).await.map_err(|error| place.cannot_open(&error))?;
    refuse_broken(&applied, &place.shown)?;
    let migrator = migrator();
    let ours: Vec<_> =
        migrator.iter().map(|step| (step.version, step.checksum.to_vec(), step.sql.as_str())).collect();
    let pending = ours.iter().filter(|(version, ..)| !applied.iter().any(|done| done.version == *version));
    let pending: Vec<&str> = pending.map(|(_, _, sql)| *sql).collect();
    let is_done =
        ours.iter().all(|(v, sum, _)| applied.iter().any(|done| done.version == *v && done.checksum == *sum));
    if is_done {
        // The migrator would need the right to create tables to find that there are none to create.
        return Ok(());
    }
    if !pending.is_empty() {
        if !server.may_create {
            return Err(place.may_not_create(server));
        }
        refuse_collisions(conn, server, &pending, place).await?;
    }
    migrator.run_direct(None, conn, false).await.map_err(|error| match &error {
        MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) if code(inner) == "42501" => {
            place.may_not_create(server)
        }
        _ => not_migrated(&place.shown, &error),
    })
}

/// The steps that ran, in their order.
async fn steps_taken(conn: &mut AnyConnection) -> Result<Vec<Applied>, sqlx::Error> {
    if existing(conn, &["_sqlx_migrations"]).await?.is_empty() {
        return Ok(Vec::new());
    }
    applied(conn).await
}

/// The database may have other tables (a shop's own), as long as none has the name of one of ours.
async fn refuse_collisions(
    conn: &mut AnyConnection,
    server: &Server,
    pending: &[&str],
    place: &Place,
) -> Result<(), LedgerError> {
    let made: Vec<&str> = pending.iter().flat_map(|sql| tables_made(sql)).collect();
    let taken = existing(conn, &made).await.map_err(|error| place.cannot_open(&error))?;
    if taken.is_empty() {
        return Ok(());
    }
    Err(LedgerError::CannotOpen(format!(
        "schema {} of {} has tables of another program with the names of the ledger's ({}): CREATE SCHEMA windlass \
         and add ?options=-csearch_path%3Dwindlass to DATABASE_URL, or choose another database",
        server.schema.as_deref().unwrap_or_default(),
        place.shown,
        taken.join(", ")
    )))
}

/// What of `names` is there: tables, views, anything that stands in a table's way.
async fn existing(conn: &mut AnyConnection, names: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT CAST(c.relname AS TEXT) FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE n.nspname = current_schema() AND position(' ' || c.relname || ' ' in $1) > 0 ORDER BY 1",
    )
    .bind(format!(" {} ", names.join(" ")))
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

fn tables_made(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split([' ', '(']).next())
}

/// A SQLSTATE; empty when the server said nothing.
fn code(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.code().unwrap_or_default().into_owned(),
        _ => String::new(),
    }
}

/// Where the ledger is to be, for people: without the password.
struct Place {
    shown: String,
    user: String,
    database: String,
}

impl Place {
    fn of(url: &str) -> Result<Self, LedgerError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            LedgerError::CannotOpen(format!(
                "DATABASE_URL is no address of a PostgreSQL database ({error}): write \
                 postgres://USER:PASSWORD@HOST/DATABASE, with special characters percent-encoded"
            ))
        })?;
        let user = options.get_username().to_owned();
        let database = options.get_database().unwrap_or(&user).to_owned();
        let server = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        Ok(Self { shown: format!("{server}/{database}"), user, database })
    }

    fn silent(&self) -> LedgerError {
        LedgerError::CannotOpen(format!(
            "no PostgreSQL answers at {} within {CONNECT_TIMEOUT:?}: start it, or correct host and port in \
             DATABASE_URL",
            self.shown
        ))
    }

    fn may_not_create(&self, server: &Server) -> LedgerError {
        let schema = server.schema.as_deref().unwrap_or("public");
        LedgerError::CannotOpen(format!(
            "the user {user} may not create the ledger's tables in schema {schema} of {shown}: GRANT CREATE, USAGE ON \
             SCHEMA {schema} TO {user}, or start once as a user who may",
            user = self.user,
            shown = self.shown
        ))
    }

    fn cannot_open(&self, error: &sqlx::Error) -> LedgerError {
        let Self { shown, user, database } = self;
        LedgerError::CannotOpen(match (error, code(error).as_str()) {
            (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, _) => format!(
                "no PostgreSQL answers at {shown} ({error}): start it, or correct host and port in DATABASE_URL"
            ),
            (sqlx::Error::Tls(_), _) => format!(
                "{shown} and windlass do not agree on TLS ({error}): correct sslmode and sslrootcert in DATABASE_URL, \
                 or the server's certificate"
            ),
            (_, "28P01" | "28000") => format!(
                "{shown} does not let the user {user} in ({error}): correct user and password in DATABASE_URL, or \
                 the server's pg_hba.conf"
            ),
            (_, "3D000") => format!(
                "{shown} does not exist: CREATE DATABASE {database} OWNER {user} ENCODING 'UTF8' TEMPLATE template0, \
                 or correct DATABASE_URL"
            ),
            (_, "42501") => format!(
                "the user {user} has too few rights in {shown} ({error}): GRANT SELECT, INSERT, UPDATE, DELETE ON the \
                 ledger's tables TO {user}"
            ),
            (_, "53300") => format!(
                "{shown} has no connection left ({error}): raise max_connections; a process of windlass takes up \
                 to {}",
                WRITERS + READERS
            ),
            (_, "57P03") => format!("{shown} is starting or stopping ({error}): start again when it answers"),
            _ => format!("the ledger {shown} cannot be opened: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(server: Server) -> String {
        let place = Place::of("postgres://shop:secret@db.example/books").unwrap();
        match server.check(&place) {
            Err(LedgerError::CannotOpen(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn fit() -> Server {
        Server {
            version: 120_000,
            is_standby: false,
            is_read_only: false,
            encoding: "UTF8".to_owned(),
            schema: Some("public".to_owned()),
            may_create: true,
        }
    }

    #[test]
    fn a_server_that_cannot_hold_the_ledger_is_named_without_the_password() {
        for (server, said) in [
            (Server { version: 110_022, ..fit() }, "PostgreSQL 11: the ledger needs 12"),
            (Server { is_standby: true, ..fit() }, "set DATABASE_URL to the primary"),
            (Server { is_read_only: true, ..fit() }, "ALTER DATABASE books"),
            (Server { encoding: "LATIN1".to_owned(), ..fit() }, "ENCODING 'UTF8'"),
            (Server { schema: None, ..fit() }, "CREATE SCHEMA"),
        ] {
            let text = refusal(server);
            assert!(text.contains(said) && text.contains("db.example:5432/books"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        assert!(fit().check(&Place::of("postgres://db.example/books").unwrap()).is_ok());
    }

    #[test]
    fn the_tables_that_a_step_makes_are_read_off_its_text() {
        let made: Vec<_> = tables_made(super::super::MIGRATIONS[0].2).collect();
        assert_eq!(made, ["outbox", "effects", "order_events", "callbacks", "tokens", "audit_log"]);
    }
}
