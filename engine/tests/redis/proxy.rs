//! A way to the server that breaks: each connection after a number of bytes, in the middle of whatever they say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes that a connection carries to the server, and from it, before it breaks.
const UP: std::ops::Range<u64> = 500..40_000;
const DOWN: std::ops::Range<u64> = 200..15_000;

pub struct Proxy {
    port: u16,
    breaking: Arc<Breaking>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Breaking {
    on: AtomicBool,
    cuts_up: AtomicU64,
    cuts_down: AtomicU64,
    chance: Mutex<fastrand::Rng>,
}

impl Proxy {
    /// Breaks nothing until [`Self::break_connections`] is called.
    pub async fn to(server_port: u16, seed: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let breaking = Arc::new(Breaking {
            on: AtomicBool::new(false),
            cuts_up: AtomicU64::new(0),
            cuts_down: AtomicU64::new(0),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
        });
        let accepting = tokio::spawn({
            let breaking = breaking.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let server = TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
                    tokio::spawn(breaking.clone().carry(client, server));
                }
            }
        });
        Self { port, breaking, accepting }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn break_connections(&self, on: bool) {
        self.breaking.on.store(on, Ordering::Relaxed);
    }

    /// How many broke on the way to the server, and from it.
    pub fn cuts(&self) -> (u64, u64) {
        (self.breaking.cuts_up.load(Ordering::Relaxed), self.breaking.cuts_down.load(Ordering::Relaxed))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Breaking {
    async fn carry(self: Arc<Self>, mut client: TcpStream, mut server: TcpStream) {
        let (up, down) = {
            let mut chance = self.chance.lock().unwrap();
            (chance.u64(UP), chance.u64(DOWN))
        };
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        // Both ends close when either way is over.
        tokio::select! {
            () = self.pass(from_client, to_server, up, &self.cuts_up) => {}
            () = self.pass(from_server, to_client, down, &self.cuts_down) => {}
        }
    }

    /// Passes bytes on until there are no more, or the `left` ones are used up.
    async fn pass(
        &self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
        mut left: u64,
        cuts: &AtomicU64,
    ) {
        let mut buffer = vec![0; 8_192];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let breaks = self.on.load(Ordering::Relaxed) && n as u64 >= left;
            let passed = if breaks { usize::try_from(left).unwrap() } else { n };
            if to.write_all(&buffer[..passed]).await.is_err() {
                return;
            }
            if breaks {
                cuts.fetch_add(1, Ordering::Relaxed);
                return;
            }
            left = left.saturating_sub(n as u64);
        }
    }
}
