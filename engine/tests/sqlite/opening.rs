//! Who may open the file, and what whoever may not is told.

use std::path::Path;

use rusqlite::Connection;
use windlass_engine::store::sqlite::SqliteStore;
use windlass_engine::{Clock, Store, StoreError};

use crate::child::{self, Process};
use crate::jobs::*;

fn refusal(path: &Path) -> StoreError {
    match SqliteStore::open(path, Clock::system()) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(e) => e,
    }
}

fn assert_unreadable(path: &Path, says: &str) {
    let before = std::fs::read(path).unwrap();
    let refusal = refusal(path);
    assert!(matches!(refusal, StoreError::Unreadable(_)), "{refusal:?}");
    assert!(refusal.to_string().contains(says), "{refusal}");
    assert_eq!(std::fs::read(path).unwrap(), before, "what is somebody else's stays as it is");
}

#[tokio::test]
async fn two_processes_cannot_have_one_file_open() {
    if let Some(path) = child::path() {
        let _store = SqliteStore::open(path, Clock::system()).unwrap();
        child::say("open");
        return child::listen();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let mut owner = Process::start("opening::two_processes_cannot_have_one_file_open", &path);
    assert_eq!(owner.hear().as_deref(), Some("open"));
    let refusal = refusal(&path);
    assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
    assert!(refusal.to_string().contains("another process has"), "{refusal}");
    owner.kill();
    SqliteStore::open(&path, Clock::system()).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_link_to_the_file_is_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("queue.db"), folder.path().join("link.db"));
    let _store = SqliteStore::open(&path, Clock::system()).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(refusal(&link).to_string().contains("another process has"));
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    for text in ["order 1001".to_owned(), "order 1001\n".repeat(1_000)] {
        std::fs::write(&path, text).unwrap();
        assert_unreadable(&path, "is not a database");
    }
}

#[test]
fn another_applications_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE orders (no TEXT)").unwrap();
    assert_unreadable(&path, "another application's");
    Connection::open(&path).unwrap().pragma_update(None, "application_id", 7).unwrap();
    assert_unreadable(&path, "another application's");
}

#[test]
fn a_newer_schema_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    drop(SqliteStore::open(&path, Clock::system()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_unreadable(&path, "newer Windlass");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plain");
    std::fs::write(&file, "").unwrap();
    for path in [file.join("queue.db"), folder.path().join("nowhere").join("queue.db")] {
        let refusal = refusal(&path).to_string();
        assert!(refusal.contains("the folder must exist and be writable"), "{refusal}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_carrier() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::fs::write(&path, "").unwrap();
    let store = SqliteStore::open(&path, Clock::system()).unwrap();
    store.enqueue(vec![job("a", 10)]).await.unwrap();
}
