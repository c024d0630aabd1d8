//! The carrier's file: who may open it, and how its connections are set up.
//!
//! One process owns the file, by a lock on a file beside it. What is there is looked at before anything is
//! written: another program's database stays as it is. There is no migration yet: version 1 is the first.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::store::{Claim, StoreError};

/// `WIND`: tells the carrier's file from any other application's.
const APPLICATION_ID: i32 = 0x5749_4e44;
/// The version of `schema.sql`.
const SCHEMA_VERSION: i32 = 1;
/// Prepared statements kept by a connection.
const STATEMENTS_MAX: usize = 200;
/// What the log may keep on disk after a burst.
const WAL_BYTES_KEPT: u32 = 64 * 1024 * 1024;

/// Takes the lock beside the file. It is held until the returned [`File`] is dropped, or the process dies.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let file =
        File::options().create(true).truncate(false).read(true).write(true).open(&beside).map_err(|e| {
            StoreError::Unavailable(format!(
                "cannot create {}: {e}; the folder must exist and be writable",
                beside.display()
            ))
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "another process has {} open; stop it, or give this one a file of its own",
            path.display()
        ))),
        Err(TryLockError::Error(e)) => {
            Err(StoreError::Unavailable(format!("cannot lock {}: {e}", beside.display())))
        }
    }
}

/// The path with its links resolved, so that every name of one file leads to one lock.
pub(super) fn resolve(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    }
}

/// The connection that writes. Creates the file and its schema when there is none. `pages_max` bounds the file.
pub(super) fn open_writer(path: &Path, pages_max: Option<u32>) -> Result<Connection, StoreError> {
    let conn = Connection::open(path).map_err(|e| cannot_open(path, &e))?;
    let fresh = recognise(&conn, path)?;
    // FULL: an enqueue that was answered is on the disk.
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = {WAL_BYTES_KEPT};
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;"
    ))
    .map_err(|e| cannot_open(path, &e))?;
    if fresh {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             {}
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {SCHEMA_VERSION};
             COMMIT;",
            include_str!("schema.sql")
        ))
        .map_err(|e| cannot_open(path, &e))?;
    }
    if let Some(pages) = pages_max {
        conn.pragma_update(None, "max_page_count", pages).map_err(|e| cannot_open(path, &e))?;
    }
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(conn)
}

/// Writes down whose carrier this is, or compares.
pub(super) fn claim(conn: &Connection, owner: &str) -> Result<Claim, StoreError> {
    // Made when first asked for: files from before this table stay as they are.
    conn.execute_batch("CREATE TABLE IF NOT EXISTS owner (one INTEGER PRIMARY KEY, name TEXT NOT NULL)")?;
    if conn.execute("INSERT INTO owner (one, name) VALUES (1, ?1) ON CONFLICT DO NOTHING", [owner])? == 1 {
        return Ok(Claim::New);
    }
    let known: String = conn.query_row("SELECT name FROM owner", [], |row| row.get(0))?;
    if known == owner { Ok(Claim::Known) } else { Err(StoreError::claimed_by_another(&known, owner)) }
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| cannot_open(path, &e))?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;")
        .map_err(|e| cannot_open(path, &e))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(conn)
}

/// Whether the file is new; an error when it is somebody else's.
fn recognise(conn: &Connection, path: &Path) -> Result<bool, StoreError> {
    let read = || -> rusqlite::Result<(i32, i32, i64)> {
        let pragma = |name| conn.pragma_query_value(None, name, |row| row.get(0));
        let tables = conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let path_shown = path.display();
    match read().map_err(|e| cannot_open(path, &e))? {
        (0, 0, 0) => Ok(true),
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(false),
        (APPLICATION_ID, version, _) if version > SCHEMA_VERSION => Err(StoreError::Unreadable(format!(
            "{path_shown} was written by a newer Windlass (schema {version}, this build knows {SCHEMA_VERSION}); \
             run that version, or use another file"
        ))),
        (APPLICATION_ID, version, _) => Err(StoreError::Unreadable(format!(
            "{path_shown} has schema {version}, which no Windlass ever wrote; restore a backup, or use another file"
        ))),
        _ => Err(StoreError::Unreadable(format!(
            "{path_shown} is another application's database; use another file"
        ))),
    }
}

fn cannot_open(path: &Path, e: &rusqlite::Error) -> StoreError {
    let path = path.display();
    match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            StoreError::Unreadable(format!("{path} is not a database; move it away, or use another file"))
        }
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            StoreError::Unreadable(format!("{path} is damaged ({e}); restore a backup"))
        }
        _ => StoreError::Unavailable(format!(
            "cannot open {path}: {e}; the file and its folder must be writable"
        )),
    }
}

/// What a statement's failure means to the caller.
impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Unreadable(format!("the carrier's file is damaged: {e}"))
            }
            Some(ErrorCode::DiskFull) => StoreError::Unavailable(format!("the disk is full: {e}")),
            _ => StoreError::Unavailable(e.to_string()),
        }
    }
}
