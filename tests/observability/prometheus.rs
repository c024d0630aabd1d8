//! A Prometheus of our own, on a free port and in a folder of its own, with the rules of `deploy/prometheus`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use windlass_servers::free_port;
use windlass_testing::wait::until;

use crate::process::{Place, Running};

/// Where `scripts/test` unpacks what it does not install.
const UNPACKED: &str = "target/tools/usr/bin";

pub struct Prometheus {
    url: String,
    http: reqwest::Client,
    /// Killed when it is dropped.
    _running: Running,
}

/// One of the programs of Debian's package.
pub fn program(name: &str) -> PathBuf {
    let unpacked = root().join(UNPACKED).join(name);
    if unpacked.exists() { unpacked } else { PathBuf::from(name) }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn client() -> reqwest::Client {
    // The second test of a process finds the provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Prometheus {
    /// Scrapes `door` every second, as the job of a `windlass up`.
    pub async fn watching(place: &Place, door: &str) -> Self {
        let target = door.strip_prefix("http://").unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [\"{}/deploy/prometheus/rules/*.yml\"]\n\
             scrape_configs:\n  - job_name: windlass-up\n    static_configs:\n      - targets: [\"{target}\"]\n",
            root().display()
        );
        let config = place.file("prometheus.yml", &config);
        let free = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(program("prometheus"));
        command
            .arg(format!("--config.file={config}"))
            .arg(format!("--storage.tsdb.path={}", place.path("prometheus").display()))
            .arg(format!("--web.listen-address={free}"));
        let running = place.start(command);
        let me = Self { url: format!("http://{free}"), http: client(), _running: running };
        until("Prometheus is ready", async || me.is_ready().await.then_some(())).await;
        me
    }

    async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/-/ready", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The samples of an expression now.
    ///
    /// # Errors
    /// What Prometheus says of an expression that it cannot evaluate.
    pub async fn query(&self, expr: &str) -> Result<Vec<Value>, String> {
        let answer = self.get("query", &[("query", expr)]).await;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        Ok(match answer["data"]["result"].as_array() {
            Some(samples) if answer["data"]["resultType"] == "vector" => samples.clone(),
            _ => vec![answer["data"]["result"].clone()],
        })
    }

    /// Every rule that it has loaded.
    pub async fn rules(&self) -> Vec<Value> {
        let answer = self.get("rules", &[]).await;
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    async fn get(&self, what: &str, query: &[(&str, &str)]) -> Value {
        let request = self.http.get(format!("{}/api/v1/{what}", self.url)).query(query);
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
