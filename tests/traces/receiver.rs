//! A receiver of other programs' reports: takes what is posted, and answers as it is told to, or never.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Answers with this status line and these headers.
    Answers(&'static str),
    /// Reads it, and says nothing for as long as the test lives.
    Hangs,
}

#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    /// As it came, a line a header.
    pub head: String,
    pub body: String,
}

pub struct Receiver {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let kept = received.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (kept, manner) = (kept.clone(), manner.clone());
                // A connection that its client breaks is none of ours.
                std::thread::spawn(move || serve(connection.ok()?, &manner, &kept));
            }
        });
        Self { address, received }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn serve(connection: TcpStream, manner: &Manner, kept: &Mutex<Vec<Received>>) -> Option<()> {
    let mut reads = BufReader::new(connection.try_clone().ok()?);
    let mut writes = connection;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reads.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ").map(|length| length.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reads.read_exact(&mut body).ok()?;
        let path = head.split(' ').nth(1)?.to_owned();
        kept.lock().unwrap().push(Received { path, head, body: String::from_utf8(body).unwrap() });
        match manner {
            Manner::Answers(status) => {
                write!(
                    writes,
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
                )
                .ok()?;
            }
            Manner::Hangs => {
                let mut rest = Vec::new();
                reads.read_to_end(&mut rest).ok()?;
            }
        }
    }
}
