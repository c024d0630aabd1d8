//! The front door, as far as callbacks need it: one request a connection, on a real socket.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windlass_jobs::Shop;
use windlass_jobs::answer::CallbackAnswer;
use windlass_jobs::payments::{WechatCallback, receive_wechat_callback};
use windlass_jobs::suppliers::receive_ylh_callback;

const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Listens on a free port until the runtime ends.
pub async fn open(shop: Arc<Shop>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, shop.clone()));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, shop: Arc<Shop>) {
    let Some(request) = read(&mut stream).await else { return };
    let answer = answer(&shop, &request).await;
    let body = answer.body.to_string();
    let text = format!(
        "HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        answer.status,
        body.len()
    );
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

struct Request {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

async fn answer(shop: &Shop, request: &Request) -> CallbackAnswer {
    match request.path.as_str() {
        "/ylh" => receive_ylh_callback(shop, &request.body).await,
        "/payment" => {
            receive_wechat_callback(shop, WechatCallback::Payment, &request.headers, &request.body).await
        }
        "/refund" => {
            receive_wechat_callback(shop, WechatCallback::Refund, &request.headers, &request.body).await
        }
        other => panic!("nobody calls {other}"),
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { path, headers, body })
}
