//! Deploy, failing deploy, rollback, restore: what the scripts promise.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use serde_json::Value;
use windlass_servers::psql;

use crate::balancer::Balancer;
use crate::load::{Load, TAG};
use crate::wait::until;
use crate::yard::Yard;

/// The attempts that each job of the load took, by id, once all of them are over.
fn done(yard: &Yard, jobs: usize) -> BTreeMap<String, u64> {
    until("all jobs are done", || {
        let (mut done, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let mut args =
                vec!["jobs", "list", "--json", "--tag", TAG, "--state", "completed", "--limit", "1000"];
            if !cursor.is_empty() {
                args.extend(["--cursor", &cursor]);
            }
            let page: Value = serde_json::from_str(&yard.windlass(&args).ends(0, &[]).out).unwrap();
            for job in page["jobs"].as_array().unwrap() {
                let twice =
                    done.insert(job["id"].as_str().unwrap().to_owned(), job["attempt"].as_u64().unwrap());
                assert_eq!(twice, None, "one job is listed twice: {job}");
            }
            match page["cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        (done.len() >= jobs).then_some(done)
    })
}

#[test]
fn a_deploy_under_load_fails_no_enqueue_and_does_every_job_once() {
    let yard = Yard::new();
    yard.version("v1");
    yard.run("deploy", &["v1"]).ends(0, &["serves; nothing before it"]);
    yard.all_run("v1");
    // Its migrate takes a step that v1 does not know.
    yard.version_that("v2", &adds_to_the_schema(&yard));

    let balancer = Balancer::before(&yard.doors, yard.folder.path());
    let load = Load::on(&balancer.url);
    yard.run("deploy", &["v2"])
        .ends(0, &["windlass check: all is well", "worker.1: v1 -> v2, ready", "serves; v1 before it"]);
    yard.all_run("v2");
    let told = load.end();
    told.all_taken(&balancer);

    let done = done(&yard, told.ids.len());
    assert!(told.ids.iter().all(|id| done.contains_key(id)) && done.len() == told.ids.len());
    assert!(done.values().all(|attempts| *attempts == 1), "draining uses no attempt");
    println!(
        "{} jobs in {:?} ({:.0}/s) while everything was replaced: enqueue p50 {:?}, p99 {:?}, longest {:?}",
        told.ids.len(),
        told.took,
        told.ids.len() as f64 / told.took.as_secs_f64(),
        told.percentile(50),
        told.percentile(99),
        told.percentile(100),
    );

    // And back, to the version that does not know the last step.
    let load = Load::on(&balancer.url);
    let began = Instant::now();
    yard.run("rollback", &[]).ends(0, &["from v2 back to v1", "serves again"]);
    println!("rolled back in {:?}", began.elapsed());
    yard.all_run("v1");
    let told = load.end();
    told.all_taken(&balancer);
    yard.windlass(&["audit"]).ends(0, &["balanced"]);
    let health: Value = serde_json::from_str(&yard.run("health", &["--json"]).ends(0, &[]).out).unwrap();
    assert_eq!(health["ok"], true, "{health}");
    yard.run("rollback", &[]).ends(2, &["no version is known"]);
    let log = yard.log();
    assert!(log.lines().all(|line| line.split('\t').count() == 4), "{log}");
    assert!(log.contains("\tdeploy\tv2\tserves; v1 before it"), "{log}");
}

/// The arm of a version whose migrate adds a table, as the next version's would.
fn adds_to_the_schema(yard: &Yard) -> String {
    let sql = "CREATE TABLE added_by_v2 (id BIGINT PRIMARY KEY); INSERT INTO _sqlx_migrations \
               (version, description, success, checksum, execution_time) VALUES (9999, 'added', true, '\\x00', 0)";
    let windlass = crate::yard::WINDLASS;
    format!("migrate) {windlass} \"$@\" && exec psql -X -q -d '{}' -c \"{sql}\" ;;", yard.database)
}

#[test]
fn a_deploy_that_fails_goes_back_by_itself() {
    let yard = Yard::new();
    yard.set("READY_S=8");
    yard.version("v1");
    yard.version_that("dies", "worker) echo no such luck >&2; exit 1 ;;");
    // Workers are replaced by then.
    yard.version_that("hangs", "scheduler) exec sleep 600 ;;");
    yard.version_that("refuses", "check) echo 'SECRET_KEY: missing' >&2; exit 2 ;;");
    yard.run("deploy", &["v1"]).ends(0, &[]);

    yard.run("deploy", &["--no-backup", "refuses"]).ends(2, &["SECRET_KEY: missing", "v1 goes on"]);
    yard.run("deploy", &["--no-backup", "dies"]).ends(1, &["worker.1 has ended", "rolled back: v1 serves"]);
    yard.all_run("v1");
    yard.run("deploy", &["--no-backup", "hangs"]).ends(
        1,
        &["worker.2: v1 -> hangs, ready", "scheduler.1 is not ready after 8 s", "rolled back: v1 serves"],
    );
    yard.all_run("v1");
    yard.run("health", &[]).ends(0, &["ok   release", "ok   worker.2", "ok   consumption"]);
    assert_eq!(fs::read_to_string(yard.path("state/current")).unwrap(), "v1\n");
    assert!(!yard.path("state/previous").exists(), "what never served is nothing to go back to");
    yard.run("rollback", &[]).ends(2, &["no version is known"]);
    yard.run("deploy", &["never-built"]).ends(2, &["there is no program"]);
}

#[test]
fn health_tells_each_part_that_does_not_work() {
    let yard = Yard::new();
    yard.set("CONSUME_S=1");
    yard.version("v1");
    yard.run("health", &[]).ends(1, &["BAD  release", "BAD  worker.1       does not run"]);
    yard.run("deploy", &["v1"]).ends(0, &[]);
    for name in ["worker.1", "worker.2"] {
        let text = fs::read_to_string(yard.path("run").join(name)).unwrap();
        let pid = text.split(' ').next().unwrap().to_owned();
        assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    }
    until("they are gone", || (yard.running().len() == 3).then_some(()));
    let told = yard.run("health", &["--json"]).ends(1, &[]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let of = |name: &str| {
        told["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()["ok"].clone()
    };
    for (name, ok) in
        [("worker.1", false), ("consumption", false), ("api", true), ("carrier", true), ("ledger", true)]
    {
        assert_eq!(of(name), ok, "{name}: {told}");
    }
}

#[test]
fn a_backup_can_be_restored_and_a_damaged_one_is_told() {
    let yard = Yard::new();
    yard.set("BACKUPS_KEPT=2");
    fs::write(yard.path("password"), "of the backups\n").unwrap();
    yard.set(&format!("BACKUP_PASSWORD_FILE={}", yard.path("password").display()));
    yard.version("v1");
    yard.run("deploy", &["v1"]).ends(0, &[]);
    let note = "INSERT INTO audit_log (id, at, who, what, about) VALUES";
    psql(&yard.database, &format!("{note} ('kept', 1, 'somebody', 'kept', 'the shop')"));
    yard.windlass(&["enqueue", "noop", "--id", "kept", "--wait", "30"]).ends(0, &["completed"]);

    let folder = yard.run("backup", &[]).ends(0, &[]).out.trim().to_owned();
    for file in ["ledger.dump.enc", "carrier.rdb.enc", "rows", "manifest.json", "SHA256SUMS"] {
        assert!(fs::metadata(format!("{folder}/{file}")).unwrap().len() > 0, "{file}");
    }
    let status = || -> Value {
        serde_json::from_str(&fs::read_to_string(yard.path("state/backup-status.json")).unwrap()).unwrap()
    };
    assert_eq!(status()["backups"][0]["verified_at"], Value::Null);
    yard.run("restore", &["--drill"])
        .ends(0, &["as in the dump", "windlass check: all is well", "the books balance", "can be restored"]);
    for (kind, nth) in [("ledger", 0), ("carrier", 1)] {
        let told = &status()["backups"][nth];
        assert_eq!((&told["kind"], told["verified_at"].is_string()), (&kind.into(), true), "{told}");
        assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    }
    let server = yard.database.rsplit_once('/').unwrap().0;
    let left = psql(
        &format!("{server}/postgres"),
        "SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'windlass_drill_%'",
    );
    assert_eq!(left, "0", "a drill leaves nothing behind");

    // What came after the backup is gone with it, what came before is back.
    psql(&yard.database, "DELETE FROM audit_log");
    yard.windlass(&["enqueue", "noop", "--id", "later", "--wait", "30"]).ends(0, &["completed"]);
    yard.run("restore", &["--yes", "--carrier", "restore"])
        .ends(0, &["stops every process", "v1 serves from the backup"]);
    yard.all_run("v1");
    assert_eq!(yard.count("SELECT COUNT(*) FROM audit_log WHERE what = 'kept'"), 1);
    yard.windlass(&["jobs", "show", "kept"]).ends(0, &["completed"]);
    yard.windlass(&["jobs", "show", "later"]).ends(1, &[]);
    yard.windlass(&["audit"]).ends(0, &["balanced"]);
    yard.run("restore", &["--yes"]).ends(0, &["the carrier was emptied"]);
    yard.windlass(&["jobs", "show", "kept"]).ends(1, &[]);

    let dump = format!("{folder}/ledger.dump.enc");
    let mut bytes = fs::read(&dump).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&dump, bytes).unwrap();
    yard.run("restore", &["--drill", "--from", &folder]).ends(1, &["is damaged"]);
}
