//! HTTP without a client of ours in between, and with errors as values: whoever is called may be dead.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than a request may take at the front door.
const ANSWER_MAX: Duration = Duration::from_secs(20);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Such as `http://127.0.0.1:8080`.
pub fn get(base: &str, path: &str) -> Result<(u16, Value), String> {
    call("GET", base, path, "")
}

pub fn post(base: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
    call("POST", base, path, &body.to_string())
}

/// What is there; panics where nobody answers so.
#[track_caller]
pub fn read(base: &str, path: &str) -> Value {
    match get(base, path) {
        Ok((200, told)) => told,
        other => panic!("GET {base}{path}: {other:?}"),
    }
}

fn call(method: &str, base: &str, path: &str, body: &str) -> Result<(u16, Value), String> {
    let (head, body) = exchange(method, base, path, body).map_err(|error| error.to_string())?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {head:?}"))?;
    // What is no JSON is told as the text that it is.
    Ok((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

fn exchange(method: &str, base: &str, path: &str, body: &str) -> std::io::Result<(String, String)> {
    let address: SocketAddr = base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if !body.is_empty() {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut_short = || std::io::Error::other("the answer was cut short");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut_short)?;
    let lower = head.to_lowercase();
    let wanted = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if wanted.is_some_and(|wanted: usize| wanted != body.len()) {
        return Err(cut_short());
    }
    Ok((head.to_owned(), body.to_owned()))
}
