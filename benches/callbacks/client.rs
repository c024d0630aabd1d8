//! One kept connection that posts forms: as little HTTP as will do.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Bytes of an answer that is ours.
const BODY_BYTES_MAX: usize = 64 * 1024;

pub struct Client {
    stream: BufReader<TcpStream>,
    to: SocketAddr,
}

impl Client {
    pub async fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), to })
    }

    /// Sends the form and answers the body of the answer, which must be a 200.
    pub async fn post(&mut self, path: &str, body: &[u8]) -> anyhow::Result<String> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            self.to,
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let first = self.line().await?;
        ensure!(first.starts_with("HTTP/1.1 200"), "the door answered {first}");
        let mut body_bytes = 0;
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.trim().parse().context("a length that is no number")?;
            }
        }
        ensure!(body_bytes <= BODY_BYTES_MAX, "an answer of {body_bytes} bytes");
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body).await?;
        Ok(String::from_utf8(body)?)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let bytes = self.stream.read_line(&mut line).await?;
        ensure!(bytes > 0, "the connection was closed within an answer");
        Ok(line.trim_end().to_owned())
    }
}
