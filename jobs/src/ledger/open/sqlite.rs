//! The ledger in a SQLite file: finds the file, sets its connections up and brings its schema to this build's.
//!
//! One writer, readers beside it. The file's folder is made; another program's file is left alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Connection, Row};

use super::{Applied, Pools, applied, logging, migrator, not_migrated, refuse_broken};
use crate::ledger::error::LedgerError;
use crate::ledger::writer::Writer;

const READERS: u32 = 4;
/// A transaction that reads first and writes later can fail at its first write: it takes the lock at once.
const BEGIN: &str = "BEGIN IMMEDIATE";
const SNAPSHOT: &str = "BEGIN DEFERRED";
/// Waits for another process's write transaction.
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// Waits for our own writer or readers.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// The page caches hold what one transaction or one query works on; the rest is the system's own cache's affair, which
/// counts for no process. All connections of a process together keep 16 MB at most.
///
/// SQLite has one writer: a second one would only wait inside SQLite, where waiting is neither fair nor bounded.
const WRITER_PRAGMAS: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA cache_size = -8000; PRAGMA foreign_keys = ON";
const READER_PRAGMAS: &str = "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON; PRAGMA cache_size = -2000; PRAGMA foreign_keys = ON";

pub(super) async fn open(url: &str, slow: Option<Duration>) -> Result<Pools, LedgerError> {
    let path = path_of(url)?;
    prepare_folder(&path)?;
    let options = options_for(&path)?;
    let lock = lock_for_migrating(&path).await?;
    try_connection(&options, &path).await?;
    let options = logging(options, slow);
    let writer = pool(1, WRITER_PRAGMAS)
        .connect_with(options.clone())
        .await
        .map_err(|error| cannot_open(&path, &error))?;
    migrate(&writer, &path).await?;
    drop(lock);
    let reads = pool(READERS, READER_PRAGMAS)
        .connect_with(options)
        .await
        .map_err(|error| cannot_open(&path, &error))?;
    Ok(Pools { writer: Writer::new(writer, BEGIN), reads, snapshot: SNAPSHOT })
}

fn path_of(url: &str) -> Result<PathBuf, LedgerError> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path == ":memory:" || path.contains('?') {
        return Err(LedgerError::CannotOpen(format!(
            "the ledger needs a file: set DATABASE_URL to sqlite:PATH, without parameters (it is {url:?})"
        )));
    }
    std::path::absolute(path)
        .map_err(|error| LedgerError::CannotOpen(format!("{path} is no path of a ledger: {error}")))
}

fn prepare_folder(path: &Path) -> Result<(), LedgerError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|error| {
        LedgerError::CannotOpen(format!(
            "the ledger's folder {} cannot be made ({error}): choose another with --data or DATABASE_URL",
            folder.display()
        ))
    })?;
    if path.is_dir() {
        return Err(LedgerError::CannotOpen(format!(
            "{} is a folder: DATABASE_URL must name a file",
            path.display()
        )));
    }
    Ok(())
}

fn options_for(path: &Path) -> Result<AnyConnectOptions, LedgerError> {
    let text = path.to_str().ok_or_else(|| {
        LedgerError::CannotOpen(format!("the ledger's path must be UTF-8: {}", path.display()))
    })?;
    let escaped: String = text
        .bytes()
        .map(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    let options = AnyConnectOptions::from_str(&format!("sqlite://{escaped}?mode=rwc"))
        .map_err(|error| LedgerError::CannotOpen(format!("{text} is no path of a ledger: {error}")))?;
    Ok(logging(options, None))
}

fn pool(connections: u32, pragmas: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                sqlx::raw_sql(pragmas).execute(conn).await?;
                Ok(())
            })
        })
}

/// sqlx's own lock does nothing on SQLite, and two processes that migrate at once break each other.
async fn lock_for_migrating(path: &Path) -> Result<File, LedgerError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let shown = beside.display().to_string();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).write(true).truncate(false).open(&beside)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    match locked.await {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(error)) => Err(LedgerError::CannotOpen(format!(
            "{shown} cannot be written ({error}): the ledger's folder must be writable for the user that runs \
             windlass; change its owner or choose another folder with --data"
        ))),
        Err(error) => Err(LedgerError::CannotOpen(format!("locking {shown} failed: {error}"))),
    }
}

/// One connection by hand: a pool would try for half a minute what cannot work, and then not say why.
async fn try_connection(options: &AnyConnectOptions, path: &Path) -> Result<(), LedgerError> {
    let mut conn = AnyConnection::connect_with(options).await.map_err(|error| cannot_open(path, &error))?;
    refuse_strangers(&mut conn, path).await?;
    sqlx::raw_sql(WRITER_PRAGMAS).execute(&mut conn).await.map_err(|error| cannot_open(path, &error))?;
    conn.close().await.map_err(|error| cannot_open(path, &error))
}

async fn migrate(writer: &AnyPool, path: &Path) -> Result<(), LedgerError> {
    let shown = path.display().to_string();
    let mut conn = writer.acquire().await.map_err(|error| cannot_open(path, &error))?;
    let taken = steps_taken(&mut conn).await.map_err(|error| cannot_open(path, &error))?;
    drop(conn);
    refuse_broken(&taken, &shown)?;
    migrator().run(writer).await.map_err(|error| not_migrated(&shown, &error))
}

/// The steps that the ledger has taken; nothing is changed, and no file is made.
pub(super) async fn look(url: &str) -> Result<Vec<Applied>, LedgerError> {
    let path = path_of(url)?;
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let options = options_for(&path)?;
    let mut conn = AnyConnection::connect_with(&options).await.map_err(|error| cannot_open(&path, &error))?;
    let taken = steps_taken(&mut conn).await.map_err(|error| cannot_open(&path, &error))?;
    conn.close().await.map_err(|error| cannot_open(&path, &error))?;
    Ok(taken)
}

async fn steps_taken(conn: &mut AnyConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let made: i64 = sqlx::query("SELECT COUNT(*) AS made FROM sqlite_master WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *conn)
        .await?
        .try_get("made")?;
    if made == 0 { Ok(Vec::new()) } else { applied(conn).await }
}

/// A database that has tables but none of ours belongs to another program.
async fn refuse_strangers(conn: &mut AnyConnection, path: &Path) -> Result<(), LedgerError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS tables, \
                COALESCE(SUM(CASE WHEN name = '_sqlx_migrations' THEN 1 ELSE 0 END), 0) AS ours \
         FROM sqlite_master WHERE type = 'table'",
    )
    .fetch_one(conn)
    .await
    .map_err(|error| cannot_open(path, &error))?;
    let (tables, ours): (i64, i64) = (row.try_get("tables")?, row.try_get("ours")?);
    if tables > 0 && ours == 0 {
        return Err(LedgerError::CannotOpen(format!(
            "{} is another program's database: choose another file with DATABASE_URL or another folder with --data",
            path.display()
        )));
    }
    Ok(())
}

fn cannot_open(path: &Path, error: &sqlx::Error) -> LedgerError {
    let shown = path.display();
    let code = match error {
        sqlx::Error::Database(inner) => inner.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0),
        _ => 0,
    };
    LedgerError::CannotOpen(match code & 0xff {
        26 => format!(
            "{shown} is not a database: move it away, or choose another file with DATABASE_URL or --data"
        ),
        8 | 14 => format!(
            "the ledger {shown} cannot be written ({error}): file and folder must be writable for the user that \
             runs windlass"
        ),
        5 | 6 => format!(
            "the ledger {shown} is locked by another program for longer than {BUSY_TIMEOUT_MS} ms: close what has \
             it open"
        ),
        11 => format!("the ledger {shown} is damaged ({error}): restore the last backup"),
        13 => format!("the disk of {shown} is full: make room and start again"),
        _ => format!("the ledger {shown} cannot be opened: {error}"),
    })
}
