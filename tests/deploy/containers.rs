//! The order in which the scripts ask a container engine for things, with a stand-in that keeps containers as lines of files;
//! backup and restore with one that runs what the containers of the stores are asked for on this host. What a real engine makes
//! of it all is not shown here.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use windlass_servers::{Postgres, Redis, free_port, psql};

use crate::yard::{Said, WINDLASS, repository};

struct Host {
    folder: tempfile::TempDir,
}

const IMAGE: &str = "registry.example/windlass";

fn version(digit: char) -> String {
    format!("{IMAGE}@sha256:{}", digit.to_string().repeat(64))
}

impl Host {
    fn new() -> Self {
        Self::with("engine")
    }

    /// `engine`: a file of this folder that stands in for docker.
    fn with(engine: &str) -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["root", "bin", "engine/boxes"] {
            fs::create_dir_all(host.folder.path().join(folder)).unwrap();
        }
        symlink(repository().join("tests/deploy").join(engine), host.folder.path().join("bin/docker"))
            .unwrap();
        let root = host.folder.path().join("root");
        let conf = format!(
            "BACKEND=compose\nROOT={}\nIMAGE={IMAGE}\nREADY_S=1\nCONSUME_S=5\nSCHEDULERS=1\n",
            root.display()
        );
        fs::write(host.folder.path().join("deploy.conf"), conf).unwrap();
        host
    }

    fn run(&self, script: &str, args: &[&str]) -> Said {
        let place = self.folder.path();
        let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(repository().join("deploy").join(script));
        command.arg("--conf").arg(place.join("deploy.conf")).args(args).env_clear();
        Said::of(command.env("PATH", path).env("ENGINE", place.join("engine")).output().unwrap())
    }

    /// `service image` of every container that runs.
    fn running(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder.path().join("engine/boxes")).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let words: Vec<_> = text.split_whitespace().collect();
            assert_eq!(words[1], "running", "nothing that ended is left behind");
            found.push(format!("{} {}", words[2], words[0]));
        }
        found.sort();
        found
    }

    #[track_caller]
    fn all_run(&self, version: &str) {
        let services = ["api", "api", "scheduler", "worker", "worker"];
        assert_eq!(self.running(), services.map(|service| format!("{service} {version}")));
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("engine/calls")).unwrap()
    }
}

#[test]
fn a_container_is_ready_before_the_one_that_it_replaces_is_stopped() {
    let (host, one, two) = (Host::new(), version('1'), version('2'));
    host.run("deploy", &[&one]).ends(0, &["serves; nothing before it"]);
    host.all_run(&one);
    host.run("deploy", &["--no-backup", &two]).ends(0, &["worker.1", "api.2", "ready"]);
    host.all_run(&two);
    let calls = host.calls();
    let at = |what: &str| calls.find(what).unwrap_or_else(|| panic!("{what}: {calls}"));
    assert!(at("--wait postgres redis") < at(" check"), "the stores are there before anything looks at them");
    let check = calls.rfind(" check").unwrap();
    assert!(check < calls.rfind(" migrate").unwrap());
    // The second round: a third container is asked for, asked whether it is ready, and then the first one goes.
    let third = at("--scale worker=3 worker");
    assert!(
        third < at("stop -t 45 box100") && calls[third..at("stop -t 45 box100")].contains("exec box"),
        "{calls}"
    );
    assert!(at("stop -t 45 box100") < calls.rfind("--scale api=3 api").unwrap(), "front doors come last");
    host.run("rollback", &[]).ends(0, &["serves again"]);
    host.all_run(&one);
    let calls = host.calls();
    assert!(calls.contains("kill -s TERM"), "what runs is hurried");
    let all = calls.lines().filter(|call| call.matches("--scale").count() == 3).count();
    assert_eq!(all, 1, "all of the version before are started by one call: {calls}");
    host.run("health", &[]).ends(0, &["ok   api.2", "ok   consumption"]);
}

#[test]
fn a_container_that_is_never_ready_is_taken_away_and_the_old_one_never_stopped() {
    let (host, one, two) = (Host::new(), version('1'), version('2'));
    host.run("deploy", &[&one]).ends(0, &[]);
    fs::write(host.folder.path().join("engine/broken"), &two).unwrap();
    host.run("deploy", &["--no-backup", &two]).ends(1, &["worker.1 is not ready after 1 s", "rolled back"]);
    host.all_run(&one);
    assert!(!host.calls().contains("stop "), "nothing that served was stopped: {}", host.calls());
    host.run("deploy", &["windlass:latest"]).ends(2, &["an image by its digest"]);
}

const REDIS_SECRET: &str = "of-the-carrier";

/// What the containers `postgres` and `redis` would be.
struct Stores {
    postgres: Postgres,
    redis: Redis,
}

impl Stores {
    fn of(host: &Host) -> Self {
        let stores =
            Self { postgres: Postgres::start(), redis: Redis::with(&["--requirepass", REDIS_SECRET]) };
        stores.postgres.create_database("windlass");
        let place = host.folder.path();
        let places = format!(
            "PG_PORT={} REDIS_PORT={} REDIS_SECRET={REDIS_SECRET} DRILL_PORT={} WINDLASS={WINDLASS} SCHEDULES={}\n",
            stores.postgres.port(),
            stores.redis.port(),
            free_port(),
            repository().join("schedules").display()
        );
        fs::write(place.join("engine/places"), places).unwrap();
        fs::write(place.join("engine/redis_password"), format!("{REDIS_SECRET}\n")).unwrap();
        fs::create_dir_all(place.join("root/secrets")).unwrap();
        fs::write(place.join("root/secrets/redis_password"), format!("{REDIS_SECRET}\n")).unwrap();
        fs::write(place.join("root/secrets/postgres_password"), "trusted\n").unwrap();
        stores
    }

    fn sql(&self, sql: &str) -> String {
        psql(&self.postgres.url("windlass"), sql)
    }

    /// One command of windlass on the stores themselves.
    fn windlass(&self, args: &[&str]) -> Said {
        let mut command = Command::new(WINDLASS);
        command.args(args).env_clear().env("WINDLASS_LISTEN", "127.0.0.1:9");
        command.env("WINDLASS_SCHEDULES", repository().join("schedules"));
        command.env("DATABASE_URL", self.postgres.url("windlass"));
        command.env("QUEUE_URL", format!("redis://:{REDIS_SECRET}@127.0.0.1:{}/0", self.redis.port()));
        Said::of(command.output().unwrap())
    }
}

#[test]
fn a_backup_of_containers_can_be_restored() {
    let (host, one) = (Host::with("engine_with_stores"), version('1'));
    let stores = Stores::of(&host);
    host.run("deploy", &[&one]).ends(0, &["windlass check: all is well", "serves; nothing before it"]);
    let note =
        "INSERT INTO audit_log (id, at, who, what, about) VALUES ('kept', 1, 'somebody', 'kept', 'the shop')";
    stores.sql(note);
    stores.windlass(&["enqueue", "noop", "--id", "kept"]).ends(0, &[]);

    let folder = host.run("backup", &[]).ends(0, &[]).out.trim().to_owned();
    for file in ["ledger.dump", "carrier.rdb", "rows", "manifest.json", "SHA256SUMS"] {
        assert!(fs::metadata(format!("{folder}/{file}")).unwrap().len() > 0, "{file}");
    }
    stores.windlass(&["backups", "list"]).ends(0, &["ledger", "carrier"]);
    let drilled = ["as in the dump", "windlass check: all is well", "the books balance", "can be restored"];
    host.run("restore", &["--drill"]).ends(0, &drilled);
    let databases = "SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'windlass_drill_%'";
    assert_eq!(stores.sql(databases), "0", "a drill leaves nothing behind");

    stores.sql("DELETE FROM audit_log");
    stores.windlass(&["enqueue", "noop", "--id", "later"]).ends(0, &[]);
    host.run("restore", &["--yes", "--carrier", "restore"])
        .ends(0, &["stops every process", "the carrier is that of the backup", "serves from the backup"]);
    host.all_run(&one);
    assert_eq!(stores.sql("SELECT COUNT(*) FROM audit_log WHERE what = 'kept'"), "1");
    stores.windlass(&["jobs", "show", "kept"]).ends(0, &["ready"]);
    stores.windlass(&["jobs", "show", "later"]).ends(1, &[]);
    host.run("restore", &["--yes"]).ends(0, &["the carrier was emptied"]);
    stores.windlass(&["jobs", "show", "kept"]).ends(1, &[]);
}
