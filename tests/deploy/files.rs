//! What stands in files that nothing here can run: every name that they give is checked against what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use windlass::config::{Config, VARIABLES};
use windlass::front_door::READY_PATHS;

use crate::balancer::{nginx, place_files};
use crate::yard::repository;

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn files_in(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(repository().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Names in capitals at the beginning of a line or after `set`, as YAML and env files have them.
fn names_set(text: &str) -> BTreeSet<String> {
    let key = |line: &str| {
        let line = line.trim_start().trim_start_matches("- {name: ").trim_start_matches("Environment=");
        let end = line.find([':', '=', ','])?;
        let name = &line[..end];
        let fits =
            name.len() > 3 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        fits.then(|| name.to_owned())
    };
    text.lines().filter_map(key).collect()
}

/// What other programs of the compose file read.
const OF_OTHERS: [&str; 1] = ["POSTGRES_INITDB_ARGS"];

fn known(name: &str) -> bool {
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    VARIABLES.iter().any(|variable| variable.name == name || (variable.secret && variable.name == plain))
}

#[test]
fn every_variable_that_a_deployment_sets_is_one_of_ours() {
    let mut files = vec!["docker-compose.yml".to_owned(), "deploy/compose.production.yml".to_owned()];
    for folder in ["deploy/kubernetes", "deploy/systemd"] {
        let names =
            files_in(folder).into_iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned());
        files.extend(names.map(|name| format!("{folder}/{name}")));
    }
    let mut seen = 0;
    for file in files {
        let text = text(&file);
        // Services of monitoring have variables of their own.
        let ours = text.split("# Profile monitoring:").next().unwrap();
        for name in names_set(ours).into_iter().filter(|name| !OF_OTHERS.contains(&name.as_str())) {
            assert!(known(&name), "{file} sets {name}, which nothing reads: see .env.example");
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} names were found: is the form another one?");
}

/// `{file}:{line}` of text after each `marker`, up to the first of `ends`.
fn after<'a>(text: &'a str, marker: &'a str, ends: &'a [char]) -> impl Iterator<Item = &'a str> {
    text.split(marker).skip(1).map(move |rest| rest.split(ends).next().unwrap_or_default())
}

#[test]
fn probes_of_kubernetes_ask_for_what_each_process_tells_at_its_port_for_monitors() {
    let mut probes = 0;
    for (file, port) in [("api", 9100), ("worker", 9101), ("scheduler", 9102)] {
        let text = text(&format!("deploy/kubernetes/{file}.yaml"));
        for told in [
            format!("name: WINDLASS_METRICS_LISTEN, value: \"0.0.0.0:{port}\""),
            format!("name: monitors, containerPort: {port}"),
            format!("prometheus.io/port: \"{port}\""),
        ] {
            assert!(text.contains(&told), "{file}: {told}");
        }
        for path in after(&text, "httpGet: {path: ", &[',']) {
            assert!(path == "/livez" || READY_PATHS.contains(&path), "{file}: nothing is told at {path}");
            probes += 1;
        }
        assert_eq!(text.matches("port: monitors}\n").count(), text.matches("httpGet:").count(), "{file}");
    }
    assert_eq!(probes, 9);
}

#[test]
fn every_file_that_compose_mounts_is_there() {
    let compose = text("docker-compose.yml") + &text("deploy/compose.production.yml");
    let mounts: Vec<_> =
        after(&compose, "- \"./", &[':', '"']).chain(after(&compose, "- ./", &[':', '\n'])).collect();
    assert!(mounts.contains(&"deploy/nginx/nginx.conf") && mounts.len() >= 4, "{mounts:?}");
    for mount in mounts {
        assert!(repository().join(mount).exists(), "compose mounts ./{mount}, which is not there");
    }
}

#[test]
fn the_image_is_made_of_what_there_is() {
    let dockerfile = text("deploy/Dockerfile");
    let copied: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            words[..words.len() - 1].to_vec()
        })
        .collect();
    let ignored = text(".dockerignore");
    for path in &copied {
        assert!(repository().join(path).exists(), "deploy/Dockerfile copies {path}, which is not there");
        assert!(
            ignored.lines().any(|line| line.strip_prefix('!') == Some(path)),
            ".dockerignore leaves {path} out"
        );
    }
    // Whatever the code takes in when it is built.
    let mut taken = 0;
    for folder in ["src", "engine/src", "jobs/src", "sandbox/src"] {
        for file in sources(&repository().join(folder)) {
            let code = fs::read_to_string(&file).unwrap();
            // What only tests take in is not built into the image.
            let code = code.split("#[cfg(test)]").next().unwrap();
            let takes =
                after(code, "include_str!(\"", &['"']).chain(after(code, "include_bytes!(\"", &['"']));
            for included in takes {
                let path = normal(&file.parent().unwrap().join(included));
                let path = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
                let is_there =
                    copied.iter().any(|copied| path == *copied || path.starts_with(&format!("{copied}/")));
                assert!(
                    is_there,
                    "{} takes in {path}, which deploy/Dockerfile does not copy",
                    file.display()
                );
                taken += 1;
            }
        }
    }
    assert!(taken > 5, "only {taken} files are taken in: is the form another one?");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            normal.pop();
        } else {
            normal.push(part)
        }
    }
    normal
}

/// docker-compose of Debian, which works without a container engine.
fn compose(files: &[&str]) -> Option<String> {
    let mut command = Command::new("docker-compose");
    for file in files {
        command.args(["-f", file]);
    }
    let output = command.arg("config").current_dir(repository()).output().ok()?;
    assert!(output.status.success(), "{files:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn compose_reads_its_files_and_starts_the_core_alone() {
    let Some(core) = compose(&["docker-compose.yml"]) else {
        println!("docker-compose is not installed: skipped");
        return;
    };
    for service in ["api", "worker", "scheduler", "migrate", "postgres", "redis", "nginx"] {
        assert!(core.contains(&format!("\n  {service}:\n")), "{service} is not of the core");
    }
    assert!(!core.contains("container_name"), "a name of its own lets nothing be scaled");
    assert!(core.contains("condition: service_completed_successfully"));
    let production = compose(&["docker-compose.yml", "deploy/compose.production.yml"]).unwrap();
    assert!(
        production.contains("WINDLASS_ENV: production") && !production.contains("WINDLASS_ENV: development")
    );
}

#[test]
fn redis_of_compose_keeps_what_it_was_told() {
    let conf = text("deploy/redis/redis.conf");
    for line in ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"] {
        assert!(conf.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn nginx_reads_the_traditional_example() {
    let folder = tempfile::tempdir().unwrap();
    let files = place_files(folder.path());
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=jobs.shop.example",
        ])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let place = folder.path().to_str().unwrap();
    let site = fs::read_to_string(format!("{files}/traditional.conf")).unwrap();
    let site = site
        .replace("/etc/letsencrypt/live/jobs.shop.example/fullchain.pem", &format!("{place}/cert.pem"))
        .replace("/etc/letsencrypt/live/jobs.shop.example/privkey.pem", &format!("{place}/key.pem"))
        .replace("/var/log/nginx", place);
    let conf =
        format!("pid {place}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{site}\n}}\n");
    fs::write(folder.path().join("nginx.conf"), conf).unwrap();
    let checked = nginx().args(["-t", "-q", "-c"]).arg(folder.path().join("nginx.conf")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_settings_of_the_scripts_are_all_in_their_example() {
    let (code, example) = (text("deploy/lib/settings.sh"), text("deploy/deploy.conf.example"));
    let names =
        code.lines().skip_while(|line| !line.starts_with("BACKEND=")).take_while(|line| !line.is_empty());
    let names: Vec<_> = names.filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let name = match name {
            "REPLICAS" => "REPLICA",
            "COMPOSE_FILES" => "COMPOSE_FILE",
            other => other,
        };
        let shown = example.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{name}=")));
        assert!(shown, "deploy/deploy.conf.example does not show {name}");
    }
}

#[test]
fn a_production_that_lacks_everything_is_told_everything_at_once() {
    let production = text("deploy/compose.production.yml");
    let variables = [("WINDLASS_ENV".to_owned(), "production".to_owned())].into();
    let told = Config::read(variables, Path::new("/nonexistent/.env")).unwrap_err().to_string();
    let missing: Vec<_> =
        VARIABLES.iter().map(|variable| variable.name).filter(|name| told.contains(name)).collect();
    assert!(missing.len() > 20, "{told}");
    let elsewhere = ["QUEUE_URL", "DATABASE_URL", "SECRET_KEY", "WINDLASS_DATA", "WINDLASS_ENV"];
    for name in missing.iter().filter(|name| !elsewhere.contains(name)) {
        assert!(
            production.contains(name),
            "production needs {name}, and deploy/compose.production.yml does not set it"
        );
    }
}
