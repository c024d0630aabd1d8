//! The schedules that a process runs or shows: files whose payloads are held against the kinds of this build.

use std::path::Path;

use serde_json::value::RawValue;
use windlass_engine::JobTable;
use windlass_engine::schedule::{Misfit, Schedules};
use windlass_jobs::JOBS;

use crate::front_door::Kinds;

/// Reads the schedules; their payloads must fit the kinds' schemas as those of the front door must.
///
/// # Errors
/// Every problem of every file at once.
pub fn schedules(folder: &Path) -> anyhow::Result<Schedules> {
    let table = JobTable::new(JOBS);
    let kinds = Kinds::of(&table)?;
    let lane_of = |kind: &str, payload: &RawValue| {
        let lane = table.lane(kind, payload)?;
        let value = serde_json::from_str(payload.get()).map_err(|e| Misfit::Payload(vec![e.to_string()]))?;
        match kinds.get(kind).map(|known| known.check(payload, &value)) {
            Some(Err(faults)) => Err(Misfit::Payload(
                faults
                    .iter()
                    .map(|fault| {
                        format!("{}: {}", fault.pointer.as_deref().unwrap_or_default(), fault.message)
                    })
                    .collect(),
            )),
            _ => Ok(lane),
        }
    };
    Ok(Schedules::load(folder, &lane_of)?)
}

#[cfg(test)]
mod tests {
    use windlass_engine::schedule::{CatchUp, Overlap};

    use super::*;

    #[test]
    fn a_schedule_whose_payload_breaks_the_schema_is_refused_where_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let entry = "[nap]\nevery = \"1h\"\njob = \"sleep\"\npayload = { ms = 3_600_001 }\n";
        std::fs::write(folder.path().join("naps.toml"), entry).unwrap();
        let refused = schedules(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("/payload/ms") && refused.contains("naps.toml"), "{refused}");
    }

    /// The folder that is shipped: `schedules` checks kinds, schemas and that what expires does so before the next
    /// instant.
    #[test]
    fn the_schedules_of_the_house_fit_their_kinds_and_build_no_backlog() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
        let all = schedules(&folder).unwrap_or_else(|problems| panic!("{problems:#}"));
        for entry in all.iter() {
            let name = &entry.name;
            assert!(!entry.description.is_empty(), "{name} says for people what it does");
            assert!(entry.enabled, "{name} is shipped to run");
            // One at a time, so that a job that waits keeps the next ones from piling up behind it; or each gone
            // before the next comes.
            let alone = entry.overlap != Overlap::Allow && !matches!(entry.catch_up, CatchUp::All { .. });
            assert!(alone || entry.expires.is_some(), "{name} may build a backlog");
            if let Some(zone) = entry.rhythm.zone() {
                assert_eq!(zone, "Asia/Shanghai", "{name} is read on the shop's clock");
            }
        }
        // Whatever comes by a schedule in the catalogue of the business, and is in this build, has one.
        let table = JobTable::new(JOBS);
        let scheduled: Vec<&str> = all.iter().map(|entry| entry.job.as_str()).collect();
        let missing: Vec<_> = BY_SCHEDULE
            .iter()
            .filter(|kind| table.get(kind).is_none() || !scheduled.contains(*kind))
            .collect();
        assert!(missing.is_empty(), "no schedule starts {missing:?}");
    }

    const BY_SCHEDULE: [&str; 15] = [
        "expire_unpaid_orders",
        "sweep_orders",
        "compare_shipments",
        "watch_supplier_orders",
        "track_parcels",
        "sync_products",
        "sync_prices",
        "sync_stock",
        "check_supplier_balance",
        "fetch_bill",
        "refresh_tokens",
        "daily_summary",
        "tell_findings",
        "prune",
        "backup_check",
    ];
}
