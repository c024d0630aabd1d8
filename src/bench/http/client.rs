//! As little HTTP as a client of one server can do with: on a small machine a full client would cost more than the
//! server that it measures.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use axum::http::StatusCode;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Bytes of an answer's line, and of its body, beyond which it is not ours.
const LINE_BYTES_MAX: usize = 8 * 1024;
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// One connection that posts the same body again and again.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    line: String,
    body: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(to: SocketAddr, path: &str, body: &[u8]) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Ok(Self { stream: BufReader::new(stream), request, line: String::new(), body: Vec::new() })
    }

    /// Sends the request and reads its answer to the end.
    pub(super) async fn post(&mut self) -> anyhow::Result<StatusCode> {
        self.stream.write_all(&self.request).await?;
        let status = self.line().await?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.context("the answer does not begin as HTTP does")?;
        let mut body_bytes = 0;
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = value.trim().parse().context("a length that is no number")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("an answer in chunks, which this client does not read");
            }
        }
        ensure!(body_bytes <= BODY_BYTES_MAX, "an answer of {body_bytes} bytes");
        self.body.resize(body_bytes, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(status)
    }

    async fn line(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        let bytes = (&mut self.stream).take(LINE_BYTES_MAX as u64).read_line(&mut self.line).await?;
        ensure!(bytes > 0 && self.line.ends_with('\n'), "the connection was closed within an answer");
        Ok(self.line.trim_end())
    }
}
