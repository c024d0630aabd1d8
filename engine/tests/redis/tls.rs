//! The way to the server with TLS.
//!
//! Whom our client trusts is read from the process's environment: so a test starts this binary again, as the same
//! test, which sees [`URL`] and only opens the store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use windlass_engine::store::redis::{RedisSettings, RedisStore};
use windlass_engine::{Clock, Store};
use windlass_servers::Redis;

use crate::jobs::*;

/// The address, told to the child.
const URL: &str = "WINDLASS_TEST_TLS_URL";
const TEST: &str = "tls::certificates_are_checked";

fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl").args(args.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority `ca-NAME.pem`.
fn authority(folder: &Path, name: &str) -> PathBuf {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -keyout ca-{name}.key -out ca-{name}.pem -days 2 -subj /CN={name}"),
    );
    folder.join(format!("ca-{name}.pem"))
}

/// A certificate `NAME.pem` for these names, by the authority.
fn certificate(folder: &Path, authority: &str, name: &str, names: &str) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
    let text = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
    std::fs::write(folder.join(format!("{name}.ext")), text).unwrap();
    let by = format!("-CA ca-{authority}.pem -CAkey ca-{authority}.key -CAcreateserial");
    openssl(folder, &format!("x509 -req -in {name}.csr {by} -extfile {name}.ext -days 2 -out {name}.pem"));
}

fn server(folder: &Path, certificate: &str) -> Redis {
    let file = |end: &str| folder.join(format!("{certificate}.{end}")).display().to_string();
    Redis::with_tls(&[
        "--tls-cert-file",
        &file("pem"),
        "--tls-key-file",
        &file("key"),
        "--tls-auth-clients",
        "no",
    ])
}

/// What a process that trusts only this authority says of the address.
fn opened_by_one_who_trusts(authority: &Path, url: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(URL, url)
        .env("SSL_CERT_FILE", authority)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("child: ").map(str::to_owned));
    line.unwrap_or_else(|| panic!("the child said {said}{}", String::from_utf8_lossy(&output.stderr)))
}

async fn open_and_tell(url: String) {
    let settings = RedisSettings { answer_max: Duration::from_secs(2), ..settings(url) };
    let said = match RedisStore::open(settings, Clock::system()).await {
        Ok(store) => {
            add(&store, vec![job("a")]).await;
            let taken = take_one(&store).await;
            complete(&store, &[taken]).await;
            store.ping().await.unwrap();
            "done".to_owned()
        }
        Err(error) => format!("{error:?}"),
    };
    println!("\nchild: {said}");
}

#[tokio::test]
async fn certificates_are_checked() {
    if let Ok(url) = std::env::var(URL) {
        return open_and_tell(url).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (authority(folder.path(), "ours"), authority(folder.path(), "theirs"));
    certificate(folder.path(), "ours", "right", "IP:127.0.0.1,DNS:localhost");
    certificate(folder.path(), "ours", "elsewhere", "DNS:redis.elsewhere.example");
    let (right, elsewhere) = (server(folder.path(), "right"), server(folder.path(), "elsewhere"));
    let tls = |redis: &Redis| format!("rediss://127.0.0.1:{}/", redis.port());

    assert_eq!(opened_by_one_who_trusts(&ours, &tls(&right)), "done");
    let by_name = format!("rediss://localhost:{}/", right.port());
    assert_eq!(opened_by_one_who_trusts(&ours, &by_name), "done");
    for (authority, url, says) in [
        (&theirs, tls(&right), "authority that this system or SSL_CERT_FILE trusts"),
        (&ours, tls(&elsewhere), "not valid for name"),
        (&ours, right.url(), "rediss"),
        (&ours, Redis::shared().replace("redis:", "rediss:"), "no TLS connection"),
    ] {
        let said = opened_by_one_who_trusts(authority, &url);
        assert!(said.starts_with("Unavailable(") && said.contains(says), "{url}: {said}");
    }
}
