//! A TCP connection that the answering side can cut: before an answer, or in its middle.
//!
//! Servers know no way of "I did it, but you will not hear of it"; networks do.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const CUT_AT_THE_END: u8 = 2;
/// How many bytes of an answer are lost when it is cut in its middle.
const LOST_BYTES: usize = 9;

/// The shears for one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shears(Arc<AtomicU8>);

impl Shears {
    /// Nothing more goes out.
    pub(crate) fn cut(&self) {
        self.0.store(CUT, Ordering::Release);
    }

    /// The next answer goes out without its end.
    pub(crate) fn cut_at_the_end(&self) {
        self.0.store(CUT_AT_THE_END, Ordering::Release);
    }
}

pub(crate) struct Cuttable(pub(crate) TcpListener);

impl Listener for Cuttable {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.0).await;
        // An answer that waits for Nagle's timer would look like a slow system.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        (Wire { stream, shears: Shears::default() }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Cuttable>> for Shears {
    fn connect_info(stream: IncomingStream<'_, Cuttable>) -> Self {
        stream.io().shears.clone()
    }
}

pub(crate) struct Wire {
    stream: TcpStream,
    shears: Shears,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.shears.0.load(Ordering::Acquire) {
            CUT => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            CUT_AT_THE_END => {
                let kept = &buf[..buf.len().saturating_sub(LOST_BYTES)];
                let written = Pin::new(&mut self.stream).poll_write(cx, kept);
                if let Poll::Ready(Ok(_)) = written {
                    self.shears.cut();
                }
                written
            }
            WHOLE.. => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
