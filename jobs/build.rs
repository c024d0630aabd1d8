//! Builds the ledger anew when a migration is added: `sqlx::migrate!` only sees changes of files that it knows.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
