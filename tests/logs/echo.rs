//! A supplier that is broken in the worst way: whatever it is sent stands in its answer of an error.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The access token that it gives in the end.
pub const TOKEN: &str = "MARKaccess-token-of-the-supplier";

pub struct Echo {
    pub url: String,
    /// Calls that were no questions for a token.
    pub calls: Arc<AtomicUsize>,
}

impl Echo {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (calls, tokens) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (calls, tokens) = (counted.clone(), tokens.clone());
                std::thread::spawn(move || serve(stream, &calls, &tokens));
            }
        });
        Self { url, calls }
    }
}

fn serve(stream: TcpStream, calls: &AtomicUsize, tokens: &AtomicUsize) {
    let mut reader = BufReader::new(&stream);
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.trim() != "" {
            head.push_str(&line);
            line.clear();
        }
        if head.is_empty() {
            return;
        }
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let echoed = format!("{head}{}", String::from_utf8_lossy(&body));
        // The first question for a token fails, too, with the password in the answer.
        let is_token = head.lines().next().unwrap_or_default().contains("/oauth/token");
        let (status, answer) = if is_token && tokens.fetch_add(1, Ordering::Relaxed) > 0 {
            (
                "200 OK",
                format!(
                    r#"{{"access_token":"{TOKEN}","token_type":"bearer","expires_in":7200,"scope":"all"}}"#
                ),
            )
        } else {
            calls.fetch_add(usize::from(!is_token), Ordering::Relaxed);
            ("500 Internal Server Error", echoed)
        };
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if (&stream).write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}
