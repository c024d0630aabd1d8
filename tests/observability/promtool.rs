//! The rules by themselves: they can be read, and each alert has a page, and histories for and against it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::prometheus::{program, root};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<_> = folder.map(|item| item.unwrap().path()).collect();
    files.sort();
    files
}

fn promtool(args: &[&str], files: &[PathBuf]) {
    let ended = Command::new(program("promtool")).args(args).args(files).current_dir(root()).output();
    let ended = ended.expect("promtool is there: scripts/test brings it (Debian's package prometheus)");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ended.status.success(), "promtool {args:?}:\n{}{}", said(&ended.stdout), said(&ended.stderr));
}

#[test]
fn configurations_and_rules_can_be_read() {
    let configs = [root().join("prometheus.yml"), root().join("deploy/prometheus/local.yml")];
    promtool(&["check", "config"], &configs);
    promtool(&["check", "rules", "--lint-fatal"], &files("deploy/prometheus/rules"));
}

#[test]
fn alertmanager_can_read_whom_to_tell() {
    let config = root().join("deploy/alertmanager.yml");
    let ended = Command::new(program("amtool")).arg("check-config").arg(config).output();
    let ended =
        ended.expect("amtool is there: scripts/test brings it (Debian's package prometheus-alertmanager)");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn each_history_fires_what_it_should() {
    promtool(&["test", "rules"], &files("deploy/prometheus/tests"));
}

/// What stands after `key` on each line that has it.
fn after<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.trim_start().trim_start_matches("- ").strip_prefix(key))
        .map(str::trim)
}

#[test]
fn each_alert_has_a_severity_a_page_and_histories_for_and_against_it() {
    let mut pages = BTreeSet::new();
    let mut alerts = 0;
    for rules in files("deploy/prometheus/rules") {
        let text = fs::read_to_string(&rules).unwrap();
        let tests = root().join("deploy/prometheus/tests").join(rules.file_name().unwrap());
        let tests = fs::read_to_string(tests).unwrap_or_default();
        for rule in text.split("- alert: ").skip(1) {
            alerts += 1;
            let name = rule.lines().next().unwrap().trim();
            let severity = after(rule, "labels: {severity: ").next().unwrap_or_default();
            assert!(["critical}", "warning}"].contains(&severity), "{name}: severity {severity:?}");
            assert!(after(rule, "summary: ").next().is_some(), "{name} has no summary");
            let page = after(rule, "runbook_url: ").next().unwrap_or_else(|| panic!("{name} has no runbook"));
            let told =
                fs::read_to_string(root().join(page)).unwrap_or_else(|_| panic!("{name}: no file {page}"));
            assert!(told.contains(&format!("`{name}`")), "{page} does not name {name}");
            for part in ["## What it means", "## What to look at", "## What to do"] {
                assert!(told.contains(part), "{page} lacks {part:?}");
            }
            pages.insert(root().join(page));
            let histories: Vec<_> = tests.split(&format!("alertname: {name}\n")).skip(1).collect();
            let quiet = |history: &&str| history.trim_start().starts_with("exp_alerts: []");
            assert!(histories.iter().any(|history| !quiet(history)), "{name}: no history fires it");
            assert!(histories.iter().any(quiet), "{name}: every history fires it");
        }
    }
    assert!(alerts >= 20, "{alerts} alerts: are they still read?");
    let there: BTreeSet<_> =
        files("docs/runbooks").into_iter().filter(|page| !page.ends_with("README.md")).collect();
    assert_eq!(there, pages, "every page belongs to an alert");
}
