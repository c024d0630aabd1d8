//! The order in which the scripts ask a container engine for things, with a stand-in that keeps containers as lines of files.
//! What a real engine makes of them is not shown here.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::yard::{Said, repository};

struct Host {
    folder: tempfile::TempDir,
}

const IMAGE: &str = "registry.example/windlass";

fn version(digit: char) -> String {
    format!("{IMAGE}@sha256:{}", digit.to_string().repeat(64))
}

impl Host {
    fn new() -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["root", "bin", "engine/boxes"] {
            fs::create_dir_all(host.folder.path().join(folder)).unwrap();
        }
        symlink(repository().join("tests/deploy/engine"), host.folder.path().join("bin/docker")).unwrap();
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
    assert!(host.calls().contains("kill -s TERM"), "what runs is hurried");
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
