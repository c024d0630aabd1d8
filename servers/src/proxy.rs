//! A way to a server that breaks: each connection after a number of bytes, in the middle of whatever is said.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const BUFFER_BYTES: usize = 8_192;

/// Passes bytes between its clients and a server of 127.0.0.1, which may come and go meanwhile.
pub struct Proxy {
    port: u16,
    way: Arc<Way>,
}

struct Way {
    server_port: u16,
    is_closing: AtomicBool,
    cuts_up: AtomicU64,
    cuts_down: AtomicU64,
    chance: Mutex<Chance>,
}

/// After how many bytes a connection breaks, whichever of its ways has carried its own first.
#[derive(Clone, Debug)]
pub struct After {
    /// To the server.
    pub up: Range<u64>,
    /// From the server.
    pub down: Range<u64>,
}

struct Chance {
    rng: fastrand::Rng,
    /// None: nothing is cut.
    after: Option<After>,
}

impl Proxy {
    /// Cuts nothing until [`Self::cut_after`] is called; when it does, `seed` says where.
    pub fn to(server_port: u16, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let way = Arc::new(Way {
            server_port,
            is_closing: AtomicBool::new(false),
            cuts_up: AtomicU64::new(0),
            cuts_down: AtomicU64::new(0),
            chance: Mutex::new(Chance { rng: fastrand::Rng::with_seed(seed), after: None }),
        });
        std::thread::spawn({
            let way = way.clone();
            move || way.accept(&listener)
        });
        Self { port, way }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on each connection, old and new, breaks so; None: no more.
    pub fn cut_after(&self, after: Option<After>) {
        self.way.chance().after = after;
    }

    /// How many connections broke on the way to the server, and from it.
    pub fn cuts(&self) -> (u64, u64) {
        (self.way.cuts_up.load(Ordering::Relaxed), self.way.cuts_down.load(Ordering::Relaxed))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.way.is_closing.store(true, Ordering::Relaxed);
        // Whoever waits for a connection gets one, and sees.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Way {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.is_closing.load(Ordering::Relaxed) {
                return;
            }
            // A server that is away refuses: so does the proxy, by hanging up.
            let Ok(client) = client else { continue };
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server_port)) else { continue };
            // Without these two a call takes longer, and nothing else changes.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
            for (from, to, is_up) in [(from, to, true), (server, client, false)] {
                let way = self.clone();
                std::thread::spawn(move || way.pass(from, to, is_up));
            }
        }
    }

    /// Passes bytes on until there are no more or the connection's are used up; then both its ways are over.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, is_up: bool) {
        let mut buffer = [0; BUFFER_BYTES];
        let mut left = None;
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            left = self.left(left, is_up);
            let passed = left.map_or(n, |left| n.min(usize::try_from(left).unwrap_or(n)));
            if to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            if passed < n {
                let cuts = if is_up { &self.cuts_up } else { &self.cuts_down };
                cuts.fetch_add(1, Ordering::Relaxed);
                break;
            }
            left = left.map(|left| left - n as u64);
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// What may still pass, with a number drawn where there is none yet; None: everything.
    fn left(&self, left: Option<u64>, is_up: bool) -> Option<u64> {
        let mut chance = self.chance();
        let After { up, down } = chance.after.clone()?;
        let bytes = if is_up { up } else { down };
        Some(left.unwrap_or_else(|| chance.rng.u64(bytes)))
    }

    fn chance(&self) -> std::sync::MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
