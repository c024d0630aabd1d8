//! The house itself: how long what is kept ([`keep`]), and whether there is a backup of it ([`backups`]).
//!
//! What the carrier keeps of jobs that ended is the engine's own affair (`Store::prune`), and dead jobs in the outbox
//! are the relay's. Nobody here takes a backup: whoever does reports it.

mod backup_check;
pub mod backups;
pub mod keep;
mod prune;

pub use backup_check::{BackupCheck, Checked, check_backups};
pub use keep::KeepDays;
pub use prune::{Prune, Pruned, prune};
